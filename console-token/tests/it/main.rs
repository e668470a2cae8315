//! The tests of console-token, in one binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::std_instead_of_core,
    clippy::std_instead_of_alloc,
    reason = "a test that panics has failed, which is what it is for"
)]

mod access_url;
mod audit;
#[cfg(feature = "std")]
mod conformance;
mod connection_limiter;
mod console;
mod errors;
#[cfg(feature = "std")]
mod fair_queue;
mod leases;
#[cfg(feature = "std")]
mod model;
#[cfg(feature = "serde")]
mod nova;
mod oracle;
#[path = "../../../vv-file/tests/pages/mod.rs"]
mod pages;
mod password;
mod record;
mod release;
#[cfg(feature = "serde")]
mod resolver;
mod secret;
mod serial;
#[cfg(all(feature = "jwt", feature = "std"))]
mod signed;
#[cfg(feature = "std")]
mod store;
mod throttle;
mod token_oracle;
mod web;
mod webmks_login;
mod webmks_ticket;

#[cfg(feature = "std")]
#[path = "../support/example.rs"]
mod example;
#[cfg(feature = "std")]
mod one_time_token;

#[cfg(feature = "std")]
#[path = "../naive/mod.rs"]
mod naive;

use core::sync::atomic::{AtomicU64, Ordering};

use console_token::{AttemptId, ConsoleType, Grant, Target, UnixSeconds, VerifyContext};

/// Valid from 1000 to 1600, once.
fn grant(console: ConsoleType) -> Grant {
    let target = Target::Host {
        host: "192.0.2.7".into(),
        port: Some(5900),
        tls_port: None,
    };
    Grant::new(target, console, at(1000), 600)
}

fn spice() -> Grant {
    grant(ConsoleType::SpiceDirect)
}

fn vnc() -> Grant {
    grant(ConsoleType::NoVnc)
}

/// A gateway without a name.
fn context(seconds: u64) -> VerifyContext<'static> {
    VerifyContext::at(at(seconds))
}

/// One that was not there before.
fn attempt() -> AttemptId {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut id = [0; 16];
    id[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_le_bytes());
    AttemptId(id)
}

fn at(seconds: u64) -> UnixSeconds {
    UnixSeconds(seconds)
}

/// So many errors there were when this was written: a reader of sources that finds none would find nothing missing.
const ERRORS: usize = 130;
/// Examples that the README quotes.
const QUOTED: [&str; 2] = ["one_time_token", "spice_gateway"];
