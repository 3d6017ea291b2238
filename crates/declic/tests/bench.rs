//! `declic bench broker` and `hostile`, with very little of everything: that they measure, not what.
#![cfg(target_os = "linux")]

use std::process::Command;

fn measure(row: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_declic"))
        .args(["bench", "broker", "--peer", "declic", "--peer", "floor"])
        .args(["--row", row, "--scale", "20", "--seconds", "0.1"])
        .args(["--rounds", "1", "--json"])
        .output()
        .expect("declic starts");
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{stderr}");
    assert_eq!(stderr, "", "nothing is left out or lost");
    stdout.lines().map(str::to_owned).collect()
}

#[test]
fn every_row_of_the_benchmark_measures_the_broker_and_the_floor() {
    let flows = ["one-to-one", "pairs", "qos2", "fan-out", "fan-in"];
    for row in flows.into_iter().chain(["latency", "connect"]) {
        let figures = measure(row);
        assert_eq!(figures.len(), 2, "{row}");
        for peer in ["declic", "bare relay"] {
            assert!(figures[0].contains(&format!(",\"{peer}\":")), "{figures:?}");
        }
    }
}

#[test]
fn memory_subscriptions_and_the_disk_are_measured_without_the_floor() {
    for (row, count) in [
        ("idle", 2),
        ("subscriptions", 3),
        ("durable", 2),
        ("restart", 1),
    ] {
        let figures = measure(row);
        assert_eq!(figures.len(), count, "{figures:?}");
        assert!(figures[0].contains(",\"declic\":"), "{figures:?}");
    }
}

/// The command fails when a message of the others is lost, or when memory goes beyond its limit.
#[test]
fn a_few_hostile_clients_of_each_kind_harm_nobody() {
    let output = Command::new(env!("CARGO_BIN_EXE_declic"))
        .args(["bench", "hostile", "--peer", "declic", "--json"])
        .args(["--scale", "8", "--seconds", "0.2"])
        .output()
        .expect("declic starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(stdout.lines().count(), 8, "{stdout}");
    for figures in stdout.lines() {
        assert!(figures.contains(r#""broker":"declic""#), "{figures}");
        assert!(figures.contains(r#""lost":0"#), "{figures}");
    }
}
