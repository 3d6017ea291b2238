//! JSON to be printed: an object on a line.

use std::fmt::{self, Write as _};

/// An object that is written member by member.
#[derive(Debug)]
pub struct Object(String);

impl Object {
    pub fn new() -> Self {
        Self("{".to_owned())
    }

    /// Adds a text.
    #[must_use]
    pub fn text(mut self, name: &str, value: &str) -> Self {
        self.name(name);
        self.0.push('"');
        self.0.push_str(&escape(value));
        self.0.push('"');
        self
    }

    /// Adds a number, `true`, `false` or a whole JSON value.
    #[must_use]
    pub fn raw(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.name(name);
        // Writing to a string can't fail.
        let _ = write!(self.0, "{value}");
        self
    }

    /// The object as far as it was written, without its closing brace.
    pub fn unfinished(self) -> String {
        self.0
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        let _ = write!(self.0, "\"{}\":", escape(name));
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}}}", self.0)
    }
}

/// `text` as it stands between quotes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' => escaped.push_str("\\\""),
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            character if character < ' ' => {
                let _ = write!(escaped, "\\u{:04x}", u32::from(character));
            }
            character => escaped.push(character),
        }
    }
    escaped
}

/// Escapes bytes that come in pieces; a character may be cut between two of them. What is not
/// UTF-8 becomes U+FFFD.
#[derive(Debug)]
pub struct Escaper {
    /// The beginning of a character whose end has not come yet.
    cut: Vec<u8>,
}

impl Escaper {
    pub const fn new() -> Self {
        Self { cut: Vec::new() }
    }

    /// The next piece, escaped.
    pub fn piece(&mut self, bytes: &[u8]) -> String {
        let mut whole = std::mem::take(&mut self.cut);
        whole.extend_from_slice(bytes);
        let mut text = String::with_capacity(whole.len());
        let mut chunks = whole.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            text.push_str(chunk.valid());
            let invalid = chunk.invalid();
            if invalid.is_empty() {
                continue;
            }
            if chunks.peek().is_none() && is_cut(invalid) {
                self.cut = invalid.to_vec();
            } else {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        escape(&text)
    }

    /// What remains at the end.
    pub fn end(&mut self) -> &'static str {
        if std::mem::take(&mut self.cut).is_empty() {
            ""
        } else {
            "\u{fffd}"
        }
    }
}

/// Whether more bytes could make `bytes` a character.
fn is_cut(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_written_member_by_member() {
        let object = Object::new().text("a\n", "\"\\\u{1}é").raw("n", 5);
        assert_eq!(object.to_string(), r#"{"a\n":"\"\\\u0001é","n":5}"#);
        assert_eq!(Object::new().to_string(), "{}");
    }

    #[test]
    fn a_text_in_pieces_is_escaped_as_a_whole_one() {
        let text = "a\"é€😀\nz".as_bytes();
        for at in 0..=text.len() {
            let mut escaper = Escaper::new();
            let pieces = escaper.piece(&text[..at]) + &escaper.piece(&text[at..]) + escaper.end();
            assert_eq!(pieces, escape("a\"é€😀\nz"), "{at}");
        }
    }

    #[test]
    fn what_is_not_utf_8_is_replaced() {
        let mut escaper = Escaper::new();
        assert_eq!(escaper.piece(b"a\xffb\xc3"), "a\u{fffd}b");
        assert_eq!(escaper.piece(b"("), "\u{fffd}(");
        assert_eq!(escaper.piece(b"\xe2\x82"), "");
        assert_eq!(escaper.end(), "\u{fffd}");
    }
}
