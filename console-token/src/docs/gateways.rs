//! Which parts a gateway is made of, in the order in which a connection meets them.
//!
//! | Step | Part |
//! |---|---|
//! | A connection comes | [`ConnectionLimiter`](crate::ConnectionLimiter): a place; the heaviest source gives way |
//! | Handshakes, tickets, requests | `FairScheduler` (feature `std`): who comes now and then does not stand behind who asks all the time |
//! | A WebSocket's request | [`OriginRule`](crate::web::origin::OriginRule), [`web::place`](crate::web::place) |
//! | A password or token is wrong | [`Throttle`](crate::Throttle): [`check`](crate::Throttle::check) before it is looked at, [`attempt`](crate::Throttle::attempt) when it was wrong |
//! | The token | [`Secret::presented`](crate::Secret::presented), [`Peppers::hashes`](crate::Peppers::hashes), [`Store::apply`](crate::Store::apply) |
//! | The target | [`Grant::target`](crate::Grant::target); of a `CONNECT`: [`TargetRule`](crate::web::target::TargetRule) |
//! | The console is exclusive | [`Store::leases`](crate::Store::leases) |
//! | Other gateways have to know | [`Store::set_note`](crate::Store::set_note) |
//! | What happened | [`Event`](crate::Event): a line for the audit log |
//!
//! # SPICE
//!
//! With the feature `spice` all that concerns tokens is done: the module `spice` couples them to the sessions of `spice-proto`, with
//! claim, bind, join, release, retarget, revocation and the end of a session, over any store. What is left to the author is
//! the way to the hypervisor, its password, and where a session may move. The program
//! `console-token/examples/spice_gateway.rs` is a whole gateway of less than 80 lines.
//!
//! # VNC
//!
//! The feature `rfb` does the same for `rfb-proto`: its module couples each token to the connection that it opened. The program
//! `console-token/examples/vnc_gateway.rs` is a whole gateway of 80 lines.
//!
//! # Serial, WebMKS, tunnels
//!
//! Each connection is a use. With the feature `tokio`, `connections::TokenConnections` takes it, gives it back if no hypervisor
//! was reached, ends it when the token is revoked, and lets a viewer that broke off come again. What is left to the author is
//! to dial, and to copy bytes.
//!
//! By hand: `Open` before the hypervisor is dialled, `Release` if it is not reached or refuses, `Bind` when it may have accepted,
//! `Attend` from time to time, `Close` at the end. A gateway that keeps no account of what is open takes `Redeem` in place of
//! `Open`, and needs neither `Attend` nor `Close`; a revocation does not end what is open then.
//!
//! ```rust
//! use console_token::{AttemptId, Grant, Pepper, Secret, Store, Transition, VerifyContext};
//!
//! /// What the token leads to, and how its use is given back; or the text for the viewer.
//! async fn admit(
//!     store: &dyn Store, pepper: &Pepper, presented: &[u8], context: VerifyContext<'_>, attempt: AttemptId,
//! ) -> Result<(std::sync::Arc<Grant>, Transition), &'static str> {
//!     let token = Secret::presented(presented).map_err(|refusal| refusal.public())?;
//!     let admitted = store.apply(&pepper.hash(&token), context, Transition::Redeem(attempt)).await;
//!     let admitted = admitted.map_err(|error| error.public())?;
//!     Ok((admitted.grant, Transition::Release(admitted.session)))
//! }
//! ```
//!
//! A serial port has one user at a time: [`Leases`](crate::Leases), by the console's name, with the attempt as holder. Keep the
//! lease while the connection lives; a user that was kicked learns it from the refusal
//! [`LeaseLost`](crate::Refusal::LeaseLost).
//!
//! ```rust
//! use console_token::{AttemptId, LeaseRules, LeaseTransition, Leases, Refusal, UnixSeconds};
//!
//! let (mut port, now) = (Leases::default(), UnixSeconds(1_800_000_000));
//! let (first, second) = (AttemptId([1; 16]), AttemptId([2; 16]));
//! port.apply(now, &LeaseRules::EXCLUSIVE, LeaseTransition::Take(first))?;
//! let taken = port.apply(now, &LeaseRules::EXCLUSIVE, LeaseTransition::Take(second));
//! assert_eq!(taken, Err(Refusal::Busy));
//! // The first gateway stopped without a word: 60 seconds later its lease is lost.
//! port.apply(now.saturating_add(60), &LeaseRules::EXCLUSIVE, LeaseTransition::Take(second))?;
//! let kept = LeaseTransition::Keep { holder: first, active: false };
//! assert_eq!(port.apply(now.saturating_add(61), &LeaseRules::EXCLUSIVE, kept), Err(Refusal::LeaseLost));
//! # Ok::<(), Refusal>(())
//! ```
//!
//! # Several gateways
//!
//! A store is shared by the gateways that have the same peppers. The channels of one SPICE session may come to several of them:
//! with [`spice::Settings::gateway`](crate::spice::Settings::gateway) the one that took the first main channel has the session,
//! and the others hand further channels on to it ([`spice`](crate::spice): several gateways).
//!
//! A session is held by its gateway for 15 seconds at a time
//! (`Settings::lease`), so that one that stops without a word holds nothing for longer: from its first moment, by
//! [`VerifyContext::with_lease`](crate::VerifyContext::with_lease), and then by [`Suspend`](crate::Transition::Suspend).
//! `Settings::reconnect` lets viewers come again, at another gateway too. What gateways have to tell each other otherwise, such
//! as which sessions are open where, or which ticket a hypervisor has now, is a [`Note`](crate::Note): a value under a name,
//! until a time, with compare and set.
//!
//! ```rust
//! # use std::sync::Arc;
//! use console_token::{MemoryStore, NoteChange, Store, UnixSeconds};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let store: Arc<dyn Store> = Arc::new(MemoryStore::new(1000));
//! # let now = UnixSeconds(1_800_000_000);
//! // Of the gateways that want to set a hypervisor's ticket one is the first; the others read what it has set.
//! let first = NoteChange::write(b"ticket", now.saturating_add(60)).expecting(0);
//! if !store.set_note("ticket/db-7", now, first).await? {
//!     let set = store.note("ticket/db-7", now).await?.ok_or("it is over already")?;
//!     println!("{} bytes", set.value.len());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Replacing a token
//!
//! [`Store::replace`](crate::Store::replace) gives a grant another token: what is open goes on under the new one, and nothing
//! can be opened with the old one any more. Viewers know the old one alone, so that further channels of a session that is open
//! are still let in with it. [`Store::find`](crate::Store::find) finds a token by the fingerprint that logs show.
//!
//! # WebMKS
//!
//! The gateway logs in at VMware's authd with the ticket of the grant: [`webmks::Login`](crate::webmks::Login).
