use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

/// What a reader makes of bytes: lines, `""` for an empty one, `None` for one that is too long.
fn lines(bytes: &[u8]) -> Vec<Option<Vec<u8>>> {
    let mut reader = LineReader::new();
    let mut lines = Vec::new();
    for byte in bytes {
        lines.extend(reader.take(*byte).map(|entered| match entered {
            Entered::Line(line) => Some(line.to_vec()),
            Entered::Empty => Some(Vec::new()),
            Entered::TooLong => None,
        }));
    }
    lines
}

fn text(bytes: &[u8]) -> String {
    let lines = lines(bytes).into_iter().map(|line| match line {
        Some(line) => String::from_utf8_lossy(&line).into_owned(),
        None => "TOO LONG".to_string(),
    });
    lines.collect::<Vec<_>>().join("|")
}

#[test]
fn a_line_ends_with_cr_lf_or_both() {
    assert_eq!(text(b"a\rb\nc\r\nd\n"), "a|b|c|d");
    assert_eq!(text(b"a\r\r\n\n"), "a||", "two empty lines follow");
    assert_eq!(text(b"a"), "");
}

#[test]
fn keys_that_edit_the_line_do_so() {
    assert_eq!(text(b"prexs\x08\x7fss\n"), "press");
    assert_eq!(text("caf\u{e9}\u{8}e\n".as_bytes()), "cafe");
    assert_eq!(text(b"\x08\x08a\n"), "a");
    assert_eq!(text(b"garbage\x15status\n"), "status");
    assert_eq!(text(b"garbage\x03status\n"), "status");
    assert_eq!(text(b"a\tb\n"), "a b");
}

#[test]
fn what_arrow_keys_and_noise_send_is_left_out() {
    assert_eq!(text(b"sta\x1b[A\x1b[1;5C\x1bOPtus\n"), "status");
    assert_eq!(text(b"\x00\x01\x1bxstatus\n"), "status");
    assert_eq!(text(b"\x1b[\nstatus\n"), "|status");
}

#[test]
fn a_line_that_is_too_long_is_one_error_and_the_next_is_read() {
    let long = [&[b'x'; LINE_LEN][..], b"\n"].concat();
    assert_eq!(lines(&long)[0].as_ref().map(Vec::len), Some(LINE_LEN));
    let longer = [&[b'x'; LINE_LEN + 1][..], b"\nstatus\n"].concat();
    assert_eq!(text(&longer), "TOO LONG|status");
}

#[test]
fn every_command_is_read() {
    for (line, command) in [
        ("help", Command::Help),
        ("  status  ", Command::Status),
        ("get", Command::Get(None)),
        ("get  role", Command::Get(Some(Key::Role))),
        ("set role both", Command::Set(Key::Role, "both")),
        ("set name", Command::Set(Key::Name, "")),
        (
            "set name  Anna's lamp ",
            Command::Set(Key::Name, "Anna's lamp"),
        ),
        ("set name \" lamp \"", Command::Set(Key::Name, " lamp ")),
        ("set name \"\"", Command::Set(Key::Name, "")),
        ("set name \"a\"b\"", Command::Set(Key::Name, "a\"b")),
        ("set name \"", Command::Set(Key::Name, "\"")),
        ("save", Command::Save),
        ("press", Command::Press),
        ("led on", Command::Led(true)),
        ("led  off", Command::Led(false)),
        ("scan", Command::Scan),
        ("restart", Command::Restart(false)),
        ("restart now", Command::Restart(true)),
        ("factory-reset", Command::FactoryReset),
    ] {
        assert_eq!(Command::parse(line.as_bytes()), Ok(command), "{line}");
    }
}

#[test]
fn what_is_no_command_is_answered_with_what_there_is() {
    for (line, message) in [
        ("pres", "there is no command `pres`; type help"),
        ("PRESS", "there is no command `PRESS`; type help"),
        ("press now", "use it like this: press"),
        ("led", "use it like this: led on|off"),
        ("led ON", "use it like this: led on|off"),
        ("set", "use it like this: set KEY VALUE"),
        ("get role name", "use it like this: get [KEY]"),
        ("restart later", "use it like this: restart"),
        ("set colour red", "there is no setting `colour`"),
        ("get colour", "there is no setting `colour`"),
    ] {
        let error = Command::parse(line.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    assert_eq!(Command::parse(b"\xff\xfe"), Err(CommandError::NotUtf8));
}

#[test]
fn a_password_is_not_in_the_echo() {
    for line in [
        "set password hunter2",
        "set wifi-password \"hunter2hunter2\"",
    ] {
        let command = Command::parse(line.as_bytes()).unwrap();
        assert!(!command.to_string().contains("hunter2"));
        assert!(command.to_string().ends_with("(hidden)"));
    }
    let line = "set role both";
    assert_eq!(Command::parse(line.as_bytes()).unwrap().to_string(), line);
}

#[test]
fn every_command_is_in_the_list_of_help() {
    for (usage, doc) in Command::ALL {
        let verb = usage.split(' ').next().unwrap();
        let line = format!("{verb} a b c d");
        let error = Command::parse(line.as_bytes());
        assert!(!matches!(error, Err(CommandError::Unknown(_))), "{verb}");
        assert!(usage.len() < 16 && !doc.is_empty(), "{usage}");
    }
}

proptest! {
    #[test]
    fn any_bytes_end_in_lines_and_the_next_one_is_read(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(0x1b)], 0..600),
    ) {
        let mut typed = bytes.clone();
        typed.extend_from_slice(b"\x15status\n");
        let all = lines(&typed);
        // What went before may have left an escape open, which takes one letter.
        let last = all.last().cloned().flatten();
        let last = last.as_deref();
        prop_assert_eq!(last, Some(&b"status"[..]));
        for line in all.iter().flatten() {
            let _ = Command::parse(line);
        }
    }

    #[test]
    fn a_quoted_value_is_read_as_it_is(value in "[^\\p{Cc}]{0,30}") {
        let line = format!("set name \"{value}\"");
        prop_assert_eq!(Command::parse(line.as_bytes()), Ok(Command::Set(Key::Name, &value)));
    }
}
