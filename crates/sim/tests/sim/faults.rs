//! What can go wrong: that it goes wrong as it is said to, and that boards get over it.

use std::time::Duration;

use declic_sim::{Fact, GIVE_UP, Network, Part, RETRANSMISSION, Storage, World};

use super::{MINUTE, MIXES, SECOND, connect_all, pair, settings};

#[test]
fn a_lost_segment_costs_a_retransmission_and_no_message() {
    let network = Network {
        loss: 200,
        ..Network::default()
    };
    let mut late = 0;
    for seed in 0..20 {
        let mut memory = [Storage::new(), Storage::new()];
        let (mut world, publisher, subscriber) = pair(seed, network, &mut memory, ["5", "5"]);
        for press in 1..=20 {
            let pressed = world.now();
            world.press(publisher);
            assert!(
                world.run_until(MINUTE, |world| world.led(subscriber) == (press % 2 == 1)),
                "seed {seed}\n{}",
                world.timeline()
            );
            late += u32::from(world.now().since(pressed) >= RETRANSMISSION);
            world.run_for(10 * SECOND);
        }
        assert_eq!(world.counters(subscriber).light_changes, 20);
    }
    // Two ways of which each is lost one time in five: a third of 400 presses.
    assert!((100..200).contains(&late), "{late}");
}

#[test]
fn a_connection_that_is_silent_for_a_while_loses_nothing() {
    for versions in MIXES {
        let mut memory = [Storage::new(), Storage::new()];
        let (mut world, publisher, subscriber) = pair(4, Network::default(), &mut memory, versions);
        world.freeze(publisher);
        world.press(publisher);
        world.run_for(5 * SECOND);
        assert!(!world.led(subscriber));
        world.thaw(publisher);
        assert!(world.run_until(SECOND, |world| world.led(subscriber)));
        world.run_for(MINUTE);
        assert_eq!(world.counters(publisher).connections, 1);
        assert!(!world.board(publisher).has_unsent());
    }
}

#[test]
fn a_connection_that_is_silent_one_way_is_noticed_and_replaced() {
    for uplink in [true, false] {
        let mut memory = [Storage::new(), Storage::new()];
        let (mut world, publisher, subscriber) =
            pair(2, Network::default(), &mut memory, ["5", "5"]);
        if uplink {
            world.freeze_uplink(publisher);
        } else {
            world.freeze_downlink(publisher);
        }
        world.press(publisher);
        assert!(
            world.run_until(42 * SECOND, |world| world.led(subscriber)),
            "{}",
            world.timeline()
        );
        world.run_for(MINUTE);
        assert_eq!(world.counters(publisher).connections, 2);
        assert_eq!(world.counters(subscriber).light_changes, 1);
    }
}

#[test]
fn whether_the_brokers_program_or_its_machine_ends_with_or_without_memory_boards_come_back() {
    for versions in MIXES {
        for keeps in [true, false] {
            for machine in [true, false] {
                let mut memory = [Storage::new(), Storage::new()];
                let (mut world, publisher, subscriber) =
                    pair(3, Network::default(), &mut memory, versions);
                match (machine, keeps) {
                    (true, true) => world.crash_broker_keeping_memory(),
                    (true, false) => world.crash_broker(),
                    (false, true) => world.kill_broker_keeping_memory(),
                    (false, false) => world.kill_broker(),
                }
                world.press(publisher);
                world.run_for(MINUTE);
                assert!(!world.led(subscriber));
                world.start_broker();
                connect_all(&mut world, &[publisher, subscriber]);
                world.run_for(MINUTE);
                assert!(world.led(subscriber), "{}", world.timeline());
                assert_eq!(world.counters(subscriber).light_changes, 1);
            }
        }
    }
}

#[test]
fn a_broker_with_memory_keeps_what_was_accepted_for_a_light_that_is_away() {
    let mut memory = [Storage::new(), Storage::new()];
    let (mut world, publisher, subscriber) = pair(3, Network::default(), &mut memory, ["5", "5"]);
    world.set_link(subscriber, false);
    world.press(publisher);
    world.run_for(SECOND);
    world.kill_broker_keeping_memory();
    world.run_for(SECOND);
    world.start_broker();
    // The publisher has gone for ever: only the broker knows.
    world.power_off(publisher);
    world.set_link(subscriber, true);
    assert!(world.run_until(MINUTE, |world| world.led(subscriber)));
}

