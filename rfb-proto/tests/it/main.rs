//! The crate against known answers of other programs, its tables and random input.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking; the helpers outside of the test functions are tests too"
)]

#[cfg(all(feature = "rsa-aes", feature = "ard", feature = "ms-logon"))]
mod ard;
mod bridge;
mod bridge_rules;
mod captures;
#[cfg(feature = "rustls")]
mod certificates;
mod chain;
mod clipboards;
#[cfg(feature = "tokio")]
mod codec;
mod coverage;
mod data;
#[cfg(feature = "rustls")]
mod double_tls;
#[cfg(feature = "tokio")]
mod drive;
#[cfg(feature = "tokio")]
mod drive_bridge;
#[cfg(feature = "tokio")]
mod drive_bridge_slow;
#[cfg(feature = "tokio")]
mod drive_session;
#[cfg(feature = "tokio")]
mod drive_slow;
mod encodings;
mod errors;
mod field;
mod filter_messages;
mod filters;
mod framing_bypass;
mod framing_captures;
mod framing_formats;
mod framing_hostile;
mod framing_moves;
mod framing_relay;
mod guard;
mod handshake;
mod handshake_parts;
mod handshake_versions;
mod hostile;
mod hostile_bridge;
mod interpreter;
mod lessons;
#[cfg(all(feature = "rsa-aes", feature = "ard", feature = "ms-logon"))]
mod login_pairs;
#[cfg(all(feature = "rsa-aes", feature = "ard", feature = "ms-logon"))]
mod login_vectors;
#[cfg(all(feature = "rsa-aes", feature = "ard", feature = "ms-logon"))]
mod logins;
mod message_limits;
mod messages;
#[cfg(all(feature = "rsa-aes", feature = "ard", feature = "ms-logon"))]
mod ms_logon;
mod negotiation;
mod own_copy;
mod pair;
mod play;
mod properties;
mod proxy_scripts;
mod readme;
mod recorded;
mod recordings;
mod rectangles;
#[cfg(all(feature = "rsa-aes", feature = "ard", feature = "ms-logon"))]
mod rsa_aes;
mod scripts;
mod secrets;
mod security;
#[cfg(feature = "serde")]
mod serde;
mod session_relay;
#[cfg(feature = "tokio")]
mod slow;
mod tables;
#[cfg(feature = "rustls")]
mod tls;
#[cfg(all(feature = "rustls", feature = "tokio"))]
mod tls_stream;
mod vectors;
mod version;
mod walk;
#[cfg(feature = "tokio")]
mod words;
