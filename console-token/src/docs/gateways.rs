//! Which parts a gateway is made of, in the order in which a connection meets them.
//!
//! | Step | Part |
//! |---|---|
//! | A connection comes | [`ConnectionLimiter`](crate::ConnectionLimiter): a place; the heaviest source gives way |
//! | A WebSocket's request | [`OriginRule`](crate::web::origin::OriginRule), [`web::place`](crate::web::place) |
//! | A password is wrong | [`Throttle`](crate::Throttle) |
//! | The token | [`Secret::presented`](crate::Secret::presented), [`Peppers::hashes`](crate::Peppers::hashes), [`Store::apply`](crate::Store::apply) |
//! | The target | [`Grant::target`](crate::Grant::target); of a `CONNECT`: [`TargetRule`](crate::web::target::TargetRule) |
//! | The console is exclusive | [`Store::leases`](crate::Store::leases) |
//! | What happened | [`Event`](crate::Event): a line for the audit log |
//!
//! # SPICE
//!
//! With the feature `spice` all that concerns tokens is done: the module `spice` couples them to the sessions of `spice-proto`, with
//! claim, bind, join, release, retarget, revocation and the end of a session, over any store. What is left to the author is
//! the way to the hypervisor, its password, and where a session may move. The program
//! `console-token/examples/spice_gateway.rs` is a whole gateway of less than 80 lines.
//!
//! # VNC, serial, WebMKS
//!
//! Each connection is a use: `Redeem` before the hypervisor is dialled, `Release` if it is not reached or refuses, nothing
//! otherwise.
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
//! For WebMKS the gateway logs in at VMware's authd with the ticket of the grant: [`webmks::Login`](crate::webmks::Login).
