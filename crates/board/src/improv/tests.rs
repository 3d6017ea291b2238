use std::format;
use std::string::String;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

/// What a stream holds: text in one piece between frames.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(Vec<u8>),
    Frame(String),
    Broken,
}

fn pieces(bytes: &[u8]) -> Vec<Piece> {
    let mut parser = Parser::<255>::new();
    let mut found = Vec::new();
    for byte in bytes {
        match parser.take(*byte) {
            Taken::Part => {}
            Taken::Broken => found.push(Piece::Broken),
            Taken::Frame => found.push(Piece::Frame(format!("{:?}", parser.packet()))),
            Taken::Text => match found.last_mut() {
                Some(Piece::Text(text)) => text.extend_from_slice(parser.text()),
                _ => found.push(Piece::Text(parser.text().to_vec())),
            },
        }
    }
    found
}

fn frame(packet: &str) -> Piece {
    Piece::Frame(format!("Ok({packet})"))
}

/// Frames that others publish in their documentation and tests, with their checksums.
const PUBLISHED: [(&[u8], &str); 5] = [
    (b"IMPROV\x01\x03\x02\x02\x00\xe5", "Command(State)"),
    (b"IMPROV\x01\x03\x02\x03\x00\xe6", "Command(Information)"),
    (b"IMPROV\x01\x03\x02\x04\x00\xe7", "Command(Networks)"),
    (
        b"IMPROV\x01\x03\x10\x01\x0e\x05MyNet\x07s3cret!\x6e",
        "Command(Settings(\"MyNet\"))",
    ),
    (b"IMPROV\x01\x01\x01\x02\xe2", "State(Authorised)"),
];

#[test]
fn published_frames_are_understood() {
    for (bytes, packet) in PUBLISHED {
        assert_eq!(pieces(bytes), [frame(packet)]);
    }
}

#[test]
fn frames_are_made_as_published() {
    let settings = Command::Settings {
        ssid: "MyNet",
        password: "s3cret!",
    };
    for (frame, (expected, _)) in [
        Frame::command(Command::State),
        Frame::command(Command::Information),
        Frame::command(Command::Networks),
        Frame::command(settings),
        Some(Frame::state(State::Authorised)),
    ]
    .into_iter()
    .zip(PUBLISHED)
    {
        let frame = frame.expect("short");
        assert_eq!(frame.as_bytes().strip_suffix(b"\n"), Some(expected));
    }
    // The example of the protocol's page.
    let settings = Command::Settings {
        ssid: "MyWirelessAP",
        password: "mysecurepassword",
    };
    let frame = Frame::command(settings).expect("short");
    let data = b"\x01\x1e\x0cMyWirelessAP\x10mysecurepassword";
    assert_eq!(frame.as_bytes()[9..9 + data.len()], data[..]);
}

#[test]
fn a_frame_is_found_within_a_log_and_its_newline_is_no_line() {
    let bytes = b"[1.000] info: IMPRO IMIMPROV\x01\x01\x01\x04\xe4\nget role\r\n";
    assert_eq!(
        pieces(bytes),
        [
            Piece::Text(b"[1.000] info: IMPRO IM".to_vec()),
            frame("State(Provisioned)"),
            Piece::Text(b"get role\r\n".to_vec()),
        ]
    );
}

#[test]
fn the_word_alone_is_text() {
    let bytes = b"set name IMPROV\r\nIMPROV\x02\r\nI";
    assert_eq!(
        pieces(bytes),
        [Piece::Text(bytes[..bytes.len() - 1].to_vec())]
    );
}

#[test]
fn a_frame_that_is_cut_does_not_hide_the_next_one() {
    let whole = PUBLISHED[3].0;
    for len in 1..whole.len() {
        let bytes = [&whole[..len], PUBLISHED[0].0].concat();
        let found = pieces(&bytes);
        assert_eq!(found.last(), Some(&frame("Command(State)")), "{len}");
    }
}

#[test]
fn a_wrong_checksum_makes_a_frame_broken_and_its_text_is_not_shown() {
    let mut bytes = PUBLISHED[3].0.to_vec();
    *bytes.last_mut().expect("not empty") ^= 1;
    assert_eq!(pieces(&bytes), [Piece::Broken]);
}

