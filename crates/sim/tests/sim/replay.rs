use std::time::Duration;

use declic_sim::{Network, Storage};

use super::{MINUTE, SECOND, pair};

/// Half an hour with outages and presses, as text.
fn run(seed: u64) -> String {
    let mut memory = [Storage::new(), Storage::new()];
    let (mut world, publisher, subscriber) =
        pair(seed, Network::default(), &mut memory, ["auto", "3.1.1"]);
    for round in 0..10 {
        world.click(publisher, Duration::from_millis(200));
        world.run_for(MINUTE);
        world.kill_broker();
        world.run_for(7 * SECOND);
        world.start_broker();
        world.run_for(MINUTE);
        if round % 3 == 0 {
            world.freeze(subscriber);
        } else {
            world.cut(publisher);
        }
        world.run_for(MINUTE);
    }
    world.timeline().to_string()
}

#[test]
fn the_same_seed_gives_the_same_timeline_and_another_seed_another_one() {
    let timeline = run(11);
    assert_eq!(timeline, run(11));
    assert_ne!(timeline, run(12));
    assert!(timeline.lines().count() > 100, "{timeline}");
}

#[test]
fn a_timeline_is_readable() {
    let mut memory = [Storage::new(), Storage::new()];
    let network = Network {
        jitter: Duration::ZERO,
        ..Network::default()
    };
    let (mut world, publisher, _) = pair(2, network, &mut memory, ["5", "5"]);
    world.run_for(SECOND);
    world.press(publisher);
    world.run_for(SECOND);
    assert_eq!(
        format!("\n{}", world.timeline()),
        "
     0.012000 publisher    connected (MQTT 5.0)
     0.012000 subscriber   connected (MQTT 5.0)
     0.018000 publisher    subscribed
     0.018000 subscriber   subscribed
     1.018000 publisher    pressed ON
     1.024000 subscriber   light ON
"
    );
}
