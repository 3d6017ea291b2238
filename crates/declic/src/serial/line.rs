//! The line to a board: lines and frames in and out, and a board that may be unplugged and plugged
//! in.

use std::io::{self, Read as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use declic_board::improv::{Frame, Parser, Taken};
use serialport::SerialPort;

use super::improv::Said;
use super::ports::{FoundPort, open_error};
use crate::error::Error;

/// A port, as the crate that flashes boards wants it.
#[cfg(unix)]
pub type NativePort = serialport::TTYPort;
/// A port, as the crate that flashes boards wants it.
#[cfg(windows)]
pub type NativePort = serialport::COMPort;

/// What happens on the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// The board wrote a line. Its end is taken off.
    Line(String),
    /// The board said something in a frame of Improv Wi-Fi.
    Improv(Said),
    /// The board is gone, for the reason given. It is waited for.
    Lost(String),
    /// The board is back, at the port with that name.
    Back(String),
}

/// The line to a board, read by a thread of its own until it is dropped.
pub struct SerialLine {
    writer: Arc<Mutex<Option<Box<dyn SerialPort>>>>,
    is_dropped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Opens `port` at [`BAUD`].
///
/// # Errors
/// There is no such port, it is in use, or this user may not open it.
pub fn open(port: &FoundPort) -> Result<NativePort, Error> {
    open_native(port).map_err(|error| open_error(&port.name, &error))
}

fn open_native(port: &FoundPort) -> Result<NativePort, serialport::Error> {
    serialport::new(&port.name, BAUD)
        .timeout(READ_TIMEOUT)
        .open_native()
}

impl SerialLine {
    /// Opens `port` and reads from it; `report` is told what happens, in that thread, and returns
    /// false to end it.
    ///
    /// # Errors
    /// Those of [`open`].
    pub fn open(
        port: FoundPort,
        report: impl FnMut(Report) -> bool + Send + 'static,
    ) -> Result<Self, Error> {
        let opened = open(&port)?;
        Self::with(opened, port, report)
    }

    /// Reads from a port that is open.
    ///
    /// # Errors
    /// The system refuses a second handle or a thread.
    pub fn with(
        mut opened: NativePort,
        port: FoundPort,
        report: impl FnMut(Report) -> bool + Send + 'static,
    ) -> Result<Self, Error> {
        let name = port.name.clone();
        let writer = opened
            .set_timeout(READ_TIMEOUT)
            .and_then(|()| opened.try_clone())
            .map_err(|error| open_error(&name, &error))?;
        let writer = Arc::new(Mutex::new(Some(writer)));
        let is_dropped = Arc::new(AtomicBool::new(false));
        let mut reader = Reader {
            port,
            report,
            lines: Lines::default(),
            writer: Arc::clone(&writer),
            is_dropped: Arc::clone(&is_dropped),
        };
        let thread = thread::Builder::new()
            .name("serial".into())
            .spawn(move || reader.run(opened))
            .map_err(|error| open_error(&name, &error.into()))?;
        Ok(Self {
            writer,
            is_dropped,
            thread: Some(thread),
        })
    }

    /// Sends a line.
    ///
    /// # Errors
    /// The board is gone, or does not take it.
    pub fn send(&self, line: &str) -> io::Result<()> {
        self.send_bytes(format!("{line}\r\n").as_bytes())
    }

    /// Sends a frame of Improv Wi-Fi.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn send_frame(&self, frame: &Frame) -> io::Result<()> {
        self.send_bytes(frame.as_bytes())
    }

    fn send_bytes(&self, bytes: &[u8]) -> io::Result<()> {
        let mut writer = lock(&self.writer);
        let port = writer.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        // In one piece: a board that prints meanwhile does not come between.
        port.write_all(bytes)?;
        port.flush()
    }
}

impl Drop for SerialLine {
    fn drop(&mut self) {
        self.is_dropped.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It ends after at most one timeout; that it panicked has been printed.
            let _ = thread.join();
        }
    }
}

struct Reader<F> {
    port: FoundPort,
    report: F,
    lines: Lines,
    writer: Arc<Mutex<Option<Box<dyn SerialPort>>>>,
    is_dropped: Arc<AtomicBool>,
}

impl<F: FnMut(Report) -> bool> Reader<F> {
    fn run(&mut self, mut opened: NativePort) {
        loop {
            let Some(cause) = self.read(&mut opened) else {
                return;
            };
            // Closed, so that the device's name is free for the next one.
            *lock(&self.writer) = None;
            drop(opened);
            if let Some(rest) = self.lines.end()
                && !(self.report)(Report::Line(rest))
            {
                return;
            }
            if !(self.report)(Report::Lost(cause.to_string())) {
                return;
            }
            let Some(again) = self.wait() else {
                return;
            };
            opened = again;
            if !(self.report)(Report::Back(self.port.name.clone())) {
                return;
            }
        }
    }

