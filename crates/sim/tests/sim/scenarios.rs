//! Homes by chance, in which everything goes wrong; see `Scenario::run` for the rules.

use declic_sim::scenario::{Scenario, explore};

#[test]
fn no_rule_is_broken_in_many_homes() {
    let explored = explore(0..SEEDS, 2);
    if let Some((seed, failure)) = explored.failure {
        panic!("seed {seed}: {failure}\nto see it: declic sim replay {seed}");
    }
    let outcome = explored.outcome;
    assert_eq!(explored.runs, SEEDS);
    // It was not all quiet.
    assert!(outcome.presses > 20 * SEEDS, "{outcome:?}");
    assert!(outcome.accepted > 10 * SEEDS, "{outcome:?}");
    assert!(outcome.power_cuts > SEEDS / 4, "{outcome:?}");
    assert!(outcome.connections > 10 * SEEDS, "{outcome:?}");
}

#[test]
fn a_seed_gives_the_same_scenario_and_the_same_run_each_time() {
    for seed in 0..2 {
        let scenario = Scenario::generate(seed);
        assert_eq!(scenario, Scenario::generate(seed));
        let run = scenario.run(true);
        assert_eq!(run, scenario.run(true));
        assert!(!run.timeline.is_empty());
        // The timeline only looks.
        let silent = scenario.run(false);
        assert_eq!(silent.outcome, run.outcome);
        assert!(silent.timeline.is_empty());
    }
}

/// A few seconds without optimization; CI runs thousands with `declic sim explore`.
const SEEDS: u64 = if cfg!(debug_assertions) { 10 } else { 500 };
