use std::time::Duration;

use declic_sim::{Network, Storage, Storm};

use super::{MINUTE, MIXES, SECOND, connect_all, pair};

#[test]
fn after_a_broker_restart_both_reconnect_and_a_press_made_meanwhile_arrives_once() {
    for versions in MIXES {
        for seed in 0..20 {
            let mut memory = [Storage::new(), Storage::new()];
            let network = Network::default();
            let (mut world, publisher, subscriber) = pair(seed, network, &mut memory, versions);
            world.kill_broker();
            world.run_for(20 * SECOND);
            assert!(!world.board(publisher).is_connected());
            world.press(publisher);
            world.run_for(20 * SECOND);
            world.start_broker();
            connect_all(&mut world, &[publisher, subscriber]);
            world.run_for(SECOND);
            assert!(
                world.led(subscriber),
                "{versions:?}, seed {seed}\n{}",
                world.timeline()
            );
            assert_eq!(world.counters(subscriber).light_changes, 1);
            assert!(!world.board(publisher).has_unsent());
        }
    }
}

#[test]
fn an_orderly_stop_of_the_broker_is_an_outage_like_any_other() {
    let mut memory = [Storage::new(), Storage::new()];
    let (mut world, publisher, subscriber) = pair(1, Network::default(), &mut memory, ["5", "5"]);
    world.stop_broker();
    world.run_for(SECOND);
    world.start_broker();
    connect_all(&mut world, &[publisher, subscriber]);
    let reason = "disconnected: the broker ended the connection: server shutting down (0x8b)";
    assert_eq!(
        world.timeline().count("publisher", reason),
        1,
        "{}",
        world.timeline()
    );
}

#[test]
fn a_press_in_the_moment_of_a_cut_arrives() {
    for versions in MIXES {
        // At every tenth of a millisecond of the press's way, and some time after it.
        for tenth in 0..150 {
            let network = Network {
                jitter: Duration::ZERO,
                ..Network::default()
            };
            let mut memory = [Storage::new(), Storage::new()];
            let (mut world, publisher, subscriber) = pair(tenth, network, &mut memory, versions);
            world.press(publisher);
            world.run_for(Duration::from_micros(100 * tenth));
            world.cut(publisher);
            world.run_for(MINUTE);
            assert!(
                world.led(subscriber),
                "{versions:?}, {tenth}\n{}",
                world.timeline()
            );
            assert_eq!(world.counters(subscriber).light_changes, 1);
            assert!(!world.board(publisher).has_unsent());
        }
    }
}

#[test]
fn a_light_that_was_cut_off_shows_the_last_state_when_it_is_back() {
    for versions in MIXES {
        let mut memory = [Storage::new(), Storage::new()];
        let (mut world, publisher, subscriber) = pair(9, Network::default(), &mut memory, versions);
        world.set_link(subscriber, false);
        for _ in 0..5 {
            world.press(publisher);
            world.run_for(5 * MINUTE);
        }
        assert!(!world.led(subscriber));
        world.set_link(subscriber, true);
        assert!(
            world.run_until(SECOND, |world| world.led(subscriber)),
            "{}",
            world.timeline()
        );
        world.run_for(MINUTE);
        assert!(world.led(subscriber));
    }
}

#[test]
fn a_connection_that_goes_silent_is_noticed_within_keep_alive_and_ping_timeout() {
    for versions in MIXES {
        let mut memory = [Storage::new(), Storage::new()];
        let (mut world, publisher, subscriber) = pair(5, Network::default(), &mut memory, versions);
        world.run_for(MINUTE);
        world.freeze(publisher);
        let silent = world.now();
        world.press(publisher);
        // 30 s, 10 s, and the first wait of at most 1 s.
        assert!(
            world.run_until(42 * SECOND, |world| world.led(subscriber)),
            "{versions:?}"
        );
        assert!(world.now().since(silent) > 10 * SECOND);
        assert_eq!(world.counters(publisher).connections, 2);
    }
}

#[test]
fn a_board_whose_broker_is_away_for_a_day_attempts_at_most_as_often_as_its_backoff_says() {
    let mut memory = [Storage::new(), Storage::new()];
    let (mut world, publisher, subscriber) = pair(6, Network::default(), &mut memory, ["5", "5"]);
    world.kill_broker();
    let before = world.counters(publisher).attempts;
    world.run_for(24 * 60 * MINUTE);
    let attempts = world.counters(publisher).attempts - before;
    // Half a minute on average: 2,880 in a day.
    assert!((2_600..3_200).contains(&attempts), "{attempts}");
    world.start_broker();
    connect_all(&mut world, &[publisher, subscriber]);
}

#[test]
fn every_press_of_a_day_with_288_outages_arrives() {
    let mut memory = [Storage::new(), Storage::new()];
    let (mut world, publisher, subscriber) =
        pair(7, Network::default(), &mut memory, ["5", "3.1.1"]);
    let mut on = false;
    for _ in 0..24 * 12 {
        world.kill_broker();
        world.run_for(10 * SECOND);
        world.press(publisher);
        on = !on;
        world.start_broker();
        world.run_for(5 * MINUTE - 10 * SECOND);
        assert_eq!(world.led(subscriber), on, "{}", world.timeline());
    }
    assert!(world.now().as_millis() >= 24 * 3_600 * 1_000);
    assert!(world.counters(publisher).connections > 280);
}

#[test]
fn after_a_minute_without_a_broker_no_second_brings_more_than_5_percent_of_the_boards() {
    const BOARDS: usize = 2_000;
    let storm = Storm::run(1, BOARDS, MINUTE);
    assert_eq!(storm.total(), BOARDS, "each comes once");
    assert!(
        storm.back_after(100).is_some_and(|time| time <= MINUTE),
        "all are back within the backoff's cap"
    );
    assert!(storm.peak() * 20 <= BOARDS, "{storm}");
}
