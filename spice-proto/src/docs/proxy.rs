//! Writing a proxy: viewers on one side, hypervisors on the other, and a token that is good for one session.
//!
//! # The whole program
//!
//! Sixty lines, with every channel of a session and one `use` of [`crate::proxy`]. It is `examples/minimal_proxy.rs`
//! (features `rsa`, a default, and `tokio`):
//!
//! ```no_run
#![doc = include_str!("../../examples/minimal_proxy.rs")]
//! ```
//!
//! # What happens on a connection
//!
//! Methods of [`ProxyHandler`] stand on the right, in the order in which they are called.
//!
//! ```text
//! viewer                          proxy                            hypervisor
//!   | LinkMess ------------------> |                                  |   announce: which key is shown
//!   |                              | [LinkMess ---------------------> |]  capabilities: of all but a session's first link
//!   | <----------------- LinkReply | [<-------------------- LinkReply |]
//!   | ticket: the token ---------> |                                  |   token: Open a session, Join one, or refuse
//!   |                              | LinkMess ----------------------> |   dial: a connection, and the hypervisor's ticket
//!   |                              | <--------------------- LinkReply |   learnt
//!   |                              | ticket: the hypervisor's ------> |
//!   |                              | <-------------------- LinkResult |
//!   | <---------------- LinkResult |                                  |   linked
//!   | <---------------------- INIT | <-------------------------- INIT |   bind, on the main channel: held until answered
//!   | <-------------------- frames | -------------------------------> |   no method: the policy decides
//!   | <-- MIGRATE_BEGIN, rewritten | <------------------ MIGRATE_BEGIN |  target: held until answered
//! ```
//!
//! A session is one main channel and then, with the `connection_id` that its `INIT` said, a connection for every other
//! channel. All of them show the same ticket:
//!
//! ```text
//!            a use of a token is taken            INIT, and `bind`        main channel closed
//!  claim() ------------------------> Entry::Open ----------------> bound ------------------> Report::Ended { spent }
//!     |                                                              ^
//!     '-- dropped: Report::Ended { spent: false }                    '-- Entry::Join, for each other channel
//! ```
//!
//! # What the author has to see to
//!
//! * **One task awaits the reports** ([`SessionManager::report`], or [`SessionManager::run`]) as long as the proxy runs.
//!   It also ends what is overdue: without it a session whose viewer is gone half way is never over.
//! * **The number of half-open connections is bounded by the author**, before the first byte is read: a limiter in which
//!   the oldest connection of the source with the most of them gives way (an IPv4 address, or the first 64 bits of an
//!   IPv6 address), and never the newcomer. The tracker closes those that show no token in time, and refuses none.
//! * **Keys are made in advance.** A viewer opens a dozen connections at once, strangers even more, and each is shown a
//!   key before it has proved anything. A key costs 36 ms of a processor: [`KeyPool`] has them ready and bounds what
//!   strangers can cost. In an unoptimised build a key costs 0.8 s, so that a proxy seems to hang: the lines for
//!   `Cargo.toml` stand in [`ticket`](crate::link::ticket#unoptimised-builds).
//! * **A use is spent when a ticket may have reached a hypervisor**, and not before: a hypervisor that answers too late
//!   may have accepted, one that refuses has not. [`Report`] says so for each link and each session, once, whatever
//!   became of the viewer or of the task. [`ProxyHandler`] has an example with uses that are counted.
//! * **A refusal says [`Refusal::DENIED`]**, whatever the reason is: unknown, spent, expired, for another session. Other
//!   answers would show strangers which tokens there are.
//! * **A session moves only to a place of its own guest.** A hypervisor names whatever it likes as the target; [`Move`]
//!   has an example. Without [`ProxyHandler::target`] no session moves. More in [`migration`](super::migration).
//! * **Behind a NAT or a load balancer** the [`Endpoint`] is the public host and the public ports of the listener, as
//!   they stand in the connection file.
//! * **Several proxies behind a balancer** get the channels of one session in turn, unless it goes by the viewer's address.
//!   The one that has the session keeps all of its state. The others hand further channels on to it, when they know by
//!   the token which one that is: [`Entry::Elsewhere`], [`ProxyHandler::elsewhere`].
//! * **A hypervisor older than spice-server 0.15** announces less than [`Capabilities::spice_server`] promises. Each
//!   channel behind a session's first one asks it first ([`ProxyHandler::capabilities`], [`inquire`]).
//! * **Each TCP stream has TCP_NODELAY**: what is flushed is to leave at once.
//!
//! # What a `SessionKey` is made of
//!
//! Of a number that names one session and no other for as long as anything is kept under it.
//! [`SessionManager::claim`] and [`Sessions::claim`] make it: they count from 1 in each process. It is **not** made of
//! the token (one with several uses opens several sessions), nor of the id in `INIT` (hypervisors repeat ids, and ids can
//! be guessed). A store that outlives the process, or is shared by several, keeps the process beside the key. A caller
//! that works on a bare [`Tracker`] makes its own with [`SessionKey::new`], from a counter that never goes back. It is no
//! secret: no connection is let in by it.
//!
//! # TLS, and viewers that stand still
//!
//! spice-gtk looks at its socket, not at its TLS layer, to see whether there is another message. Two messages in one TLS
//! record are read at once and shown one by one: the second only when more bytes come, so that the picture stands
//! still, and behind it QEMU, whose display window is not acknowledged and which gives the display up after 30 s.
//! [`drive_session`] writes each message to a viewer with TLS ([`Peer::secure`]) on its own, which makes it a record; a
//! loop of one's own cuts with a [`RecordSplitter`]. A balancer that ends TLS in front of a proxy, or between a viewer and
//! QEMU, packs records anew and brings the fault back: let it pass TCP through, with a PROXY header if the address
//! matters.
//!
//! The records cost no system calls with a [`BufferedStream`] between TLS and the socket:
//! `acceptor.accept(BufferedStream::new(tcp))`.
//!
//! # Without a runtime
//!
//! [`drive_session`] is a loop around [`Relay`] and [`Sessions`], which do no I/O. A loop of one's own has to do six
//! things; whatever is left out, something hangs or leaks:
//!
//! | | Call | Left out |
//! |---|---|---|
//! | new | [`Relay::new`] for each connection, then [`Relay::step`] whenever bytes have moved | |
//! | wake | [`Relay::wake`] for each link of [`Sessions::poll_wake`], then step it, after anything that was done with the sessions | a move stands still; the channels of a session outlive its main channel |
//! | ended | [`Sessions::poll_report`], likewise | uses are lost, and the list of reports grows |
//! | expire | [`Sessions::expire`] at [`Sessions::deadline`], also without any connection | half-open connections and sessions half way stay |
//! | deadline | [`Relay::step`] at [`Relay::deadline`], also when no byte has moved | peers that say nothing keep their place |
//! | close | [`Relay::close`] in the end, whatever the reason | the channel stays taken, and its session open |
//!
//! Bytes: both `tx` are written and flushed and the sides of [`Action::Receive`] are read at the same time, also while a
//! question is open; when a side hangs up, the loop calls [`Relay::eof`]. This is `examples/sans_io_proxy.rs`, on sockets
//! of the standard library:
//!
//! ```no_run
#![doc = include_str!("../../examples/sans_io_proxy.rs")]
//! ```
//!
//! # Single links
//!
//! A relay between two connections that knows of no session is [`RelayLink`] with [`drive_relay`], and a
//! [`FrameForwarder`] for each direction. Nothing is checked there but the link: it is for programs that deal with
//! messages themselves. This is `examples/relay.rs`:
//!
//! ```no_run
#![doc = include_str!("../../examples/relay.rs")]
//! ```
//!
//! # Clipboards and files
//!
//! What a user copies, and the files that he drops on the viewer, are messages to the guest's agent, cut into pieces.
//! [`Settings`] of the [`Policy`] switch them off in each direction. A relay of one's own judges each by its header, and
//! holds none of it:
//!
//! ```
//! use bytes::BytesMut;
//! use spice_proto::Limits;
//! use spice_proto::agent::{Clipboard, Filter, FilterDecision, Message, Passage, Pieces, Receiver};
//! use spice_proto::ids::{AgentMessageType, ClipboardType};
//!
//! // Towards the server: nothing is pasted into this guest.
//! let mut filter = Filter::new(Receiver::Server, &Limits::default());
//! let r#type = ClipboardType::UTF8_TEXT;
//! let paste = Message::Clipboard(Clipboard { selection: None, r#type, data: vec![0x61; 5000].into() });
//! let mut refunds = 0;
//! for body in Pieces::new(&paste)? {
//!     // The bodies of AGENT_DATA, as they come from the client.
//!     let mut instead = BytesMut::new();
//!     let passage = filter.pass(&body, &mut instead, |header| match header.r#type {
//!         AgentMessageType::CLIPBOARD | AgentMessageType::CLIPBOARD_GRAB => FilterDecision::Drop,
//!         _ => FilterDecision::Pass,
//!     })?;
//!     match passage {
//!         Passage::Whole => {}              // send the frame on as it came
//!         Passage::Part => {}               // send AGENT_DATA with `instead`; only towards a client
//!         Passage::Nothing => refunds += 1, // and give the sender his token back: AGENT_TOKEN
//!     }
//! }
//! assert_eq!(refunds, 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[allow(unused_imports, reason = "the text links to it")]
use crate::drive_relay;
#[allow(unused_imports, reason = "the text links to them")]
use crate::{
    frame::{FrameForwarder, RecordSplitter},
    link::{RelayLink, Side},
    proxy::*,
    session::{Relay, Sessions, Tracker, relay::Action},
};
