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

mod builder;
mod key_file;
mod keyfile_oracle;
mod oracle;
mod vv_oracle;
