//! The screen of `declic up`: the terminal around the [`View`].

use std::io::{self, IsTerminal as _};
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{
    self, KeyCode, KeyEventKind, KeyModifiers, KeyboardEnhancementFlags,
    PopKeyboardEnhancementFlags, PushKeyboardEnhancementFlags,
};
use ratatui::crossterm::execute;

use super::view::{Join, Look, View};
use super::{Event, News, Report, Side, System, reachable_here};
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::printer::Printer;

/// Whether there is a terminal to draw on and to read keys from.
pub(super) fn is_possible() -> bool {
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stdin().is_terminal() && io::stdout().is_terminal() && !is_dumb
}

/// Draws what happens and obeys keys until one of them says to quit.
pub(super) fn run(system: System, started: Instant, printer: &Printer) -> Result<ExitCode, Error> {
    let mut view = View::new(
        Look::of_terminal(printer.has_color()),
        started,
        reachable_here(&system.addresses),
        Join::new(&system.addresses, system.login.as_ref(), system.anyone),
        [Side::Publisher, Side::Subscriber].map(|side| system.board(side).client_id.as_str()),
    );
    if let Some(notice) = &system.notice {
        view.notice(notice);
    }
    let result = Screen::open(&system).and_then(|mut screen| screen.run(&system, &mut view));
    system.stop();
    result.map(|()| ExitCode::Success)
}

/// The terminal while it shows the view; given back when dropped.
struct Screen {
    terminal: DefaultTerminal,
}

impl Screen {
    fn open(system: &System) -> Result<Self, Error> {
        // Its panic hook gives the terminal back, whichever thread panics.
        let terminal = ratatui::try_init().map_err(|error| terminal_error(&error))?;
        let screen = Self { terminal };
        // Where the terminal can tell a held key from one that is hit again, it shall; the others
        // ignore this.
        let flags = KeyboardEnhancementFlags::DISAMBIGUATE_ESCAPE_CODES
            | KeyboardEnhancementFlags::REPORT_EVENT_TYPES;
        let _ = execute!(io::stdout(), PushKeyboardEnhancementFlags(flags));
        let sender = system.sender.clone();
        let read = move || {
            while let Ok(event) = event::read() {
                if sender.send(Event::Terminal(event)).is_err() {
                    return;
                }
            }
            // The terminal has gone.
            let _ = sender.send(Event::Stop);
        };
        thread::Builder::new()
            .name("keys".into())
            .spawn(read)
            .map_err(|error| terminal_error(&error))?;
        Ok(screen)
    }

    fn run(&mut self, system: &System, view: &mut View) -> Result<(), Error> {
        loop {
            view.handle_timeout(Instant::now());
            self.terminal
                .draw(|frame| view.draw(frame.area(), frame.buffer_mut()))
                .map_err(|error| terminal_error(&error))?;
            let first = match view.poll_timeout() {
                None => system
                    .events
                    .recv()
                    .map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => system
                    .events
                    .recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            let Ok(first) = first else {
                continue;
            };
            // All that is there is shown with one drawing.
            for event in std::iter::once(first).chain(system.events.try_iter().take(BATCH)) {
                if !handle(event, system, view)? {
                    return Ok(());
                }
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = execute!(io::stdout(), PopKeyboardEnhancementFlags);
        ratatui::restore();
    }
}

/// Returns whether to go on.
fn handle(event: Event, system: &System, view: &mut View) -> Result<bool, Error> {
    match event {
        Event::Board(
            _,
            Report {
                news: News::Ended, ..
            },
        ) => {
            return Err(Error::new(ExitCode::Failure, "a board failed unexpectedly"));
        }
        Event::Board(side, report) => view.report(side, &report),
        Event::Client(at, effect) => view.client(at, &effect),
        Event::BrokerEnded(cause) => {
            let failed = Error::new(ExitCode::Failure, "the broker has ended");
            return Err(failed.because(cause.unwrap_or_default()));
        }
        Event::Terminal(event::Event::Key(key)) => match key.code {
            // A key that is held repeats itself, and where the terminal doesn't say so, each
            // repetition keeps the contact closed: one press. Where it does, the press is over.
            KeyCode::Char(' ') | KeyCode::Enter if key.kind == KeyEventKind::Press => {
                view.key();
                system.publisher.host.hold(TAP);
            }
            _ if key.kind == KeyEventKind::Release => {}
            KeyCode::Char('q' | 'Q') | KeyCode::Esc => return Ok(false),
            KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                return Ok(false);
            }
            _ => {}
        },
        // A new size is drawn like anything else.
        Event::Terminal(_) | Event::Line(_) => {}
        Event::Stop => return Ok(false),
    }
    Ok(true)
}

fn terminal_error(error: &io::Error) -> Error {
    Error::new(ExitCode::Failure, "can't use the terminal")
        .because(error)
        .remedy("Lines are printed instead with --plain.")
}

/// How long a key closes the button's contact: a little longer than the debounce time, since a key
/// that was hit shall count, and short enough for nine presses in a second.
const TAP: Duration = Duration::from_millis(60);

/// Events that are handled before the next drawing at most.
const BATCH: usize = 256;
