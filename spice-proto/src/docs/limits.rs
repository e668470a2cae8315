//! What a peer can make a program hold, and for how long.
//!
//! Every length from the wire is held against a limit before anything is allocated, and room is made for what has come,
//! not for what was announced. Limits are values: [`Limits`] for one connection, [`tracker::Config`] for all sessions of
//! a proxy, [`KeyPoolConfig`] for its keys, [`Settings`] for what may pass. Each field has a `with_` method of its name.
//!
//! ```
//! use std::time::Duration;
//! use spice_proto::Limits;
//!
//! let limits = Limits::default().with_link_timeout(Duration::from_secs(5)).with_frame_body(1 << 20);
//! assert_eq!((limits.link_message, limits.frame_body), (4096, 1 << 20));
//! ```
//!
//! # Of one connection
//!
//! | Limit | Default | What a peer above it gets |
//! |---|---|---|
//! | [`Limits::link_message`] | 4096 bytes | `LinkReply` with `INVALID_DATA`, and the end |
//! | [`Limits::link_reply`] | 8370 bytes | the end |
//! | [`Limits::capability_words`] | 1024 words of 32 bits in one set | as above, for the message that has them |
//! | [`Limits::sasl_mechanisms`] | 300 bytes | a second `LinkReply` with `INVALID_DATA`, and the end |
//! | [`Limits::sasl_data`] | 1 MiB in one step | the same |
//! | [`Limits::sasl_packet`] | 16,777,215 bytes in one packet of a security layer | the end |
//! | [`Limits::frame_body`] | 16 MiB that are taken as one piece | the end |
//! | [`Limits::passed_body`] | 256 MiB that go by in pieces, and are not held | the end |
//! | [`Limits::agent_message`] | 16 MiB that are taken as one piece | the end of the conversation |
//! | [`Limits::link_timeout`] | 10 s for the link stage, and as long again for a relay's hypervisor | nothing, and the end |
//!
//! A relay ([`Relay`], [`FrameForwarder`]) holds no more than 64 KiB of a frame: of a larger one only the header is looked
//! at, and its body goes on in the pieces that it comes in. Each direction has a high-water mark of 64 KiB: while so much
//! waits to be written, nothing more is moved, and the peer at the other end is not read from.
//!
//! # Of all sessions
//!
//! | Limit | Default | Above it |
//! |---|---|---|
//! | [`tracker::Config::sessions`] | 16,384, ended ones included | [`Reason::TooManySessions`](tracker::Reason::TooManySessions) |
//! | [`tracker::Config::links`] | 64 connections in one session | [`Reason::TooManyLinks`](tracker::Reason::TooManyLinks) |
//! | [`tracker::Config::channels`] | 64 announced channels in one session | links to those above it are refused |
//! | [`tracker::Config::link_timeout`] | 10 s up to a good token | closed |
//! | [`tracker::Config::main_timeout`] | 10 s without a main channel while a session moves | the session ends |
//!
//! [`tracker::Config::one_address`] and [`tracker::Config::sasl`] are rules and no limits. **Half-open connections are not
//! limited here**: which of them gives way is the business of the program that accepts them, before the first byte is read.
//!
//! # Of keys
//!
//! | Limit | Default | Above it |
//! |---|---|---|
//! | [`KeyPoolConfig::stock`] | 24 keys that are ready | no more are made |
//! | [`KeyPoolConfig::pause`] | 200 ms between two keys | keys are shared by several links |
//! | [`KeyPoolConfig::links`] | 1024 links with one key | the key is not shown any more |
//! | [`KeyPoolConfig::openings`] | 256 tickets opened with one key | the same |
//! | [`KeyPoolConfig::lifetime`] | 60 s from a key's first link | the same |
//!
//! # Of what may pass
//!
//! | Limit | Default | Above it |
//! |---|---|---|
//! | [`Settings::unknown_body`] | 64 KiB for a message without a layout | [`Rule::Size`], the connection ends |
//! | [`Settings::trailing`] | 32 bytes behind what a layout counts | the same |
//! | [`Settings::bodies`] | none; other sizes than those of [`largest_bodies`] | the same |
//! | [`Settings::client_messages`], [`Settings::client_bytes`], [`Settings::server_messages`], [`Settings::server_bytes`] | none | [`Rule::Rate`], as for a message that is not allowed |

#[allow(unused_imports, reason = "the text links to them")]
use crate::{
    Limits,
    frame::FrameForwarder,
    link::KeyPoolConfig,
    session::{
        Relay,
        policy::{Rule, Settings, largest_bodies},
        tracker,
    },
};
