//! Everything that is tested from outside, in one binary.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    clippy::unwrap_used,
    reason = "tests run on the host, and one that panics has failed"
)]

mod bad_input;
mod builder;
mod edit;
mod examples;
mod hotkey_version_oracles;
mod key_file;
mod keyfile_oracle;
mod lint;
mod oracle;
#[path = "../pages/mod.rs"]
mod pages;
mod parts;
mod policy;
mod presets;
mod subject;
mod vv_oracle;

/// So many errors there were when this was written: a reader of sources that finds none would find nothing missing.
const ERRORS: usize = 60;
/// Examples that the README quotes.
const QUOTED: [&str; 1] = ["write_vv"];
