//! Commands as lines on standard input.

use std::io;
use std::str::FromStr;
use std::thread;
use std::time::Duration;

use declic_board::console::Command as Console;

/// What a line asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// `press`: a press, at once.
    Press,
    /// `hold MS`: the button's contact closes for that time, and is debounced.
    Hold(Duration),
    /// `status`
    Status,
    /// `quit`
    Quit,
}

/// What a line asks for where there is one board: the commands of its own console too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BoardCommand {
    /// One of [`Command`].
    Host(Command),
    /// A line for the board's console.
    Console(String),
}

/// For `--help`, where there is one board.
pub const CONSOLE_COMMANDS: &str = "\
And those of the console that every board has:
  get [KEY]      print all settings, or one
  set KEY VALUE  change a setting, for the next start of the board
  save           keep what was changed, as long as this command runs
  restart        start the board again, with what was saved
  factory-reset  start the board again, with the settings of the command line
  led on|off     switch the light
  help           list the console's commands";

/// For `--help`.
pub const COMMANDS: &str = "\
Commands, one per line on standard input:
  press    press the button
  hold MS  close the button's contact for that many milliseconds; it is debounced
  status   print how the boards are doing
  quit     leave in good order
At the end of the input it goes on, until SIGINT or SIGTERM.";

impl FromStr for Command {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let mut words = line.split_whitespace();
        let command = match (words.next(), words.next()) {
            (Some("press"), None) => Self::Press,
            (Some("status"), None) => Self::Status,
            (Some("quit"), None) => Self::Quit,
            (Some("hold"), Some(time)) => {
                let millis = time.parse().ok().filter(|millis| *millis <= LONGEST_HOLD);
                Self::Hold(Duration::from_millis(millis.ok_or_else(|| {
                    format!("hold takes a number of milliseconds up to {LONGEST_HOLD}")
                })?))
            }
            _ => {
                return Err(format!(
                    "no command `{}`; there are press, hold MS, status and quit",
                    line.trim().escape_debug()
                ));
            }
        };
        match words.next() {
            None => Ok(command),
            Some(word) => Err(format!("`{}` is one word too many", word.escape_debug())),
        }
    }
}

impl FromStr for BoardCommand {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let verb = line.split_whitespace().next().unwrap_or_default();
        let mut others = Console::ALL
            .iter()
            .filter_map(|(usage, _)| usage.split(' ').next())
            .filter(|verb| !["press", "status"].contains(verb));
        if others.any(|other| other == verb) {
            return Ok(Self::Console(line.to_owned()));
        }
        line.parse().map(Self::Host)
    }
}

/// Reads commands in a thread of its own, until the input ends or `take` returns false. Empty
/// lines are left out.
///
/// # Errors
/// The system has no thread left.
pub fn read<C: FromStr<Err = String>>(
    mut take: impl FnMut(Result<C, String>) -> bool + Send + 'static,
) -> io::Result<()> {
    let run = move || {
        let mut input = io::stdin().lock();
        let mut line = Vec::new();
        // An input that can't be read is an input that has ended.
        while matches!(read_line(&mut input, &mut line), Ok(true)) {
            let text = String::from_utf8_lossy(&line);
            if !text.trim().is_empty() && !take(text.parse()) {
                break;
            }
        }
    };
    thread::Builder::new().name("console".into()).spawn(run)?;
    Ok(())
}

/// Reads a line of bounded length; of a longer one the rest is thrown away. Returns false at the
/// end of the input.
fn read_line(input: &mut impl io::BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let mut any = false;
    loop {
        let available = match input.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            available => available?,
        };
        if available.is_empty() {
            return Ok(any);
        }
        any = true;
        let end = available.iter().position(|byte| *byte == b'\n');
        let len = end.unwrap_or(available.len());
        let room = LONGEST_LINE - line.len();
        line.extend_from_slice(&available[..len.min(room)]);
        input.consume(end.map_or(len, |end| end + 1));
        if end.is_some() {
            return Ok(true);
        }
    }
}

const LONGEST_LINE: usize = 256;
/// An hour, in milliseconds.
const LONGEST_HOLD: u64 = 3_600_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_command_or_says_what_there_is() {
        assert_eq!(" press\r".parse(), Ok(Command::Press));
        assert_eq!(
            "hold 300".parse(),
            Ok(Command::Hold(Duration::from_millis(300)))
        );
        for (line, part) in [
            ("pres", "there are press"),
            ("press now", "there are press"),
            ("hold", "there are press"),
            ("hold long", "milliseconds"),
            ("hold -1", "milliseconds"),
            ("hold 3600001", "milliseconds"),
            ("hold 1 2", "one word too many"),
            ("\u{1b}[2J", "\\u{1b}"),
        ] {
            let error = line.parse::<Command>().expect_err(line);
            assert!(error.contains(part), "{line}: {error}");
        }
    }

    #[test]
    fn a_board_of_its_own_has_its_console_too() {
        for line in ["set name a  b", "get", "help", "led on", "factory-reset"] {
            assert_eq!(line.parse(), Ok(BoardCommand::Console(line.to_owned())));
        }
        assert_eq!("press".parse(), Ok(BoardCommand::Host(Command::Press)));
        assert_eq!("status".parse(), Ok(BoardCommand::Host(Command::Status)));
        let error = "setting x".parse::<BoardCommand>().expect_err("no command");
        assert!(error.contains("no command `setting x`"), "{error}");
    }

    #[test]
    fn lines_end_with_the_input_and_long_ones_are_cut() {
        let long = [b'x'; 10_000];
        let mut input: &[u8] = &[b"press\n\n", &long[..], b"\nquit"].concat();
        let mut line = Vec::new();
        let mut lines = Vec::new();
        while read_line(&mut input, &mut line).expect("a slice can be read") {
            lines.push(line.clone());
        }
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[0], b"press");
        assert_eq!(lines[2].len(), LONGEST_LINE);
        assert_eq!(lines[3], b"quit");
    }
}
