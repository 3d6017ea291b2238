//! Any bytes on several connections, with little room for anything.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/model/bytes.rs"]
mod bytes;

fuzz_target!(|input: &[u8]| bytes::check_bytes_input(input));