#[test]
fn a_broker_that_stands_still_takes_connections_and_answers_later() {
    let mut memory = [Storage::new(), Storage::new()];
    let (mut world, publisher, subscriber) = pair(3, Network::default(), &mut memory, ["5", "5"]);
    world.pause_broker();
    world.press(publisher);
    world.run_for(8 * SECOND);
    assert!(!world.led(subscriber));
    world.resume_broker();
    assert!(world.run_until(SECOND, |world| world.led(subscriber)));
    world.pause_broker();
    world.run_for(10 * MINUTE);
    world.resume_broker();
    world.press(publisher);
    assert!(world.run_until(3 * MINUTE, |world| !world.led(subscriber)));
    world.run_for(5 * MINUTE);
    connect_all(&mut world, &[publisher, subscriber]);
    assert_eq!(world.open_connections(), 2);
}

#[test]
fn a_slow_broker_works_off_one_input_after_the_other() {
    let mut memory = [Storage::new(), Storage::new()];
    let network = Network::PERFECT;
    let (mut world, publisher, subscriber) = pair(3, network, &mut memory, ["5", "5"]);
    world.set_broker_pace(Duration::from_millis(100));
    world.run_for(SECOND);
    let pressed = world.now();
    world.press(publisher);
    assert!(world.run_until(SECOND, |world| world.led(subscriber)));
    assert_eq!(world.now().since(pressed), Duration::from_millis(100));
}

#[test]
fn a_board_that_is_thrown_out_right_after_it_was_accepted_waits_longer_each_time() {
    let mut memory = [Storage::new(), Storage::new()];
    let (mut world, publisher, subscriber) = pair(3, Network::default(), &mut memory, ["5", "5"]);
    world.set_broker_kicks(true);
    world.kick(publisher);
    world.run_for(60 * MINUTE);
    let counters = world.counters(publisher);
    // Half a minute on average.
    assert!((100..160).contains(&counters.attempts), "{counters:?}");
    world.set_broker_kicks(false);
    connect_all(&mut world, &[publisher, subscriber]);
}

#[test]
fn a_router_that_restarts_gives_other_addresses_and_nothing_is_lost() {
    for versions in MIXES {
        let mut memory = [Storage::new(), Storage::new()];
        let (mut world, publisher, subscriber) = pair(6, Network::default(), &mut memory, versions);
        world.reboot_router(MINUTE);
        world.run_for(10 * SECOND);
        world.press(publisher);
        world.run_for(MINUTE);
        assert!(world.led(subscriber), "{}", world.timeline());
        // The broker's side of the old connections is gone too, after its deadline.
        world.run_for(MINUTE);
        assert_eq!(world.open_connections(), 2);
    }
}

#[test]
fn a_board_that_restarts_takes_the_light_from_the_broker() {
    for versions in MIXES {
        let mut memory = [Storage::new(), Storage::new()];
        let (mut world, publisher, subscriber) = pair(6, Network::default(), &mut memory, versions);
        world.press(publisher);
        world.run_for(SECOND);
        for board in [subscriber, publisher] {
            world.power_off(board);
            assert!(!world.led(board));
            world.run_for(2 * SECOND);
            world.power_on(board);
            connect_all(&mut world, &[publisher, subscriber]);
            world.run_for(SECOND);
            assert!(world.led(subscriber), "{}", world.timeline());
        }
        assert_eq!(world.open_connections(), 2);
        // The next press is the other state, although the publisher has forgotten its last one.
        world.press(publisher);
        world.run_for(SECOND);
        assert!(!world.led(subscriber));
        assert_eq!(world.counters(publisher).starts, 2);
    }
}

