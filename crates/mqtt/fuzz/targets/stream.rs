//! Any bytes, split anywhere: the same packets and the same error.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "the other targets use the rest")]
#[path = "../../tests/packets/invariants.rs"]
mod invariants;

fuzz_target!(|input: &[u8]| invariants::check_stream_input(input));
