use std::time::Duration;

use declic_sim::{Network, Storage, World};

use super::{MINUTE, MIXES, SECOND, connect_all, pair, settings};

#[test]
fn a_press_turns_the_light_on_in_every_mix_of_versions() {
    let latency = Duration::from_millis(5);
    let network = Network {
        latency,
        ..Network::PERFECT
    };
    for versions in MIXES {
        let mut memory = [Storage::new(), Storage::new()];
        let (mut world, publisher, subscriber) = pair(1, network, &mut memory, versions);
        for on in [true, false, true] {
            let pressed = world.now();
            world.press(publisher);
            assert!(
                world.run_until(SECOND, |world| world.led(subscriber) == on),
                "{versions:?}"
            );
            assert_eq!(
                world.now().since(pressed),
                2 * latency,
                "one way in, one way out"
            );
            world.run_for(SECOND);
        }
        assert!(!world.led(publisher));
        assert_eq!(world.counters(subscriber).light_changes, 3);
    }
}

#[test]
fn every_qos_with_and_without_retain_turns_the_light_on() {
    for (qos, retain) in ["0", "1", "2"]
        .into_iter()
        .flat_map(|qos| [(qos, "on"), (qos, "off")])
    {
        for versions in MIXES {
            let mut memory = [Storage::new(), Storage::new()];
            let mut world = World::new(5, Network::default(), &mut memory);
            let boards = ["publisher", "subscriber"].map(|role| {
                let version = versions[usize::from(role == "subscriber")];
                let all = [
                    ("role", role),
                    ("mqtt", version),
                    ("qos", qos),
                    ("retain", retain),
                ];
                world.add_board(role, settings(&all))
            });
            connect_all(&mut world, &boards);
            for press in 1..=5 {
                world.press(boards[0]);
                world.run_for(2 * SECOND);
                assert_eq!(
                    world.counters(boards[1]).light_changes,
                    press,
                    "{qos} {retain}"
                );
                assert!(!world.board(boards[0]).has_unsent());
            }
        }
    }
}

#[test]
fn a_bouncing_press_held_for_any_time_changes_the_light_once() {
    for seed in 0..50 {
        let mut memory = [Storage::new(), Storage::new()];
        let network = Network::default();
        let (mut world, publisher, subscriber) = pair(seed, network, &mut memory, ["5", "5"]);
        for (press, held) in [80, 300, 1_000, 20_000].into_iter().enumerate() {
            world.click(publisher, Duration::from_millis(held));
            world.run_for(MINUTE);
            assert_eq!(world.counters(subscriber).light_changes, press as u64 + 1);
        }
        assert_eq!(world.board(publisher).presses(), 4);
    }
}

#[test]
fn bytes_in_pieces_of_any_size_make_no_difference() {
    for seed in 0..20 {
        for versions in MIXES {
            let network = Network {
                segment: 3,
                ..Network::default()
            };
            let mut memory = [Storage::new(), Storage::new()];
            let (mut world, publisher, subscriber) = pair(seed, network, &mut memory, versions);
            for _ in 0..7 {
                world.press(publisher);
            }
            world.run_for(MINUTE);
            assert_eq!(world.counters(subscriber).light_changes, 7);
            assert!(world.led(subscriber));
        }
    }
}

#[test]
fn a_light_that_comes_later_shows_the_state_that_is_there() {
    let mut memory = [Storage::new(), Storage::new(), Storage::new()];
    let (mut world, publisher, _) = pair(3, Network::default(), &mut memory, ["5", "5"]);
    world.press(publisher);
    world.run_for(SECOND);
    let late = world.add_board("late", settings(&[("role", "subscriber")]));
    assert!(world.run_until(SECOND, |world| world.led(late)));
}

#[test]
fn pairs_do_not_share_a_lamp() {
    let mut memory: Vec<_> = (0..30).map(|_| Storage::new()).collect();
    let mut world = World::new(4, Network::default(), &mut memory);
    let boards: Vec<_> = (0..15)
        .flat_map(|pair| {
            let name = format!("table-{pair}");
            ["publisher", "subscriber"].map(|role| (role, name.clone()))
        })
        .map(|(role, pair)| world.add_board(role, settings(&[("role", role), ("pair", &pair)])))
        .collect();
    connect_all(&mut world, &boards);
    world.press(boards[8]);
    world.run_for(SECOND);
    let lit: Vec<_> = boards.iter().filter(|board| world.led(**board)).collect();
    assert_eq!(lit, [&boards[9]]);
}
