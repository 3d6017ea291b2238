//! How far the writing is.

use std::io::{self, IsTerminal as _, Write as _};

use espflash::target::ProgressCallbacks;

use crate::printer::Printer;

/// A bar on a terminal, and a line for each part that is done.
pub struct Progress<'a> {
    printer: &'a Printer,
    /// The parts in the order in which they are written: name and place, and bytes.
    parts: Vec<(String, usize)>,
    done: usize,
    chunks: usize,
    percent: Option<usize>,
    draws: bool,
}

impl<'a> Progress<'a> {
    pub fn new(printer: &'a Printer, parts: Vec<(String, usize)>) -> Self {
        Self {
            printer,
            parts,
            done: 0,
            chunks: 0,
            percent: None,
            draws: io::stderr().is_terminal() && !printer.is_quiet(),
        }
    }

    /// The part that is being written.
    pub fn current(&self) -> Option<&str> {
        self.parts.get(self.done).map(|(name, _)| name.as_str())
    }

    fn draw(&mut self, percent: usize, what: &str) {
        if !self.draws || self.percent == Some(percent) {
            return;
        }
        self.percent = Some(percent);
        let bar = bar(percent);
        // Where standard error is gone, nobody looks.
        let _ = write!(io::stderr(), "\r{bar} {percent:3}% {what}\x1b[K");
        let _ = io::stderr().flush();
    }

    fn clear(&mut self) {
        if self.draws && self.percent.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
            let _ = io::stderr().flush();
        }
    }

    /// Percent of all bytes, with `current` of the chunks of this part.
    fn percent(&self, current: usize) -> usize {
        let total: usize = self.parts.iter().map(|(_, size)| size).sum();
        let before: usize = self
            .parts
            .iter()
            .take(self.done)
            .map(|(_, size)| size)
            .sum();
        let size = self.parts.get(self.done).map_or(0, |(_, size)| *size);
        let part = (size * current).checked_div(self.chunks).unwrap_or(0);
        ((before + part) * 100).checked_div(total).unwrap_or(100)
    }
}

impl ProgressCallbacks for Progress<'_> {
    fn init(&mut self, _: u32, total: usize) {
        self.chunks = total;
        self.update(0);
    }

    fn update(&mut self, current: usize) {
        let percent = self.percent(current);
        let name = self.current().unwrap_or_default().to_owned();
        self.draw(percent, &name);
    }

    fn verifying(&mut self) {
        self.percent = None;
        let percent = self.percent(self.chunks);
        self.draw(percent, "reading back");
    }

    fn finish(&mut self, _: bool) {
        self.clear();
        if let Some((name, size)) = self.parts.get(self.done) {
            // That nobody reads it is noticed at the next line.
            let _ = self
                .printer
                .line(format_args!("wrote {name}, {size} bytes, verified"));
        }
        self.done += 1;
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.clear();
    }
}

fn bar(percent: usize) -> String {
    let full = WIDTH * percent.min(100) / 100;
    format!("[{}{}]", "#".repeat(full), "-".repeat(WIDTH - full))
}

const WIDTH: usize = 30;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::printer::Color;

    #[test]
    fn all_parts_together_are_a_hundred_percent() {
        let printer = Printer::new(Color::Never, true);
        let parts = vec![("one".to_owned(), 100), ("two".to_owned(), 300)];
        let mut progress = Progress::new(&printer, parts);
        progress.init(0, 2);
        assert_eq!([0, 1, 2].map(|chunk| progress.percent(chunk)), [0, 12, 25]);
        progress.done = 1;
        progress.init(0, 3);
        assert_eq!([0, 3].map(|chunk| progress.percent(chunk)), [25, 100]);
        assert_eq!(progress.current(), Some("two"));
        assert_eq!(bar(50).len(), WIDTH + 2);
    }
}
