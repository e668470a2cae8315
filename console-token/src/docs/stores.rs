//! Which store, and what its engine has to do.
//!
//! | Store | Feature | For | Lost when |
//! |---|---|---|---|
//! | [`MemoryStore`](crate::MemoryStore) | `std` | one process; tests | the process ends |
//! | `SqlStore`, SQLite | `sql` | the gateways of one machine | the disk is lost |
//! | `SqlStore`, PostgreSQL | `sql` | many gateways | as the engine is set up |
//! | `RedisStore` | `redis` | many gateways | as the engine is set up |
//!
//! A gateway works with [`Store`](crate::Store) behind a pointer, and chooses one when it starts:
//!
//! ```rust
//! # #[cfg(all(feature = "redis", feature = "sql"))]
//! # mod sample {
//! use std::{num::NonZeroU32, sync::Arc};
//!
//! use console_token::{MemoryStore, RedisStore, SqlStore, Store};
//!
//! async fn open(url: &str) -> Result<Arc<dyn Store>, Box<dyn std::error::Error>> {
//!     let connections = NonZeroU32::new(16).unwrap();
//!     Ok(match url.split(':').next() {
//!         Some("memory") => Arc::new(MemoryStore::new(100_000)),
//!         // sqlite:///var/lib/gateway/tokens.db?mode=rwc
//!         // postgres://gateway:password@db.example/consoles
//!         Some("sqlite" | "postgres") => Arc::new(SqlStore::connect(url, connections).await?),
//!         // redis://:password@redis.example:6379/0
//!         _ => Arc::new(RedisStore::connect(url, RedisStore::PREFIX).await?),
//!     })
//! }
//! # }
//! ```
//!
//! The same five calls, whatever the store is:
//!
//! ```rust
//! # use std::sync::Arc;
//! use console_token::{
//!     AttemptId, ConsoleType, Grant, MemoryStore, Pepper, Refusal, Secret, Store, StoreError, Target, TokenSelector,
//!     Transition, UnixSeconds, VerifyContext,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store: Arc<dyn Store> = Arc::new(MemoryStore::new(1000));
//! let (pepper, now) = (Pepper::new(&[7; 32])?, UnixSeconds(1_800_000_000));
//! let hash = pepper.hash(&Secret::base64url(&[0x5a; 32])); // random bytes
//! let target = Target::Host { host: "192.0.2.7".into(), port: Some(5900), tls_port: None };
//! let grant = Grant::new(target, ConsoleType::NoVnc, now, 600).with_vm("db-7");
//! store.insert(&hash, &grant).await?;
//!
//! let context = VerifyContext::at(now);
//! assert_eq!(store.check(&hash, context).await?.vm.as_deref(), Some("db-7")); // decides nothing
//! let admitted = store.apply(&hash, context, Transition::Redeem(AttemptId([1; 16]))).await?;
//! // The hypervisor was not reached: the use is given back.
//! store.apply(&hash, context, Transition::Release(admitted.session)).await?;
//! assert_eq!(store.revoke(TokenSelector::Vm("db-7")).await?, 1);
//! let refused = store.apply(&hash, context, Transition::Redeem(AttemptId([2; 16]))).await;
//! assert!(matches!(refused, Err(StoreError::Refused(Refusal::Revoked))));
//! // From time to time: what has expired and has no session is forgotten.
//! store.sweep(now.saturating_add(600), 1000.try_into()?).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Durability
//!
//! A token that was spent must stay so. What the engine owes:
//!
//! - **PostgreSQL**: `fsync` and `synchronous_commit` on, which is the default; with a standby that may take over, its name in
//!   `synchronous_standby_names`.
//! - **SQLite**: `SqlStore::connect` sets `synchronous = FULL` and `journal_mode = WAL`. A file on a local disk; not `:memory:`.
//! - **Redis**: `appendonly yes` and `appendfsync always`. With `everysec`, tokens that were spent in the last second before a crash
//!   can be used again. A replica that takes over may lack the last writes; `maxmemory-policy noeviction`, or records are thrown
//!   away.
//! - **Memory**: nothing is kept. Tokens are unknown after a restart, which is safe.
//!
//! # Failure
//!
//! [`StoreError::Backend`](crate::StoreError::Backend): the engine failed, and *whether the transition was applied is not known*.
//! Ask again: with the same [`AttemptId`](crate::AttemptId) a claim or redeem gets its first answer, and all other transitions can
//! be repeated as they are. Give the answer a time limit of your own; a stream that is cut off is noticed late. If the answer does
//! not come, refuse the viewer, and later repeat the attempt and give it back with `Release`. The features `spice`, `rfb` and `tokio` do all of this.
//!
//! [`StoreError::Full`](crate::StoreError::Full): sweep, and try again.
//! [`StoreError::Duplicate`](crate::StoreError::Duplicate): two tokens have the same hash, so the random source repeats itself. Stop.
//!
//! # A store of your own
//!
//! Implement [`Store`](crate::Store): load a [`Record`](crate::Record), apply the pure transition, write it if it has not changed
//! meanwhile. The trait says what it owes.
