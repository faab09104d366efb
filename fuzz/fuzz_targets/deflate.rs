#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| ws13_fuzz::deflate::check(data));
