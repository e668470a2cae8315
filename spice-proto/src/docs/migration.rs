//! When a guest moves to another hypervisor before the eyes of its viewer.
//!
//! A hypervisor tells its viewers where to go. The place is a private address, and a viewer that went there would pass
//! by the proxy. So these messages are held, the author is asked whether that is a place of the guest
//! ([`ProxyHandler::target`], [`SessionQuestion::Target`]), and the viewer gets the proxy's own address
//! ([`Endpoint`]) in its place. With [`drive_session`], or with [`Relay`], nothing else is to be
//! done.
//!
//! # The three ways
//!
//! ```text
//! semi-seamless          source            proxy            viewer
//!   MIGRATE_BEGIN -------> | target? ------> | proxy's address ---> |
//!                          |                 | <--- main, session id |  dialled: the target
//!                          |                 | <--- other channels   |  dialled, a word behind each result only later
//!                          | <-------------- | <-- MIGRATE_CONNECTED |
//!   (the guest moves)      |                 |                       |
//!   MIGRATE_END ---------> | --------------- | --------------------> |  the target is the session's hypervisor now
//!
//! seamless: MIGRATE_BEGIN_SEAMLESS, and on each channel that has a state
//!   source  MIGRATE, MIGRATE_DATA  ---> viewer ---> target: the very bytes, and nothing in between
//!
//! switch host: the guest is gone already
//!   source  MIGRATE_SWITCH_HOST ---> the viewer hangs up, and begins anew: main with connection_id 0
//! ```
//!
//! The table of all states and messages stands in [`session::migration`](crate::session::migration), and is made from the
//! type by a test.
//!
//! # What the author sees
//!
//! * [`Move`] names the session, the [`Host`] that it is on, and the [`Target`]. Accept it only if the target is a place
//!   of **this** guest: [`Move`] has an example. `false` is always safe: the viewer comes to the proxy, is refused there,
//!   and stays where it is.
//! * Where several guests may be at the ports of a target, ask it which one it has, before the move is accepted:
//!   [`identify`] begins a session of its own there, and says the name and the UUID that the hypervisor gives. QEMU with
//!   `-incoming` answers (7.2, with `-name` and `-uuid`), and the inquiry does not disturb the move. QEMU sends neither to
//!   a viewer that follows without a break, so that the proxy has nothing to compare later; where a hypervisor does send
//!   one, [`ProxyHandler::identity`] is asked, and the viewer gets it after the answer. `false` leaves the target.
//! * Each [`Dial`] to the target has it too, with a `host` of its own: 0 is the session's first hypervisor.
//! * A viewer that was told `MIGRATE_SWITCH_HOST` comes with `connection_id` 0 and its old token: that is
//!   [`Entry::Join`], not a second use. [`ProxyHandler::token`] is asked, so remember which session was told
//!   ([`Kind::SwitchHost`] in [`Move::target`]).
//! * [`Report::Link`] says of each link to the target what became of its ticket.
//!
//! # Times
//!
//! A viewer has 8 s to come to the target, and 10 s more for its main channel once the guest is gone; then the session
//! goes on where it is, or ends. [`Relay::deadline`] has these times in it.
//!
//! # Another process
//!
//! [`Tracker::snapshot`] is a plain value with a stated byte form: another process can go on with a session that does not
//! move, from its record.
//!
//! ```
//! use std::time::Duration;
//! use bytes::BytesMut;
//! use spice_proto::session::tracker::{Config, Peer, Request};
//! use spice_proto::session::{SessionKey, Snapshot, Tracker};
//! use spice_proto::channel::main::ChannelId;
//! use spice_proto::ids::{AuthMechanism, ChannelType};
//!
//! let (now, key) = (Duration::ZERO, SessionKey::new(1));
//! let mut first = Tracker::new(Config::default(), [1; 16]);
//! let link = first.accept(now, Peer::new([192, 0, 2, 1].into(), true));
//! let channel = ChannelId { channel_type: ChannelType::MAIN, id: 0 };
//! let main = Request { connection_id: 0, channel, mechanism: AuthMechanism::SPICE };
//! first.admit(now, link, key, main)?;
//! first.linked(link)?;
//! first.bind(link, 7)?;
//!
//! // What the record of the session holds; the other process reads it.
//! let mut record = BytesMut::new();
//! first.snapshot(key).expect("it runs").encode(&mut record)?;
//! let mut second = Tracker::new(Config::default(), [2; 16]);
//! second.restore(key, &Snapshot::decode_slice(&record)?)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[allow(unused_imports, reason = "the text links to them")]
use crate::{
    proxy::*,
    session::{Relay, Tracker, migration::Kind, relay::SessionQuestion},
};
