//! Guides. This module holds no code: it is there in the documentation only.
//!
//! | You write | Read |
//! |---|---|
//! | a proxy or gateway between viewers and hypervisors | [`proxy`], and [`migration`] before guests move |
//! | a client, a test server, a probe, a recorder, an agent | [`client`] |
//! | the configuration of either | [`limits`]: what a peer can make you hold, and for how long |
//! | the handling of what goes wrong | [`errors`]: each error, its cause, its remedy, what the peer was told |
//! | tests of code that uses this crate | [`fuzzing`] |
//!
//! The programs that the guides show are the examples of the crate, which are run by tests.

pub mod client;
pub mod errors;
pub mod fuzzing;
pub mod limits;
pub mod migration;
pub mod proxy;
