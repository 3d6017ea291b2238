//! What is wrong in a configuration, and where.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::DeValue;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where it begins, in bytes.
    at: usize,
    what: String,
}

impl Mistake {
    pub fn new(span: Range<usize>, what: impl Into<String>) -> Self {
        Self {
            at: span.start,
            what: what.into(),
        }
    }

    /// What a parser of TOML says.
    pub fn syntax(error: &toml::de::Error) -> Self {
        Self::new(error.span().unwrap_or_default(), error.message())
    }

    /// A key that is none of `known`.
    pub fn unknown(path: &str, span: Range<usize>, known: &[&str]) -> Self {
        let (table, name) = path.rsplit_once('.').unwrap_or(("", path));
        let near = known
            .iter()
            .map(|known| (strsim::normalized_damerau_levenshtein(known, name), known))
            .filter(|(likeness, _)| *likeness >= 0.5)
            .max_by(|one, other| one.0.total_cmp(&other.0));
        let kind = if table.is_empty() { "table" } else { "key" };
        let has = match near {
            Some((_, near)) => format!("is {near} meant?"),
            None if table.is_empty() => format!("there are {}", known.join(", ")),
            None => format!("{table} has {}", known.join(", ")),
        };
        let what = format!("{path}: there is no such {kind}; {has}");
        Self::new(span, what)
    }

    /// A value that its key doesn't take.
    pub fn value(path: &str, value: &Spanned<DeValue<'_>>, allowed: &str) -> Self {
        let found = match value.get_ref() {
            DeValue::String(text) => format!("{text:?}"),
            DeValue::Integer(number) => number.as_str().to_owned(),
            DeValue::Float(number) => number.as_str().to_owned(),
            DeValue::Boolean(switch) => switch.to_string(),
            DeValue::Datetime(time) => time.to_string(),
            DeValue::Array(_) => "a list".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
        };
        Self::new(
            value.span(),
            format!("{path} can't be {found}; it is {allowed}"),
        )
    }

    /// The mistake with its place in the text: `FILE:LINE:COLUMN: WHAT`, both counted from 1, the
    /// column in characters.
    pub fn in_file(&self, path: &Path, text: &str) -> String {
        let (line, column) = place(text, self.at);
        format!("{}:{line}:{column}: {self}", path.display())
    }

    pub const fn at(&self) -> usize {
        self.at
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at.min(text.len())).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    (line, column)
}
