//! Writing a client, a server for tests, a recorder or an agent.
//!
//! # The link
//!
//! Every connection begins with the link stage, which says which channel of which session it is for:
//!
//! ```text
//! client                                    server          little-endian
//!   | "REDQ" 2 2 size | LinkMess ------------> |            16 bytes, then `size`
//!   | <------------- "REDQ" 2 2 size LinkReply |            an RSA key, capabilities; or an error, and the end
//!   | 1 u32 | ticket, 128 bytes -------------> |            1: a ticket follows; left out by both if neither selects
//!   | <----------------------- LinkResult u32  |            0: frames follow
//! ```
//!
//! A machine of [`link`](crate::link) does that on a pair of [`Buffers`]. This drives the client's over any blocking
//! stream; the other roles differ in their questions, and on tokio streams [`drive`] is the same:
//!
//! ```
//! use std::io::{Read, Write};
//! use std::time::Instant;
//! use spice_proto::link::client::ClientOutcome;
//! use spice_proto::link::{Action, Buffers, ClientLink, Machine};
//!
//! /// `stream`: with a time limit for reading, so that the machine sees its deadline pass.
//! fn link(mut stream: impl Read + Write, machine: &mut ClientLink, buffers: &mut Buffers, start: Instant)
//!     -> Result<ClientOutcome, Box<dyn std::error::Error>>
//! {
//!     let mut bytes = [0; 4096];
//!     loop {
//!         let action = machine.step(start.elapsed(), buffers);
//!         stream.write_all(&buffers.tx.split())?; // also when the step failed: the peer's answer is in it
//!         stream.flush()?; // TLS and buffered streams keep something back
//!         match action? {
//!             Action::Receive { .. } => match stream.read(&mut bytes)? {
//!                 0 => return Ok(machine.eof()?),
//!                 n => buffers.rx.extend_from_slice(&bytes[..n]),
//!             },
//!             Action::Ask(question) => return Err(format!("{question:?}: SASL was not announced").into()),
//!             Action::Waiting => return Err("no question is open".into()),
//!             Action::Done(outcome) => return Ok(outcome), // what came behind the link is in `buffers.rx`
//!         }
//!     }
//! }
//! ```
//!
//! # A session
//!
//! The main channel is opened with `connection_id` 0; its `INIT` says the id for all other channels, and
//! `ATTACH_CHANNELS` is answered with their list. Each is a connection of its own, with the same ticket. What a client
//! owes on every channel: `ACK_SYNC` and `ACK` for `SET_ACK` ([`AckCounter`]), `PONG` for `PING`
//! ([`ServerMessage::common`](crate::channel::ServerMessage::common) finds both). A display channel says nothing before
//! the client's `INIT`.
//!
//! ```text
//! mini   | type u16 | size u32 | body: size bytes                                      6 bytes
//! full   | serial u64 | type u16 | size u32 | sub_list u32 | body: size bytes         18 bytes
//! ```
//!
//! `examples/picture_head.rs` does all of it up to the first picture (features `rsa`, a default, and `tokio`):
//!
//! ```no_run
#![doc = include_str!("../../examples/picture_head.rs")]
//! ```
//!
//! # TLS and log-ins
//!
//! A server may have a channel on its other port only: [`HandshakeError::wanted_transport`]. What its certificate must
//! have is decided by [`tls`](crate::tls) (feature `rustls`), with the rules of spice-gtk; connect first, and give the
//! TLS stream to [`drive`]. SASL is used where both sides announce it ([`ClientLink::sasl`]: or no link): the machine
//! asks for what the caller's mechanism says, [`ClientQuestion`] names the answers.
//!
//! # A recorder
//!
//! [`WatchedLink`] reads a link stage from both directions without taking part; frames and messages follow. It needs no
//! feature: a ticket is seen as it was sent. This is `examples/recorder.rs`, which sits between two sockets:
//!
//! ```no_run
#![doc = include_str!("../../examples/recorder.rs")]
//! ```
//!
//! # An agent
//!
//! The guest's end of the agent's conversation is a serial port with chunks:
//!
//! ```text
//! chunk          | port u32 | size u32 | data: at most 2048 bytes |          a stream for each port
//! agent message  | protocol u32 = 1 | type u32 | opaque u64 | size u32 | data |    may be spread over chunks
//! ```
//!
//! The form of some messages depends on what both sides announced ([`agent::Announced`](crate::agent::Announced)). This
//! is `examples/agent.rs`, an agent with a clipboard; it needs no feature either:
//!
//! ```no_run
#![doc = include_str!("../../examples/agent.rs")]
//! ```
//!
//! # A server for tests
//!
//! [`ServerLink`] asks what to show and whether a ticket is good; [`while_connected`](crate::while_connected) has a whole
//! example, and [`MessageCodec::server`](crate::codec::MessageCodec::server) reads and writes what follows.

#[allow(unused_imports, reason = "the text links to them")]
use crate::{
    drive,
    frame::AckCounter,
    link::{Buffers, ClientLink, HandshakeError, ServerLink, WatchedLink, client::ClientQuestion},
};
