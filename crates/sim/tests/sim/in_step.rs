use std::time::Duration;

use declic_sim::{BoardIndex, Network, Storage, World};

use super::{Chance, MINUTE, SECOND, connect_all, settings};

/// Boards with button and light, of both versions.
fn room<'m>(seed: u64, memory: &'m mut [Storage]) -> (World<'m>, Vec<BoardIndex>) {
    let count = memory.len();
    let mut world = World::new(seed, Network::default(), memory);
    let boards: Vec<_> = (0..count)
        .map(|board| {
            let version = ["5", "3.1.1"][board % 2];
            let name = format!("board {board}");
            world.add_board(&name, settings(&[("mqtt", version)]))
        })
        .collect();
    connect_all(&mut world, &boards);
    (world, boards)
}

fn storages() -> [Storage; 4] {
    [(); 4].map(|()| Storage::new())
}

#[test]
fn each_press_on_any_board_changes_all_lights() {
    let mut memory = storages();
    let (mut world, boards) = room(1, &mut memory);
    for press in 0..20 {
        world.press(boards[press * 7 % 4]);
        world.run_for(SECOND);
        for board in &boards {
            assert_eq!(world.led(*board), press % 2 == 0);
        }
    }
}

#[test]
fn presses_at_the_same_time_leave_all_lights_equal() {
    for seed in 0..100 {
        let mut memory = storages();
        let (mut world, boards) = room(seed, &mut memory);
        let mut chance = Chance::new(seed);
        for round in 0..10 {
            // Closer together than a message is on its way, mostly.
            for _ in 0..8 {
                world.press(boards[chance.below(4) as usize]);
                world.run_for(Duration::from_micros(chance.below(10_000)));
            }
            world.run_for(SECOND);
            let lights: Vec<_> = boards.iter().map(|board| world.led(*board)).collect();
            assert!(
                lights.iter().all(|light| *light == lights[0]),
                "seed {seed}, round {round}: {lights:?}\n{}",
                world.timeline()
            );
            let states: Vec<_> = boards
                .iter()
                .map(|board| world.board(*board).link_state())
                .collect();
            assert!(
                states.iter().all(|state| *state == Some(lights[0])),
                "{states:?}"
            );
        }
    }
}

#[test]
fn when_all_is_quiet_after_any_outages_all_lights_are_equal() {
    for seed in 0..60_u64 {
        let mut memory = storages();
        let (mut world, boards) = room(seed, &mut memory);
        let mut chance = Chance::new(seed);
        for _ in 0..40 {
            let board = boards[chance.below(4) as usize];
            match chance.below(10) {
                0..5 => world.press(board),
                5 => world.cut(board),
                6 => world.freeze(board),
                7 => {
                    world.set_link(board, false);
                    world.run_for(Duration::from_millis(chance.below(20_000)));
                    world.set_link(board, true);
                }
                8 => world.kill_broker(),
                _ => world.start_broker(),
            }
            world.run_for(Duration::from_millis(chance.below(3_000)));
        }
        world.start_broker();
        world.run_for(5 * MINUTE);
        connect_all(&mut world, &boards);
        let lights: Vec<_> = boards.iter().map(|board| world.led(*board)).collect();
        assert!(
            lights.iter().all(|light| *light == lights[0]),
            "seed {seed}: {lights:?}\n{}",
            world.timeline()
        );
    }
}
