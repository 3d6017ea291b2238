//! Anything that several clients may do to the engine, beside a model of MQTT.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/model/check/mod.rs"]
mod check;

fuzz_target!(|input: &[u8]| check::check_engine_input(input));
