//! Tests of spice-proto from the outside, in one binary.

#![cfg_attr(not(feature = "rsa"), allow(dead_code, reason = "most tests of links make tickets"))]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    clippy::unwrap_used,
    reason = "tests run on the host, on values that they made, and one that panics has failed"
)]

mod agent;
mod agent_captures;
mod agent_streams;
mod agent_tokens;
mod agent_values;
#[cfg(feature = "arbitrary")]
mod any_value;
mod captures;
mod changed;
#[cfg(feature = "tokio")]
mod codec;
mod coverage;
mod cutter;
#[cfg(feature = "rsa")]
mod drive;
#[cfg(all(feature = "rsa", feature = "tokio"))]
mod drivers;
#[cfg(feature = "rsa")]
mod errors;
#[cfg(all(feature = "rsa", feature = "tokio"))]
mod example_relay;
mod forwarder;
mod frame_lists;
mod frames;
mod heads;
#[cfg(feature = "rsa")]
mod hostile;
mod hostile_agent;
#[cfg(feature = "rsa")]
mod hostile_sasl;
mod hostile_sessions;
mod interpreter;
#[cfg(feature = "rsa")]
mod key_pool;
#[cfg(feature = "rsa")]
mod link;
#[cfg(feature = "rsa")]
mod link_captures;
mod link_values;
mod migration;
mod numbers;
#[cfg(feature = "rsa")]
mod other_protocols;
#[cfg(feature = "rsa")]
mod own_copy;
#[cfg(feature = "rsa")]
mod pair;
mod policy;
mod readme;
mod recordings;
#[cfg(feature = "rsa")]
mod relay;
#[cfg(feature = "rsa")]
mod relay_upstream;
mod sasl;
#[cfg(feature = "rsa")]
mod sasl_captures;
#[cfg(feature = "rsa")]
mod secrets;
#[cfg(feature = "serde")]
mod serde;
#[cfg(all(feature = "rsa", feature = "tokio"))]
mod session_relay;
#[cfg(feature = "rsa")]
mod ticket;
#[cfg(feature = "rsa")]
mod tickets_sent;
#[cfg(feature = "rustls")]
mod tls;
#[cfg(all(feature = "rsa", feature = "rustls"))]
mod tls_direct;
mod tracker;
mod tracker_hostile;
mod values;
mod watch;
