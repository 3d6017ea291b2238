//! Anything that an owner and a server may do to a client.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/client/driver.rs"]
mod driver;

fuzz_target!(|input: &[u8]| driver::check_client_input(input));
