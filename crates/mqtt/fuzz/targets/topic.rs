//! Any filter and any name: valid and matching as the plain rules say.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "the other targets use the rest")]
#[path = "../../tests/packets/invariants.rs"]
mod invariants;

fuzz_target!(|input: &[u8]| invariants::check_topic_input(input));
