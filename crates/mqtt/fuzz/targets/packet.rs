//! Any bytes, in both versions: a packet or an error, and what was decoded comes back.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "the other targets use the rest")]
#[path = "../../tests/packets/invariants.rs"]
mod invariants;

fuzz_target!(|input: &[u8]| invariants::check_packet_input(input));
