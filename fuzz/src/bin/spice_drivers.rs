#![cfg_attr(fuzzing, no_main)]
//! The driver loops over scripted streams. See `fuzz::spice_drivers`.
//!
//! Not searched in CI: see LAWS.md.
fuzz::target!(fuzz::spice_drivers::check);
