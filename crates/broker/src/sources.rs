//! Files that the configuration names, and what is wrong with one.

use std::fmt;
use std::path::{Path, PathBuf};

/// A file of certificates, users or rights that can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceError {
    path: PathBuf,
    place: Option<Place>,
    why: String,
}

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    /// Counted from 1.
    line: usize,
    /// In characters, counted from 1.
    column: usize,
}

impl SourceError {
    pub(crate) fn new(path: &Path, why: impl fmt::Display) -> Self {
        Self {
            path: path.to_owned(),
            place: None,
            why: why.to_string(),
        }
    }

    pub(crate) fn at(path: &Path, line: usize, column: usize, why: impl fmt::Display) -> Self {
        Self {
            place: Some(Place { line, column }),
            ..Self::new(path, why)
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The line, counted from 1, where it is a text with something wrong in it.
    pub fn line(&self) -> Option<usize> {
        self.place.map(|place| place.line)
    }

    /// The column in characters, counted from 1.
    pub fn column(&self) -> Option<usize> {
        self.place.map(|place| place.column)
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path.display())?;
        if let Some(Place { line, column }) = self.place {
            write!(f, "line {line}, column {column}: ")?;
        }
        f.write_str(&self.why)
    }
}

impl std::error::Error for SourceError {}
