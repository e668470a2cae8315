//! Guides. This module holds no code: it is there in the documentation only.
//!
//! | You write | Read |
//! |---|---|
//! | a proxy or gateway between viewers and hypervisors | [`proxy`] |
//! | a client, a test server, a probe | [`client`] |
//! | a recorder, a dissector, anything that follows a stream | [`framing`] |
//! | the configuration of any of them | [`limits`]: what a peer can make you hold, and for how long |
//! | the handling of what goes wrong | [`errors`]: each error, its cause, its remedy, what the peer was told |
//! | tests of code that uses this crate | [`fuzzing`] |

pub mod client;
pub mod errors;
pub mod framing;
pub mod fuzzing;
pub mod limits;
pub mod proxy;
