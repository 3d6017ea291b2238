//! A button's board that sleeps between presses.

use std::time::Duration;

use declic_sim::{Awake, Fact, Network, Storage, World};

use super::{MINUTE, SECOND, settings};

#[test]
fn a_press_wakes_the_board_changes_the_light_and_lets_it_sleep_again() {
    let joining = Duration::from_millis(1_500);
    let measured = Awake::measure(joining);
    for awake in &measured {
        assert_eq!(
            awake.lights.len(),
            100,
            "{}: each press arrives",
            awake.name
        );
    }
    let home = &measured[0];
    let (median, worst) = Awake::median_and_worst(&home.times).expect("100 presses");
    // The start, joining the network, and the second of the setting; little more for all else.
    let needed = Duration::from_millis(300) + joining + SECOND;
    assert!(
        median > needed && median < needed + SECOND / 10,
        "{median:?}"
    );
    // The first press of all waits for a second for a retained state, which there is not yet.
    assert!(worst < needed + SECOND + SECOND / 10, "{worst:?}");
    let (median, _) = Awake::median_and_worst(&home.lights).expect("100 presses");
    assert!(median < needed - SECOND + SECOND / 10, "{median:?}");
}

#[test]
fn presses_while_the_broker_is_away_wait_in_the_sleeping_board_and_arrive_in_order() {
    let mut memory = [(); 3].map(|()| Storage::new());
    let mut world = World::new(1, Network::default(), &mut memory).with_records();
    world.set_joining(SECOND);
    let button =
        world.add_board_with_flash("button", settings(&[("role", "publisher"), ("sleep", "1")]));
    let light = world.add_board_with_flash("light", settings(&[("role", "subscriber")]));
    world.add_listener("listener", &["declic/+/button"]);
    world.run_for(MINUTE);
    assert!(!world.is_on(button), "{}", world.timeline());
    world.kill_broker_keeping_memory();
    for _ in 0..5 {
        world.click(button, Duration::from_millis(120));
        world.run_for(5 * MINUTE);
        assert!(
            !world.is_on(button),
            "it sleeps although the press did not arrive"
        );
    }
    world.start_broker();
    world.run_for(2 * MINUTE);
    world.click(button, Duration::from_millis(120));
    world.run_for(MINUTE);
    let mut events = Vec::new();
    while let Some(record) = world.poll_record() {
        if let Fact::Heard { payload, .. } = record.what {
            events.push(String::from_utf8_lossy(&payload).into_owned());
        }
    }
    let wanted: Vec<_> = (1..=6)
        .map(|count| format!(r#"{{"event_type":"press","count":{count},"boot":1}}"#))
        .collect();
    assert_eq!(events, wanted, "{}", world.timeline());
    assert_eq!(
        world.counters(light).light_changes % 2,
        u64::from(world.led(light))
    );
    assert!(!world.is_on(button));
}

#[test]
fn a_sleeping_board_that_loses_its_power_starts_anew() {
    let mut memory = [(); 2].map(|()| Storage::new());
    let mut world = World::new(1, Network::default(), &mut memory);
    let button =
        world.add_board_with_flash("button", settings(&[("role", "publisher"), ("sleep", "1")]));
    let light = world.add_board_with_flash("light", settings(&[("role", "subscriber")]));
    world.run_for(MINUTE);
    world.click(button, Duration::from_millis(120));
    world.run_for(MINUTE);
    assert!(world.led(light) && !world.is_on(button));
    world.power_off(button);
    world.run_for(SECOND);
    world.power_on(button);
    world.run_for(MINUTE);
    assert!(!world.is_on(button), "it sleeps again");
    world.click(button, Duration::from_millis(120));
    world.run_for(MINUTE);
    assert!(!world.led(light), "{}", world.timeline());
}
