#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::spice_session::check(data));
