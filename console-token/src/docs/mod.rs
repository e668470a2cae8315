//! Guides: one page a task, and a page of errors.
//!
//! | Page | For |
//! |---|---|
//! | [`tokens`] | what a token is, what a use costs, clocks, peppers, revocation |
//! | [`stores`] | which store, what its engine has to do, what happens when it fails |
//! | [`web`] | tokens in URLs and requests, pages that may connect, targets of `CONNECT` |
//! | [`gateways`] | SPICE, VNC, serial and WebMKS gateways: which parts, in which order |
//! | [`errors`] | each error: cause, remedy, what the peer receives |
//! | [`fuzzing`] | tests of code that uses this crate |
//!
//! # Which part needs which feature
//!
//! | Part | Feature |
//! |---|---|
//! | tokens, grants, records, `web`, `serial`, `webmks::Login`, `Throttle`, `ConnectionLimiter` | none |
//! | `MemoryStore` | `std` (default) |
//! | values from a fuzzer's bytes | `arbitrary` |
//! | `nova`, `resolver`, JSON of tickets, `serde` of grants | `serde` |
//! | `signed`: keys, signing, verifying | `jwt` |
//! | `RedisStore` | `redis` |
//! | `SqlStore` | `sql` |
//! | `connections`: tokens coupled to connections of any kind | `tokio` |
//! | `rfb`: tokens coupled to VNC connections | `rfb` |
//! | `spice`: tokens coupled to SPICE sessions | `spice` |

pub mod errors;
pub mod fuzzing;
pub mod gateways;
pub mod stores;
pub mod tokens;
pub mod web;
