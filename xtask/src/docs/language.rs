//! The languages of the pages.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

/// A language, and how texts from code and data are said in it.
pub enum Language {
    English,
    French {
        /// From the English text.
        texts: BTreeMap<String, String>,
        /// What was asked for and is not among `texts`.
        unknown: RefCell<BTreeSet<String>>,
    },
}

impl Language {
    pub fn french() -> Result<Self, Box<dyn Error>> {
        Ok(Self::French {
            texts: toml::from_str(include_str!("french.toml"))?,
            unknown: RefCell::default(),
        })
    }

    /// The one of two texts that is in this language.
    pub fn pick<T>(&self, english: T, french: T) -> T {
        match self {
            Self::English => english,
            Self::French { .. } => french,
        }
    }

    /// `english`, a text from code or data, in this language if it is known there.
    pub fn say(&self, english: &str) -> String {
        match self {
            Self::English => english.to_owned(),
            Self::French { texts, unknown } => texts.get(english).cloned().unwrap_or_else(|| {
                unknown.borrow_mut().insert(english.to_owned());
                english.to_owned()
            }),
        }
    }

    /// Texts that stayed English.
    pub fn unknown(&self) -> BTreeSet<String> {
        match self {
            Self::English => BTreeSet::new(),
            Self::French { unknown, .. } => unknown.borrow().clone(),
        }
    }
}
