#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::vv_file::lint(data));
