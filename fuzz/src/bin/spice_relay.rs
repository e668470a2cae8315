#![cfg_attr(fuzzing, no_main)]
//! What a proxy runs on: several `Relay`s that share their `Sessions`, as a sequence of operations. See `fuzz::spice_relay`.
//!
//! Not searched in CI: see LAWS.md.
fuzz::target!(fuzz::spice_relay::check);
