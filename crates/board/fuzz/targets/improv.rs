//! Any bytes on the console's wire: the board answers in whole lines and frames, and still does
//! afterwards.
#![no_main]

use declic_board::improv::{Command, Frame, Packet, Parser, State, Taken};
use declic_board::{Board, BoardId, Effect, RestartReason, Settings, Start, Storage, StoreError};
use declic_mqtt::Instant;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut storage = Storage::new();
    let id = BoardId::new([2, 0, 0, 0, 0, 1]);
    let mut board = Board::new(id, Settings::default(), 1, storage.memory());
    let start = Start {
        has_wifi: true,
        ..Start::new("fuzz", RestartReason::PowerOn)
    };
    let mut now = Instant::from_millis(1);
    board.handle_start(start, now);
    let mut printed = Parser::<255>::new();
    for piece in input.chunks(48) {
        type_all(&mut board, piece, now, &mut printed);
        now = now + core::time::Duration::from_millis(1_500);
        board.handle_timeout(now);
    }
    // What waits for the owner is given up in time.
    for _ in 0..4 {
        now = now + core::time::Duration::from_secs(30);
        board.handle_timeout(now);
        drive(&mut board, now, &mut printed);
    }
    let command = Frame::command(Command::State).expect("short");
    let states = type_all(&mut board, command.as_bytes(), now, &mut printed);
    assert!(states > 0, "no answer any more");
});

/// Returns how often the board said how far it is.
fn type_all(board: &mut Board<'_>, bytes: &[u8], now: Instant, printed: &mut Parser<255>) -> usize {
    let mut rest = bytes;
    let mut states = 0;
    while !rest.is_empty() {
        let space = board.console_space();
        let len = space.len().min(rest.len());
        space[..len].copy_from_slice(&rest[..len]);
        board.typed(len, now);
        rest = &rest[len..];
        states += drive(board, now, printed);
        if len == 0 {
            break;
        }
    }
    states
}

fn drive(board: &mut Board<'_>, now: Instant, printed: &mut Parser<255>) -> usize {
    let mut states = 0;
    loop {
        while let Some(effect) = board.poll_effect() {
            match effect {
                Effect::Store { ticket, .. } | Effect::EraseSettings { ticket } => {
                    board.handle_stored(ticket, Err(StoreError::Flash), now);
                }
                Effect::Scan => board.handle_scanned(Ok(()), now),
                Effect::JoinWifi => board.handle_link(false, now),
                _ => {}
            }
        }
        let output = board.console_output();
        if output.is_empty() {
            return states;
        }
        for byte in output {
            match printed.take(*byte) {
                Taken::Broken => panic!("a broken frame is printed"),
                Taken::Frame => {
                    let packet = printed.packet().expect("a frame that is understood");
                    assert!(!matches!(packet, Packet::Command(_)));
                    states += usize::from(matches!(packet, Packet::State(State::Authorised)));
                }
                Taken::Part | Taken::Text => {}
            }
        }
        assert!(!printed.is_within(), "whole frames are printed");
        let len = output.len();
        board.console_written(len);
    }
}
