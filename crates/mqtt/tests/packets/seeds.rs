//! The fuzz targets' seeds, and what fuzzing found, hold without a fuzzer too.

use std::fs;
use std::path::Path;

use crate::invariants::{check_packet_input, check_stream_input, check_topic_input};

#[test]
fn packet_seeds_hold() {
    check_seeds("packet", check_packet_input);
}

#[test]
fn stream_seeds_hold() {
    check_seeds("stream", check_stream_input);
}

#[test]
fn topic_seeds_hold() {
    check_seeds("topic", check_topic_input);
}

fn check_seeds(target: &str, check: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(target);
    let mut seeds = 0;
    for entry in fs::read_dir(&folder).expect("a folder of seeds") {
        let path = entry.expect("a seed").path();
        // Shown where the test fails.
        println!("{}", path.display());
        check(&fs::read(&path).expect("a seed that can be read"));
        seeds += 1;
    }
    assert!(seeds > 0, "no seeds in {}", folder.display());
}
