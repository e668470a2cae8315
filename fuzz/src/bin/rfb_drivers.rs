#![cfg_attr(fuzzing, no_main)]
//! The driver loops over scripted streams. See `fuzz::rfb_drivers`.
fuzz::target!(fuzz::rfb_drivers::check);
