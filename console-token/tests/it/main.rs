//! The tests of console-token, in one binary.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::std_instead_of_core,
    clippy::std_instead_of_alloc,
    reason = "a test that panics has failed, which is what it is for"
)]

mod access_url;
mod console;
mod errors;
mod model;
mod oracle;
mod password;
mod record;
mod secret;
mod serial;
mod store;
mod token_oracle;
mod webmks_login;
mod webmks_ticket;

use console_token::{ConsoleType, Grant, Target, UnixSeconds};

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

fn at(seconds: u64) -> UnixSeconds {
    UnixSeconds(seconds)
}
