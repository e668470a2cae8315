//! Tokens coupled to SPICE sessions: viewers and hypervisors in memory, the shipped driver between them, time that does not
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
mod failing;
mod gateways;
mod hypervisor;
mod line;
mod moves;
mod outage;
mod program;
mod site;
#[cfg(feature = "sql")]
mod sqlite;
mod tokens;

use spice_proto::ids::ChannelType;

const MAIN: ChannelType = ChannelType::MAIN;
const INPUTS: ChannelType = ChannelType::INPUTS;
const DISPLAY: ChannelType = ChannelType::DISPLAY;
/// How all refusals look from outside.
const DENIED: Option<u32> = Some(spice_proto::ids::LinkErrorCode::PERMISSION_DENIED.0);

/// Random enough for keys and tokens of tests.
fn random(bytes: &mut [u8]) {
    getrandom::fill(bytes).unwrap();
}