    /// Reads until the port fails; `None` if it is to end.
    fn read(&mut self, opened: &mut NativePort) -> Option<io::Error> {
        let mut buffer = [0; 1024];
        while !self.is_dropped.load(Ordering::Relaxed) {
            match opened.read(&mut buffer) {
                Ok(0) => return Some(io::ErrorKind::UnexpectedEof.into()),
                Ok(len) => {
                    for report in self.lines.push(&buffer[..len]) {
                        if !(self.report)(report) {
                            return None;
                        }
                    }
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
                    ) => {}
                Err(error) => return Some(error),
            }
        }
        None
    }

    /// Waits until the board is back; `None` if it is to end.
    fn wait(&mut self) -> Option<NativePort> {
        while !self.is_dropped.load(Ordering::Relaxed) {
            // It may be there and not be ready yet: then it fails, and is tried again.
            if let Some(port) = self.port.find_again()
                && let Ok(opened) = open_native(&port)
                && let Ok(writer) = opened.try_clone()
            {
                self.port = port;
                *lock(&self.writer) = Some(writer);
                return Some(opened);
            }
            thread::park_timeout(LOOK_AGAIN);
        }
        None
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // The port is as good as before, whoever panicked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts lines and frames together.
#[derive(Default)]
struct Lines {
    parser: Parser<255>,
    rest: Vec<u8>,
}

impl Lines {
    /// Adds bytes, and returns the lines and frames that are whole.
    fn push(&mut self, bytes: &[u8]) -> Vec<Report> {
        let mut reports = Vec::new();
        for byte in bytes {
            match self.parser.take(*byte) {
                // One that is not as it was sent is as good as none.
                Taken::Part | Taken::Broken => {}
                Taken::Frame => {
                    let said = self.parser.packet().ok().and_then(Said::from_packet);
                    reports.extend(said.map(Report::Improv));
                }
                Taken::Text => {
                    for byte in self.parser.text() {
                        if *byte == b'\n' || self.rest.len() == LONGEST_LINE {
                            reports.push(Report::Line(text(&self.rest)));
                            self.rest.clear();
                        }
                        if *byte != b'\n' {
                            self.rest.push(*byte);
                        }
                    }
                }
            }
        }
        reports
    }

    /// What has come of a line whose end does not come any more.
    fn end(&mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.rest);
        (!rest.is_empty()).then(|| text(&rest))
    }
}

/// A line's text, without what could do something to a terminal: before a board's program runs,
/// there is noise.
fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut safe = String::with_capacity(text.len());
    for char in text.trim_end_matches('\r').chars() {
        match char {
            '\t' => safe.push('\t'),
            char if char.is_control() => safe.extend(char.escape_default()),
            char => safe.push(char),
        }
    }
    safe
}

/// The speed of the boards' consoles.
pub const BAUD: u32 = 115_200;
/// How long it takes at most until dropping the line is noticed.
const READ_TIMEOUT: Duration = Duration::from_millis(100);
const LOOK_AGAIN: Duration = Duration::from_millis(200);
const LONGEST_LINE: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines among them.
    fn push(lines: &mut Lines, bytes: &[u8]) -> Vec<String> {
        let reports = lines.push(bytes).into_iter();
        reports
            .filter_map(|report| match report {
                Report::Line(line) => Some(line),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn lines_are_put_together_and_can_do_nothing_to_a_terminal() {
        let mut lines = Lines::default();
        assert!(push(&mut lines, b"conn").is_empty());
        assert_eq!(
            push(&mut lines, b"ected\r\n\n\x1b[2J\xff\r\nre"),
            ["connected", "", "\\u{1b}[2J\u{fffd}"]
        );
        assert_eq!(lines.end().as_deref(), Some("re"));
        assert_eq!(lines.end(), None);
    }

    #[test]
    fn noise_without_an_end_is_cut() {
        let mut lines = Lines::default();
        let found = push(&mut lines, &[b'x'; 2 * LONGEST_LINE + 1]);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].len(), LONGEST_LINE);
    }

    #[test]
    fn frames_stand_beside_lines() {
        let mut lines = Lines::default();
        let mut bytes = b"one\r\n".to_vec();
        bytes.extend_from_slice(Frame::state(declic_board::improv::State::Provisioned).as_bytes());
        bytes.extend_from_slice(b"two\r\n");
        assert_eq!(
            lines.push(&bytes),
            [
                Report::Line("one".to_owned()),
                Report::Improv(Said::State(declic_board::improv::State::Provisioned)),
                Report::Line("two".to_owned()),
            ]
        );
    }
}
