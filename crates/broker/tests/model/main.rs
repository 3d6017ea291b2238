//! The engine does what a small, slow model of MQTT says, with several clients and whatever they
//! do, and stays within its limits whatever bytes come. The fuzz targets `engine` and `bytes` look for
//! more; their seeds, and what they found, hold here.

mod bytes;
mod check;

use std::fs;
use std::path::Path;

use proptest::prelude::*;

#[test]
fn engine_seeds_hold() {
    seeds_hold("engine", check::check_engine_input);
}

#[test]
fn bytes_seeds_hold() {
    seeds_hold("bytes", bytes::check_bytes_input);
}

fn seeds_hold(target: &str, check: fn(&[u8])) {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let folder = seeds.join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("a folder of seeds") {
        let path = entry.expect("a seed").path();
        // Shown where the test fails.
        println!("{}", path.display());
        check(&fs::read(&path).expect("a seed that can be read"));
        count += 1;
    }
    assert!(count > 0, "no seeds in {}", folder.display());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_engine_does_what_the_model_says_whatever_clients_do(
        input in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        check::check_engine_input(&input);
    }

    #[test]
    fn every_limit_holds_whatever_bytes_come(
        input in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        bytes::check_bytes_input(&input);
    }
}
