//! All that is printed goes through here.

use std::fmt;
use std::io::{self, Write as _};

use clap::ValueEnum;

use crate::error::Error;
use crate::json::Object;

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Knows where output goes and what it looks like.
///
/// Standard output has what was asked for, one thing per line, for people and scripts alike;
/// standard error has errors and notes.
#[derive(Debug, Clone)]
pub struct Printer {
    quiet: bool,
    color_stdout: bool,
    color_stderr: bool,
    json: bool,
    verbose: bool,
}

impl Printer {
    pub fn new(color: Color, quiet: bool) -> Self {
        Self {
            quiet,
            color_stdout: color.is_wanted(&io::stdout()),
            color_stderr: color.is_wanted(&io::stderr()),
            json: false,
            verbose: false,
        }
    }

    /// The same printer, printing events as JSON where `json` says so.
    #[must_use]
    pub fn with_json(&self, json: bool) -> Self {
        Self {
            json,
            ..self.clone()
        }
    }

    /// The same printer, telling what happens inside where `verbose` says so.
    #[must_use]
    pub fn with_verbose(&self, verbose: bool) -> Self {
        Self {
            verbose,
            ..self.clone()
        }
    }

    /// Prints a line on standard output, at once.
    ///
    /// # Errors
    /// Standard output can't be written to, or nobody reads it any more.
    pub fn line(&self, line: impl fmt::Display) -> Result<(), Error> {
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{line}")
            .and_then(|()| stdout.flush())
            .map_err(|error| Error::stdout(&error))
    }

    /// Prints what happened: a line for people, or an object of JSON.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub fn event(&self, text: impl fmt::Display, json: &Object) -> Result<(), Error> {
        if self.json {
            self.line(json)
        } else {
            self.line(text)
        }
    }

    /// Prints a text of many lines on standard output.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub fn text(&self, text: &[u8]) -> Result<(), Error> {
        let mut stdout = io::stdout().lock();
        stdout
            .write_all(text)
            .and_then(|()| stdout.flush())
            .map_err(|error| Error::stdout(&error))
    }

    /// Prints an error on standard error.
    pub fn error(&self, error: &Error) {
        if !error.is_silent() {
            self.diagnostic("error", RED, error);
        }
    }

    /// Prints what the user may want to know on standard error.
    pub fn note(&self, note: impl fmt::Display) {
        self.diagnostic("note", CYAN, note);
    }

    /// Prints what happens inside on standard error, where it was asked for.
    pub fn debug(&self, text: impl fmt::Display) {
        if self.verbose {
            self.diagnostic("debug", DIM, text);
        }
    }

    /// Whether [`Self::debug`] prints anything.
    pub fn is_verbose(&self) -> bool {
        self.verbose && !self.quiet
    }

    /// Whether standard output may have colour.
    pub fn has_color(&self) -> bool {
        self.color_stdout
    }

    /// Whether only what was asked for is printed.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    fn diagnostic(&self, kind: &str, color: &str, text: impl fmt::Display) {
        if self.quiet {
            return;
        }
        // Where standard error is gone, nobody can be told.
        let mut stderr = io::stderr().lock();
        let _ = if self.color_stderr {
            writeln!(stderr, "{color}{kind}{RESET}: {text}")
        } else {
            writeln!(stderr, "{kind}: {text}")
        };
    }
}

impl Color {
    fn is_wanted(self, stream: &impl io::IsTerminal) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
            }
        }
    }
}

const RED: &str = "\x1b[1;31m";
const CYAN: &str = "\x1b[1;36m";
const DIM: &str = "\x1b[2m";
const RESET: &str = "\x1b[0m";
