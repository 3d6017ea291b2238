//! Asking the person at the terminal.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::crossterm::terminal;

use crate::error::Error;
use crate::exit_code::ExitCode;

/// Someone who answers questions.
pub trait Ask {
    /// A line.
    ///
    /// # Errors
    /// There is no answer to be had.
    fn line(&mut self, question: &str) -> Result<String, Error>;

    /// A line that is not shown.
    ///
    /// # Errors
    /// There is no answer to be had.
    fn hidden(&mut self, question: &str) -> Result<String, Error>;

    /// The answer was not good, and is asked for again.
    fn refuse(&mut self, error: &str);
}

/// The person at the terminal.
pub struct Terminal(());

impl Terminal {
    /// `None` where nobody can be asked.
    pub fn new() -> Option<Self> {
        let is_one = io::stdin().is_terminal() && io::stderr().is_terminal();
        is_one.then_some(Self(()))
    }
}

impl Ask for Terminal {
    fn line(&mut self, question: &str) -> Result<String, Error> {
        show(question)?;
        let mut line = String::new();
        match io::stdin().lock().read_line(&mut line) {
            Ok(0) => Err(no_answer("the input ended")),
            Ok(_) => Ok(line.trim_end_matches(['\r', '\n']).to_owned()),
            Err(error) => Err(no_answer(error)),
        }
    }

    fn hidden(&mut self, question: &str) -> Result<String, Error> {
        show(question)?;
        terminal::enable_raw_mode().map_err(no_answer)?;
        let answer = keys();
        // Whatever it was: the terminal echoes again.
        let restored = terminal::disable_raw_mode();
        let _ = writeln!(io::stderr());
        restored.map_err(no_answer)?;
        answer
    }

    fn refuse(&mut self, error: &str) {
        let _ = writeln!(io::stderr(), "{error}");
    }
}

fn show(question: &str) -> Result<(), Error> {
    let mut stderr = io::stderr();
    write!(stderr, "{question}")
        .and_then(|()| stderr.flush())
        .map_err(no_answer)
}

/// Reads keys up to Enter.
fn keys() -> Result<String, Error> {
    let mut answer = String::new();
    loop {
        let key = match event::read().map_err(no_answer)? {
            Event::Key(key) if key.kind != KeyEventKind::Release => key,
            Event::Paste(text) => {
                answer.push_str(&text);
                continue;
            }
            _ => continue,
        };
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Enter => return Ok(answer),
            KeyCode::Char('c' | 'd') if control => return Err(no_answer("stopped")),
            KeyCode::Char('u') if control => answer.clear(),
            KeyCode::Char(char) if !control => answer.push(char),
            KeyCode::Backspace => {
                answer.pop();
            }
            _ => {}
        }
    }
}

fn no_answer(cause: impl std::fmt::Display) -> Error {
    Error::new(ExitCode::Failure, "no answer").because(cause)
}
