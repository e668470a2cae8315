//! Tests of spice-proto from the outside, in one binary.

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
#[cfg(feature = "tokio")]
mod codec;
mod coverage;
mod cutter;
mod drive;
#[cfg(feature = "tokio")]
mod drivers;
mod errors;
#[cfg(feature = "tokio")]
mod example_relay;
mod forwarder;
mod frames;
mod heads;
mod hostile;
mod hostile_agent;
mod hostile_sasl;
mod hostile_sessions;
mod interpreter;
mod key_pool;
mod link;
mod link_captures;
mod migration;
mod numbers;
mod other_protocols;
mod own_copy;
mod pair;
mod policy;
mod recordings;
mod relay;
mod relay_upstream;
mod sasl;
mod sasl_captures;
mod secrets;
#[cfg(feature = "serde")]
mod serde;
#[cfg(feature = "tokio")]
mod session_relay;
mod ticket;
mod tickets_sent;
#[cfg(feature = "rustls")]
mod tls;
#[cfg(feature = "rustls")]
mod tls_direct;
mod tracker;
mod tracker_hostile;
mod values;
mod watch;
