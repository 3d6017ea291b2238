//! Settings in a file: TOML with a setting's name and value on each line.

use std::fmt::Write as _;

use declic_board::Key;

/// Reads what a file sets.
///
/// # Errors
/// What is wrong with it, in words.
pub fn parse(text: &str) -> Result<Vec<(Key, String)>, String> {
    let table: toml::Table = toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| {
            let before = text.get(..span.start).unwrap_or_default();
            format!("line {}: ", before.matches('\n').count() + 1)
        });
        let message = error.message().lines().next().unwrap_or_default();
        format!("{}{message}", line.unwrap_or_default())
    })?;
    table
        .into_iter()
        .map(|(name, value)| {
            let value = match value {
                toml::Value::String(text) => text,
                toml::Value::Integer(number) => number.to_string(),
                toml::Value::Boolean(true) => "on".to_owned(),
                toml::Value::Boolean(false) => "off".to_owned(),
                _ => return Err(format!("{name} has a value that no setting has")),
            };
            Ok((key(&name)?, value))
        })
        .collect()
}

/// The key with that name.
///
/// # Errors
/// There is none; those that there are, are named.
pub fn key(name: &str) -> Result<Key, String> {
    Key::from_name(name).ok_or_else(|| {
        let names: Vec<_> = Key::ALL.iter().map(|key| key.name()).collect();
        format!(
            "there is no setting `{name}`; there are {}",
            names.join(", ")
        )
    })
}

/// Writes settings as [`parse`] reads them.
pub fn render<'a>(settings: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (key, value) in settings {
        let _ = writeln!(text, "{key} = {}", quoted(value));
    }
    text
}

/// A TOML basic string.
fn quoted(value: &str) -> String {
    let mut text = String::from('"');
    for char in value.chars() {
        match char {
            '"' | '\\' => text.extend(['\\', char]),
            char if char.is_control() => {
                let _ = write!(text, "\\u{:04X}", u32::from(char));
            }
            char => text.push(char),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_numbers_and_yes_or_no_are_values() {
        let text = "# mine\nrole = \"publisher\"\nqos = 2\nretain = false\n";
        let settings = parse(text).expect("right");
        let expected = [
            (Key::Role, "publisher"),
            (Key::QoS, "2"),
            (Key::Retain, "off"),
        ];
        assert_eq!(settings.len(), expected.len());
        for (key, value) in expected {
            assert!(settings.contains(&(key, value.to_owned())), "{key}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let settings = [
            (Key::Name, "a \"b\" \\ é\u{1}"),
            (Key::Topic, "esp32/data"),
            (Key::WifiPassword, ""),
        ];
        let text = render(settings.map(|(key, value)| (key.name(), value)));
        let read = parse(&text).expect("right");
        assert_eq!(read, settings.map(|(key, value)| (key, value.to_owned())));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, part) in [
            ("role = publisher", "line 1: "),
            ("role = \"both\"\nrole = \"both\"", "line 2: "),
            (
                "wifi = \"x\"",
                "there is no setting `wifi`; there are role, ",
            ),
            ("qos = [1]", "qos has a value that no setting has"),
            (
                "[board]\nrole = \"x\"",
                "board has a value that no setting has",
            ),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
