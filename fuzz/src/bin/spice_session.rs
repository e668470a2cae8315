#![cfg_attr(fuzzing, no_main)]

fuzz::target!(fuzz::spice_session::check);
