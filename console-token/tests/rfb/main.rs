//! Tokens coupled to connections: viewers and hypervisors in memory, the shipped driver between them, time that does not
//! pass by itself; and the example program.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::std_instead_of_core,
    clippy::std_instead_of_alloc,
    reason = "a test that panics has failed, which is what it is for"
)]

mod again;
#[path = "../support/example.rs"]
mod example;
#[path = "../spice/failing.rs"]
mod failing;
mod outage;
mod peers;
mod program;
mod site;
mod tokens;

/// Random enough for keys and tokens of tests.
fn random(bytes: &mut [u8]) {
    getrandom::fill(bytes).unwrap();
}
