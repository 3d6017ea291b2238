use std::string::String;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

fn announcement(name: &str) -> Announcement<'_> {
    Announcement {
        id: BoardId::new([0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f]),
        name,
        chip: "ESP32-C3",
        has_wifi: true,
        double: true,
        hold: true,
    }
}

fn whole(announcement: &Announcement<'_>) -> String {
    let mut text = String::new();
    let written = announcement.write_parts(&mut text);
    written.expect("a string takes all");
    text
}

#[test]
fn a_board_without_a_name_goes_by_the_end_of_its_address() {
    let document = whole(&announcement(""));
    assert!(document.contains(r#""name":"Déclic 0d0e0f""#), "{document}");
}

#[test]
fn the_longest_document_has_little_more_than_two_kilobytes() {
    assert!(whole(&announcement(&"x".repeat(32))).len() < 2_560);
}

proptest! {
    #[test]
    fn a_document_in_chunks_is_the_same_document(
        name in "\\PC{0,12}",
        flags in any::<[bool; 3]>(),
        sizes in prop::collection::vec(1_usize..300, 1..40),
    ) {
        let mut board = announcement(&name);
        [board.has_wifi, board.double, board.hold] = flags;
        let document = whole(&board);
        prop_assert_eq!(board.len(), document.len());
        let mut chunk = Chunk::new();
        let mut sent = Vec::new();
        for size in sizes.iter().cycle() {
            let missing = document.len() - sent.len();
            if missing == 0 {
                break;
            }
            chunk.next(&board, missing);
            prop_assert!(!chunk.bytes().is_empty());
            let len = chunk.bytes().len().min(*size);
            sent.extend_from_slice(&chunk.bytes()[..len]);
            prop_assert_eq!(chunk.sent(*size), len);
        }
        prop_assert_eq!(String::from_utf8(sent).expect("text"), document);
    }
}
