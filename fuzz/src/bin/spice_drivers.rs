#![cfg_attr(fuzzing, no_main)]
//! The driver loops over scripted streams. See `fuzz::spice_drivers`.
fuzz::target!(fuzz::spice_drivers::check);