#[test]
fn settings_survive_a_loss_of_power_at_every_byte_that_is_written_for_them() {
    let mut memory = [Storage::new()];
    let mut world = World::new(1, Network::default(), &mut memory);
    let board = world.add_board_with_flash("board", settings(&[]));
    let set = |world: &mut World<'_>, name: &str| {
        world.type_line(board, &format!("set name {name}"));
        world.type_line(board, "save");
    };
    set(&mut world, "first");
    let before = world.flash_worked(board);
    set(&mut world, "second");
    let needed = (world.flash_worked(board) - before) as usize;
    assert!(needed > 10);
    let mut old = String::from("second");
    let mut cuts = 0;
    for bytes in 0..=needed + 4 {
        let new = format!("name-{bytes}");
        world.cut_power_after(board, bytes);
        set(&mut world, &new);
        cuts += u32::from(!world.is_on(board));
        world.power_off(board);
        world.power_on(board);
        let name = world.board(board).settings().name().to_owned();
        assert!(name == old || name == new, "{name} after {bytes} bytes");
        if bytes > needed {
            assert_eq!(name, new);
        }
        old = name;
    }
    assert!(cuts as usize >= needed, "{cuts}");
    world.run_for(MINUTE);
    assert!(world.board(board).is_connected());
}

#[test]
fn a_restart_from_the_console_makes_new_settings_effective() {
    let mut memory = [Storage::new()];
    let mut world = World::new(1, Network::default(), &mut memory);
    let board = world.add_board_with_flash("board", settings(&[]));
    world.run_for(SECOND);
    for line in ["set pair kitchen", "save", "restart"] {
        world.type_line(board, line);
        world.run_for(SECOND);
    }
    world.run_for(10 * SECOND);
    let topic = world.board(board).settings().link_topic();
    assert_eq!(topic.as_str(), "esp32/data/kitchen");
    assert_eq!(world.counters(board).starts, 2);
    assert!(world.board(board).is_connected());
    assert_eq!(world.open_connections(), 1);
}

#[test]
fn a_witness_hears_all_that_the_broker_accepts_and_a_listener_all_that_is_kept_for_it() {
    let mut memory: Vec<_> = (0..4).map(|_| Storage::new()).collect();
    let mut world = World::new(1, Network::default(), &mut memory).with_records();
    let witness = world.add_witness("witness", &["declic/+/button"]);
    let listener = world.add_listener("listener", &["declic/+/button"]);
    let board = world.add_board("board", settings(&[]));
    world.run_for(SECOND);
    for _ in 0..10 {
        world.cut(listener);
        world.press(board);
        world.run_for(2 * SECOND);
        world.kill_broker_keeping_memory();
        world.press(board);
        world.run_for(5 * SECOND);
        world.start_broker();
        world.run_for(MINUTE);
    }
    let mut heard = [0; 2];
    while let Some(record) = world.poll_record() {
        if let Fact::Heard {
            listener, retain, ..
        } = record.what
        {
            heard[usize::from(listener != witness)] += 1;
            assert!(!retain);
        }
    }
    assert_eq!(heard, [20, 20]);
    assert_eq!(world.counters(listener).messages, 20);
}

#[test]
fn the_tutorials_programs_end_with_the_first_error_and_wait_for_ever_on_a_silent_connection() {
    let mut memory = [Storage::new(), Storage::new()];
    let mut world = World::new(1, Network::default(), &mut memory);
    let publisher = world.add_tutorial("publisher", Part::Publisher);
    let subscriber = world.add_tutorial("subscriber", Part::Subscriber);
    world.run_for(SECOND);
    // Held for 85 ms, as when it was recorded: three or four messages.
    world.click(publisher, Duration::from_millis(85));
    world.run_for(SECOND);
    let messages = world.counters(subscriber).messages;
    assert!((3..=4).contains(&messages), "{messages}");
    world.freeze(subscriber);
    world.run_for(24 * 60 * MINUTE);
    assert!(!world.has_ended(subscriber));
    world.freeze(publisher);
    world.click(publisher, Duration::from_millis(85));
    world.run_for(GIVE_UP - MINUTE);
    assert!(!world.has_ended(publisher));
    world.run_for(2 * MINUTE);
    assert!(world.has_ended(publisher));
    // Somebody starts them again.
    for board in [publisher, subscriber] {
        world.power_off(board);
        world.power_on(board);
    }
    world.run_for(SECOND);
    world.kill_broker();
    world.run_for(SECOND);
    assert!(world.has_ended(publisher) && world.has_ended(subscriber));
}
