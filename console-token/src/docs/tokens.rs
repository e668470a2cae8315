//! The life of a token.
//!
//! ```text
//! issuer                               gateway                                   log, audit
//! Secret -> tenant                     Secret::presented <- tenant
//!    |                                    |
//! Pepper::hash -> TokenHash            Pepper::hash -> TokenHash -> Fingerprint -----> names the token
//!    |                                    |
//! Store::insert(hash, Grant)           Store::apply(hash, context, Transition) -> Admitted { session, grant }
//! ```
//!
//! # What a use is
//!
//! [`Grant::scope`](crate::Grant::scope) decides, and follows from the type of the console:
//!
//! | Scope | One use is | Transitions |
//! |---|---|---|
//! | [`Connection`](crate::Scope::Connection): VNC, serial, WebMKS | a connection | `Redeem`, `Release`; or, if the store is to know what is open, `Open`, `Bind`, `Attend`, `Suspend`, `Resume`, `Release`, `Close` |
//! | [`SpiceSession`](crate::Scope::SpiceSession) | a session of a dozen connections | `Claim`, `Bind`, `Join`, `Migrate`, `Reopen`, `Settle`, `Attend`, `Suspend`, `Resume`, `Release`, `Close` |
//! | [`Exchange`](crate::Scope::Exchange): tokens in URLs | an exchange for another token | [`Store::exchange`](crate::Store::exchange) |
//!
//! A use is taken *before* the hypervisor is dialled, so that two viewers cannot have the same one. It is given back with
//! `Release` if no hypervisor can have accepted a ticket. [`Record`](crate::Record) has the table of cases and the states.
//!
//! ```rust
//! use console_token::{AttemptId, ConsoleType, Grant, Record, Refusal, Target, UnixSeconds, VerifyContext};
//!
//! let now = UnixSeconds(1_800_000_000);
//! let target = Target::Host { host: "192.0.2.7".into(), port: None, tls_port: Some(5901) };
//! let mut record = Record::new(Grant::new(target, ConsoleType::SpiceDirect, now, 600));
//! let context = VerifyContext::at(now);
//!
//! // The main channel claims the one use; the hypervisor names the session; further channels join by that number.
//! let session = record.claim(&context, AttemptId([1; 16]))?;
//! record.bind(session, 0x6b8b_4567)?;
//! let later = VerifyContext::at(now.saturating_add(3600)); // the token has expired, the session is open
//! assert_eq!(record.join(&later, 0x6b8b_4567), Ok(session));
//! assert_eq!(record.claim(&context, AttemptId([2; 16])), Err(Refusal::Spent));
//! record.close(session)?;
//! assert_eq!(record.join(&later, 0x6b8b_4567), Err(Refusal::SessionClosed));
//! # Ok::<(), Refusal>(())
//! ```
//!
//! # What trips up
//!
//! - **The pepper.** [`Pepper::new`](crate::Pepper::new) takes 32 bytes or more, from configuration that all gateways share and
//!   that is *not* in the store. With another pepper every token is [`Unknown`](crate::Refusal::Unknown). To change it, keep
//!   the old one in [`Peppers`](crate::Peppers) until its tokens have expired and their sessions have ended.
//! - **Random bytes.** Tokens, peppers and [`AttemptId`](crate::AttemptId)s are made of the caller's bytes: from the operating
//!   system, never from a seed. [`Secret::base64url`](crate::Secret::base64url) of 32 bytes has 43 characters; VNC passwords
//!   hold 8, so that a token cannot be one ([`Secret::fits_vnc_password`](crate::Secret::fits_vnc_password)).
//! - **Clocks.** Times are whole seconds of the wall clock; a token is valid while `not_before <= now < expires`. Where the clocks
//!   of issuer and gateway differ, give the grant a [`skew`](crate::Grant::with_skew), which counts on both sides. A clock that
//!   is set back makes expired tokens valid again; a clock that is wrong by hours refuses all.
//! - **An attempt is named.** Ask again with the *same* [`AttemptId`](crate::AttemptId) when an answer is lost, and with a new
//!   one for each new connection: a fixed id would give every connection the first answer.
//! - **What was presented** goes through [`Secret::presented`](crate::Secret::presented), which refuses what cannot be a token.
//!   Hash something else in its place then, so that both take the same time.
//! - **Sessions end by `Close`.** A gateway that stops leaves its sessions open in the store. `Suspend` with moments that lie
//!   ahead, said from time to time, bounds that (the features `spice`, `rfb` and `tokio` do it); so does `session_limit` of the
//!   grant.
//! - **The peer receives one text.** [`Refusal::public`](crate::Refusal::public) is the same for all refusals; `Display` and
//!   `Debug` are for the log.
//!
//! # Revocation and moves
//!
//! [`Store::revoke`](crate::Store::revoke) takes a [`TokenSelector`](crate::TokenSelector): one token, or all of a virtual
//! machine, user or issuer (give the grant these names, else it is not found by them), or the one of a fingerprint. Nothing is admitted any more at once;
//! open sessions end when their gateway asks `Attend` or `Suspend`. [`Store::retarget`](crate::Store::retarget) changes where later
//! connections go. [`Store::replace`](crate::Store::replace) gives the grant another token, and leaves open sessions be.
