//! SPICE sessions that console tokens open: the proxy handler of [`spice_proto`] over any [`Store`](crate::Store).
//!
//! A SPICE console is a dozen connections that all present the same token. [`TokenSessions`] couples each token to the
//! session that it opened, and [`TokenProxy`] answers for one connection what
//! [`drive_session`](spice_proto::drive_session) asks. The author of a gateway supplies the rest as a
//! [`ConsoleBackend`]: how a hypervisor is reached, and its password.
//!
//! ```text
//!  viewer ---- token ----> TokenProxy ---- hypervisor's password ----> hypervisor
//!                              |
//!                        TokenSessions ---- claim, bind, join, release, close ----> Store
//! ```
//!
//! | What happens | What the store is asked |
//! |---|---|
//! | A main channel asks for a new session | `claim`: spends a use |
//! | The hypervisor is not reached, or refuses the password | `release`: the use is given back |
//! | The hypervisor names the session (INIT) | `bind`, before the viewer learns the number |
//! | A further channel comes | `join`: spends nothing, also after the token's expiry |
//! | The hypervisor moves the session | `join`, for the target that the token has now; [`ConsoleBackend::may_move`] decides |
//! | The viewer comes again after `MIGRATE_SWITCH_HOST` | `migrate` and `reopen`: spends nothing |
//! | The main channel ends | `suspend` for [`Settings::reconnect`], else `close`: the use stays spent |
//! | The viewer of a session that broke off comes again | `resume`: spends nothing |
//! | From time to time | `suspend` from [`Settings::lease`] on, so that a gateway that stops holds nothing; `attend`: a session whose token was revoked, or whose time is over, is ended |
//!
//! # Several gateways
//!
//! Gateways that share a store know each other's tokens. The channels of one session come to several of them if a balancer
//! in front deals connections out in turn. With [`Settings::gateway`], the gateway that took a session's first main channel
//! has the session and keeps all of its state, and the others hand its further channels on:
//!
//! ```text
//!  viewer ---- token ----> gateway B ---- the same token ----> gateway A ---- hypervisor's password ----> hypervisor
//!                              |                                   |
//!                              +----- join; who has it? ---> Store <--- claim, bind, "it is at A"
//! ```
//!
//! For A, B is a viewer; for B, A is a hypervisor whose ticket is the token. So policy, moves and counts are A's as ever.
//! The author of a gateway supplies the way from one to the other: [`ConsoleBackend::gateway`].
//!
//! # When the store fails
//!
//! Each request is repeated for [`Settings::store_timeout`]. Then:
//!
//! - a claim is refused. Whether it was applied is not known, so the same attempt is claimed and given back as soon as the
//!   store answers: the use is neither lost nor had twice;
//! - a bind ends its session; a join is refused, and the viewer can try again;
//! - a release or a close is repeated until the store answers, so that no session stays open there;
//! - sessions that are open go on, and what their gateways could not hold meanwhile is not free for others until the store has
//!   answered for as long as [`Settings::lease`].
//!
//! # Example
//!
//! A whole gateway. `cargo run --example spice_gateway --features spice` runs it.
//!
//! ```no_run
#![doc = include_str!("../../examples/spice_gateway.rs")]
//! ```

mod backend;
mod books;
mod denial;
mod ending;
mod entering;
mod keys;
mod owners;
mod proxy;
mod sessions;
mod settings;

pub use backend::{Console, ConsoleBackend, Event, Place, leads_to};
pub use denial::Denial;
pub use ending::SessionEvent;
pub use keys::TicketKeys;
pub use proxy::TokenProxy;
pub use sessions::TokenSessions;
pub use settings::Settings;
