//! A board's console from the other side: commands and their answers. The grammar is that of
//! `declic_board::console`, version 1.

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::line::{Report, SerialLine};
use super::ports::FoundPort;
use crate::error::Error;
use crate::exit_code::ExitCode;

/// A board whose console has answered.
pub struct Console {
    line: SerialLine,
    reports: Receiver<Report>,
    port: String,
}

impl Console {
    /// Opens `port` and waits until the console answers: a board may start again when its port is
    /// opened.
    ///
    /// # Errors
    /// The port can't be opened, or there is no console on it that this program understands.
    pub fn open(port: FoundPort) -> Result<Self, Error> {
        let name = port.name.clone();
        let (sender, reports) = channel();
        let line = SerialLine::open(port, move |report| sender.send(report).is_ok())?;
        let mut console = Self {
            line,
            reports,
            port: name,
        };
        let deadline = Instant::now() + START;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match console.try_command("status", GREETING.min(left), false) {
                Ok(Some(answer)) => {
                    let lines = answer.unwrap_or_default();
                    let version = lines.iter().find_map(|line| line.strip_prefix("console="));
                    return match version {
                        Some("1") => Ok(console),
                        version => Err(Error::new(
                            ExitCode::Failure,
                            format!("can't talk to the board on {}", console.port),
                        )
                        .because(format!(
                            "its console has version {}, and 1 is needed",
                            version.unwrap_or("0")
                        ))
                        .remedy("`declic flash` brings the firmware of this program.")),
                    };
                }
                Ok(None) if Instant::now() < deadline => {}
                Ok(None) => return Err(console.no_answer()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Carries out `command`; returns the lines of its answer, or what the board has against it.
    ///
    /// # Errors
    /// The board does not answer any more.
    pub fn command(&mut self, command: &str) -> Result<Result<Vec<String>, String>, Error> {
        match self.try_command(command, ANSWER, true)? {
            Some(answer) => Ok(answer),
            None => Err(self.no_answer()),
        }
    }

    /// [`Self::command`]; `None` if no answer came in time. What the board does not understand it
    /// does not repeat; `without_echo` says whether such an answer can only be ours.
    fn try_command(
        &mut self,
        command: &str,
        limit: Duration,
        without_echo: bool,
    ) -> Result<Option<Result<Vec<String>, String>>, Error> {
        // Ctrl-U: whatever stood in the line does not matter.
        self.line
            .send(&format!("\x15{command}"))
            .map_err(|error| self.lost(&error.to_string()))?;
        let verb = command.split(' ').next().unwrap_or_default();
        let deadline = Instant::now() + limit;
        let mut answer = None;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = match self.reports.recv_timeout(left) {
                Ok(Report::Line(line)) => line,
                Ok(Report::Lost(cause)) => return Err(self.lost(&cause)),
                Ok(Report::Back(_) | Report::Improv(_)) => continue,
                Err(_) => return Ok(None),
            };
            if log_text(&line).is_some() {
                continue;
            }
            if let Some(echo) = line.strip_prefix("> ") {
                let is_ours = echo.split(' ').next() == Some(verb);
                answer = is_ours.then(Vec::new);
                continue;
            }
            if let Some(error) = line.strip_prefix("error: ")
                && (answer.is_some() || without_echo)
            {
                return Ok(Some(Err(error.to_owned())));
            }
            // What comes before the echo answers something else, which nobody waits for any more.
            let Some(lines) = &mut answer else { continue };
            if line == "ok" || line.starts_with("ok: ") {
                return Ok(Some(Ok(std::mem::take(lines))));
            }
            lines.push(line);
        }
    }

    fn no_answer(&self) -> Error {
        Error::new(
            ExitCode::Failure,
            format!("no answer from the board on {}", self.port),
        )
        .remedy("Is Déclic's firmware on it? `declic flash` brings it there.")
    }

    fn lost(&self, cause: &str) -> Error {
        Error::new(
            ExitCode::Failure,
            format!("lost the board on {}", self.port),
        )
        .because(cause)
        .remedy("Is its cable plugged in?")
    }
}

/// A setting's value as a program writes it: quoted, so that blanks at its ends count.
pub fn set_command(key: &str, value: &str) -> String {
    format!("set {key} \"{value}\"")
}

/// The text of a log line, `[12.345] info: text`; `None` for any other line.
pub fn log_text(line: &str) -> Option<&str> {
    let (time, rest) = line.strip_prefix('[')?.split_once("] ")?;
    let (seconds, millis) = time.split_once('.')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(seconds) || !is_number(millis) {
        return None;
    }
    let (level, text) = rest.split_once(": ")?;
    ["error", "warn", "info", "debug"]
        .contains(&level)
        .then_some(text)
}

/// Whether a line says that the board has reached its broker.
pub fn is_connected(line: &str) -> bool {
    let text = log_text(line).unwrap_or(line);
    text.starts_with("connected (MQTT ")
}

/// How long a board may take to start.
const START: Duration = Duration::from_secs(10);
/// How long the first answer may take, before it is asked again.
const GREETING: Duration = Duration::from_secs(1);
/// How long it may take to answer; writing the settings takes longest.
const ANSWER: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_lines_are_known_from_answers() {
        assert_eq!(log_text("[12.345] info: joined"), Some("joined"));
        for line in [
            "[12] info: x",
            "[a.b] info: x",
            "[1.2] said: x",
            "role=both",
            "[1.2] info",
        ] {
            assert_eq!(log_text(line), None, "{line}");
        }
    }

    #[test]
    fn the_boards_own_words_say_that_it_is_connected() {
        use declic_board::Notice;
        use declic_mqtt::ProtocolVersion;

        let notice = Notice::Connected {
            version: ProtocolVersion::V5,
            session_present: false,
        };
        assert!(is_connected(&format!("[1.000] info: {notice}")));
        assert!(!is_connected("[1.000] info: could not connect: refused"));
        assert!(!is_connected("connected=true"));
    }
}
