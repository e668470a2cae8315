#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::rfb_messages::check(data));
