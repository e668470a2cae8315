#![cfg_attr(fuzzing, no_main)]
//! The driver loops over scripted streams. See `fuzz::rfb_drivers`.
//!
//! Not searched in CI: see LAWS.md.
fuzz::target!(fuzz::rfb_drivers::check);
