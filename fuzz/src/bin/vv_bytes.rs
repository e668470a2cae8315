#![cfg_attr(fuzzing, no_main)]

fuzz::target!(fuzz::vv_file::bytes);
