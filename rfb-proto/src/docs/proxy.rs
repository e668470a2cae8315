//! Writing a proxy: viewers on one side, hypervisors on the other.
//!
//! # The whole program
//!
//! A [`session::Relay`](crate::session::Relay) is one console, from its first byte to its last: the handshakes of both sides, ClientInit
//! with the shared flag by policy, and both directions of messages with what may pass. With the features `tokio` and `rustls`
//! `drive_session` moves its bytes, TLS on both sides included, and asks a `ProxyHandler` what only its author knows. This is all
//! of a proxy between viewers with a VNC password and a hypervisor that speaks VeNCrypt with X509Vnc, the example
//! `minimal_proxy`:
//!
//! ```no_run
#![doc = include_str!("../../examples/minimal_proxy.rs")]
//! ```
//!
//! A hypervisor with a VNC password and no TLS, such as QEMU with `-vnc 127.0.0.1:1,password-secret=p`, is refused by default
//! (`no common security type`), since others on the way can read and change the session. Where it is wanted, the program does
//! without `with_hypervisor_subtypes`, `ClientTls`, `with_hypervisor_tls` and the feature `rustls`, and has
//!
//! ```
//! use rfb_proto::handshake::BridgeConfig;
//! use rfb_proto::security::SecurityType;
//!
//! let bridge = BridgeConfig::default().with_hypervisor_types(&[SecurityType::VNC]);
//! ```
//!
//! ```text
//! TENANT_PASSWORD=... HYPERVISOR_PASSWORD=... cargo run -p rfb-proto --features tokio,rustls --example minimal_proxy -- \
//!     127.0.0.1:5900 hypervisor.example:5901 hypervisor-ca.pem --view-only
//! ```
//!
//! Where a browser is to come in through a WebSocket, any stream over one takes the place of `tenant`. `ProxyConfig` has what else a
//! proxy decides: filters, how fast input may come, the shared flag, how many viewers there may be.
//!
//! # What happens on a connection
//!
//! Methods of `ProxyHandler` stand on the right, in the order in which they are called.
//!
//! ```text
//! viewer                            relay                         hypervisor
//!   | <-------------- version line |                                  |
//!   | version line, type --------> |                                  |  challenge, rsa_aes, diffie_hellman: what the type needs
//!   | response -------------------> |                                  |  admit: is the tenant let in?
//!   |                              | -------------------------------> |  dial: a connection, and how it is entered
//!   |                              | version, type, TLS, log-in ----> |
//!   | <------------ SecurityResult | <---------------- SecurityResult |  authenticated
//!   | ClientInit ----------------> | ClientInit, shared by policy --> |
//!   | <---------------- ServerInit | <-------------------- ServerInit |
//!   | messages, filtered <-------> | <------------------------------> |  no method: filter and rate decide
//! ```
//!
//! # When the guest moves
//!
//! A VNC console does not follow its guest: after a live migration the picture stands still, and the connection ends with the
//! old hypervisor. A proxy that learns of the move (`Connection::mover`) disconnects the viewer, or keeps it: the relay connects
//! to the new hypervisor, logs in there, sets the client's format and encodings again and asks for the whole picture.
//!
//! Before the viewer sees anything of the new server, `ProxyHandler::moved_to` is asked about the name of its desktop: QEMU's is
//! `QEMU (NAME)` where it was started with a name, and tells a proxy that it was led to another guest.
//!
//! | state of the client | what becomes of it |
//! |---|---|
//! | size of the desktop | told by DesktopSize or ExtendedDesktopSize; a client that knows neither is disconnected if it changes |
//! | zlib streams of Tight, TightPNG, ZRLE, ZYWRLE, zlib | go on: the header of the new server's stream is cut out |
//! | streams of ZlibHex, XZ, zstd | cannot go on: the encoding is not asked for again |
//! | fences, continuous updates, keys and buttons of extensions | answered, enabled again, translated or withheld, as the new server has them |
//! | an update that is half sent | finished by the old server, or filled up; a viewer inside of a rectangle that never ends is disconnected |
//!
//! Between two QEMU 7.2, with the guest moved by a live migration, vncviewer 1.12 goes on with Tight, ZRLE, Hextile and Raw,
//! gvncviewer 1.3 and noVNC 1.3 with what they ask for; the pictures are equal to the target's, and keys that are typed after
//! the move arrive there. The bits of Tight that reset a stream are not used for it: noVNC fails behind them.
//!
//! # What a proxy lets through
//!
//! [`filter`](crate::filter) has rules for what passes between a client and a server: view only, the clipboard in one direction or up to a
//! size, no change of the desktop's size, no power, encodings and extensions that the server is not asked for, and how fast
//! input may come, with the time as an argument. They are values and judge one message at a time; a
//! [`Guard`](crate::filter::Guard) puts them into a relay. What keeps a session alive always passes.
//!
//! ```rust
//! use rfb_proto::Limits;
//! use rfb_proto::encoding::Encoding;
//! use rfb_proto::filter::{Clipboard, Filter};
//! use rfb_proto::framing::Verdict;
//! use rfb_proto::message::{ClientCutText, SetEncodings};
//!
//! let filter = Filter::default()
//!     .with_clipboard_to_server(Clipboard::AtMost(4096))
//!     .with_clipboard_to_client(Clipboard::Withhold)
//!     .with_resize(false)
//!     .with_withheld(&[Encoding::XVP]);
//! let limits = Limits::default();
//! let text = ClientCutText::new(vec![b'a'; 5000].into());
//! assert_eq!(filter.client(&text.into(), &limits), Verdict::Withhold);
//! let asked = SetEncodings::new(&[Encoding::ZRLE, Encoding::XVP]);
//! let Verdict::Replace(instead) = filter.client(&asked.into(), &limits) else { panic!() };
//! assert_eq!(instead, b"\x02\0\0\x01\0\0\0\x10"[..]); // ZRLE
//! ```
//!
//! # What the author has to see to
//!
//! * **The number of half-open connections is bounded by the author**, before the first byte is read: a limiter in which the
//!   oldest connection of the source with the most of them gives way, and never the newcomer. A machine ends after
//!   `Limits::handshake_timeout`.
//! * **Wrong passwords are braked by the author**, by source: VNC passwords have 8 bytes.
//! * **Challenges, seeds and keys come from a cryptographically secure source**, fresh for each tenant.
//! * **Each TCP stream has TCP_NODELAY**: what is flushed is to leave at once.
//! * **RSA keys are generated in advance**: in an unoptimised build a key takes long. Two lines in the `Cargo.toml`
//!   of the program mend that: `[profile.dev.package.num-bigint-dig]` and `opt-level = 3`.
//!
//! # A bridge of handshakes
//!
//! A [`Bridge`](crate::handshake::Bridge) ends the handshake on both sides: the viewer of a tenant authenticates to the proxy, the
//! proxy to the hypervisor, each with a version, a security type and TLS of its own. So a browser with a VNC password, or
//! with none, reaches a hypervisor that speaks VeNCrypt with X509Vnc or X509Plain only.
//!
//! | tenant \ hypervisor | None | VNC | X509None | X509Vnc | X509Plain |
//! |---|---|---|---|---|---|
//! | None | yes | yes | yes | yes | yes |
//! | VNC, the proxy's password | yes | yes | yes | yes | yes |
//! | VNC, the hypervisor's password, which the proxy does not know | | yes | | yes | |
//! | X509None, X509Vnc, X509Plain | yes | yes | yes | yes | yes |
//!
//! The other subtypes of VeNCrypt can be had on either side as well. With their features so can these, as the tenant's log-in,
//! the hypervisor's, or both:
//!
//! | type | for | the server is known by | hides user and password | hides the session |
//! |---|---|---|---|---|
//! | RA2 (5), RA2_256 (129) | TigerVNC, RealVNC | its RSA key, or that key's fingerprint, if it is pinned | yes | yes |
//! | RA2ne (6), RA2ne_256 (130) | noVNC (6), TigerVNC, RealVNC | the same | yes | no |
//! | Diffie-Hellman (30) | macOS, noVNC, TigerVNC's viewer | nothing | from listeners | no |
//! | MSLogonII (113) | UltraVNC, noVNC, TigerVNC's viewer | nothing | no: 64 bits at most | no |
//! | MSLogonIII (118) | UltraVNC from 1.8.2 | nothing | from listeners, for days | no |
//!
//! A bridge asks its caller for the key and random bytes on the tenant's side, and takes them from `Upstream` on the
//! hypervisor's. The tenant is accepted after the hypervisor has
//! accepted; it authenticates before the proxy's own credentials are used, unless nova's order is asked for
//! ([`AuthOrder`](crate::handshake::bridge::AuthOrder)); and it is not told why a hypervisor failed, unless that is asked for.
//!
//! The loop for two blocking connections. `dial` connects to the hypervisor and knows what to show there:
//!
//! ```rust
//! use std::io::{Error, Read, Write};
//! use std::time::Instant;
//! use rfb_proto::handshake::bridge::{BridgeAction, BridgeOutcome, BridgeQuestion, Upstream};
//! use rfb_proto::handshake::{Bridge, Refusal, Side, SideBuffers, server::ClientCredentials};
//! use rfb_proto::security::vnc::Password;
//!
//! trait Stream: Read + Write {}
//!
//! fn bridge(
//!     mut tenant: impl Stream, password: &Password, challenge: [u8; 16], // random, for this tenant only
//!     dial: impl Fn() -> Result<(Box<dyn Stream>, Upstream), Error>,
//!     bridge: &mut Bridge, sides: &mut SideBuffers, start: Instant,
//! ) -> Result<BridgeOutcome, Box<dyn std::error::Error>> {
//!     let mut hypervisor: Option<Box<dyn Stream>> = None;
//!     loop {
//!         let action = bridge.step(start.elapsed(), sides);
//!         tenant.write_all(&sides.tenant.tx.split())?; // also when the step failed
//!         if let Some(hypervisor) = &mut hypervisor {
//!             hypervisor.write_all(&sides.hypervisor.tx.split())?;
//!         }
//!         match action? {
//!             BridgeAction::Receive { side, at_least } => {
//!                 let mut bytes = vec![0; at_least];
//!                 let n = match (side, &mut hypervisor) {
//!                     (Side::Tenant, _) => tenant.read(&mut bytes)?,
//!                     (Side::Hypervisor, Some(hypervisor)) => hypervisor.read(&mut bytes)?,
//!                     (Side::Hypervisor, None) => 0,
//!                 };
//!                 sides.side(side).rx.extend_from_slice(&bytes[..n]);
//!                 if n == 0 && bridge.eof(sides, side).is_err() {
//!                     continue; // the next step has the error, and sends the refusal to the other side
//!                 }
//!             }
//!             BridgeAction::Ask(BridgeQuestion::Challenge) => bridge.challenge(sides, challenge)?,
//!             BridgeAction::Ask(BridgeQuestion::Admit(claim)) => match claim {
//!                 ClientCredentials::Vnc { challenge, response } if password.verify(&challenge, &response) => bridge.admit(sides)?,
//!                 _ => bridge.refuse(sides, Refusal::default())?,
//!             },
//!             BridgeAction::Ask(BridgeQuestion::Connect) => match dial() {
//!                 Ok((connection, upstream)) => {
//!                     hypervisor = Some(connection);
//!                     bridge.connect(upstream)?;
//!                 }
//!                 Err(_) => bridge.refuse(sides, Refusal::Close)?,
//!             },
//!             BridgeAction::Ask(_) => bridge.refuse(sides, Refusal::Close)?, // no type is offered that asks for more
//!             BridgeAction::StartTls { .. } => return Err("see the module `tls`".into()),
//!             BridgeAction::Waiting => unreachable!("every question is answered at once"),
//!             BridgeAction::Done(outcome) => return Ok(outcome), // both `rx` may hold what is behind it
//!         }
//!     }
//! }
//! ```
