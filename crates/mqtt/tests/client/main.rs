//! The seeds of the fuzz target `client`, and what fuzzing found, hold without a fuzzer too.

mod driver;

use std::fs;
use std::path::Path;

use proptest::prelude::*;

#[test]
fn client_seeds_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/client");
    let mut seeds = 0;
    for entry in fs::read_dir(&folder).expect("a folder of seeds") {
        let path = entry.expect("a seed").path();
        // Shown where the test fails.
        println!("{}", path.display());
        driver::check_client_input(&fs::read(&path).expect("a seed that can be read"));
        seeds += 1;
    }
    assert!(seeds > 0, "no seeds in {}", folder.display());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_client_keeps_its_promises_whatever_happens(
        input in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        driver::check_client_input(&input);
    }
}