#[test]
fn more_data_than_there_is_room_for_is_broken_and_no_more() {
    let ssid = "x".repeat(200);
    let settings = Command::Settings {
        ssid: &ssid,
        password: "",
    };
    let long = Frame::command(settings).expect("within a frame");
    let mut parser = Parser::<16>::new();
    let taken: Vec<_> = long
        .as_bytes()
        .iter()
        .map(|byte| parser.take(*byte))
        .collect();
    let broken = taken.iter().filter(|taken| **taken == Taken::Broken);
    assert_eq!(broken.count(), 1);
    let found = PUBLISHED[0]
        .0
        .iter()
        .any(|byte| parser.take(*byte) == Taken::Frame);
    assert!(found);
}

#[test]
fn a_frame_that_stands_still_is_given_up() {
    let mut parser = Parser::<255>::new();
    for byte in b"IMPROV\x01\x03\x70\x01" {
        assert_eq!(parser.take(*byte), Taken::Part);
    }
    assert!(parser.is_within());
    parser.give_up();
    assert_eq!(parser.take(b'g'), Taken::Text);
    assert_eq!(parser.text(), b"g");
}

#[test]
fn malformed_data_is_said_to_be_so() {
    let invalid = Err(Error::InvalidCommand);
    for (kind, data, expected) in [
        (3, &b"\x05\x00"[..], Err(Error::UnknownCommand)),
        (3, b"\xff\x03abc", Err(Error::UnknownCommand)),
        (3, b"", invalid),
        (3, b"\x02", invalid),
        (3, b"\x02\x01", invalid),
        (3, b"\x02\x01x", invalid),
        (3, b"\x01\x00", invalid),
        (3, b"\x01\x03\x02ab", invalid),
        (3, b"\x01\x05\x02ab\x05x", invalid),
        (3, b"\x01\x05\x02ab\x00x", invalid),
        (3, b"\x01\x03\x01\xff\x00", invalid),
        (4, b"\x04\x02\x05a", invalid),
        (1, b"\x09", invalid),
        (1, b"", invalid),
        (9, b"\x01", invalid),
    ] {
        assert_eq!(Packet::decode(kind, data), expected, "{kind} {data:?}");
    }
    assert_eq!(
        Packet::decode(2, b"\x05"),
        Ok(Packet::Error(Error::Unknown))
    );
}

#[test]
fn what_is_too_long_for_a_frame_is_not_made() {
    let long = "x".repeat(126);
    assert!(Frame::result(4, &[&long, &long[1..]]).is_some());
    assert!(Frame::result(4, &[&long, &long]).is_none());
    assert!(Frame::result(4, &["x".repeat(300).as_str()]).is_none());
}

#[test]
fn a_password_is_not_in_debug_output() {
    let settings = Command::Settings {
        ssid: "net",
        password: "hunter2hunter2",
    };
    assert!(!format!("{settings:?}").contains("hunter"));
}

proptest! {
    #[test]
    fn any_bytes_end_as_text_or_frames_and_the_next_frame_is_found(
        bytes in prop::collection::vec(prop_oneof![
            any::<u8>(),
            prop::sample::select(&b"IMPROV\x01\x03\n"[..]),
        ], 0..600),
    ) {
        let mut all = bytes.clone();
        all.extend_from_slice(PUBLISHED[0].0);
        let found = pieces(&all);
        prop_assert_eq!(found.last(), Some(&frame("Command(State)")));
    }

    #[test]
    fn text_without_frames_comes_out_as_it_went_in(
        text in "[IMPROV a-z\r\n]{0,200}",
    ) {
        // A character that cannot be in a header lets go of what may have been one.
        let bytes = format!("{text}.").into_bytes();
        prop_assert_eq!(pieces(&bytes), [Piece::Text(bytes)]);
    }

    #[test]
    fn results_come_back_as_they_were_sent(
        command in any::<u8>(),
        strings in prop::collection::vec("\\PC{0,12}", 0..5),
    ) {
        let strings: Vec<_> = strings.iter().map(String::as_str).collect();
        let frame = Frame::result(command, &strings).expect("short");
        let mut parser = Parser::<255>::new();
        let mut taken = frame.as_bytes().iter().map(|byte| parser.take(*byte));
        prop_assert!(taken.any(|taken| taken == Taken::Frame));
        let Ok(Packet::Result { command: of, strings: found }) = parser.packet() else {
            panic!("no result");
        };
        prop_assert_eq!(of, command);
        prop_assert_eq!(found.collect::<Vec<_>>(), strings);
    }
}
