//! The kinds of values in a configuration: how each is read, written and described.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use declic_broker::SlowConsumer;
use declic_broker::bridge::Direction;
use declic_mqtt::{ProtocolVersion, QoS};
use toml::Spanned;
use toml::de::DeValue;

/// A way to write a `T` in TOML.
pub trait Kind<T> {
    /// What may be written, as the end of a sentence.
    fn allowed() -> String;
    /// `None` for what may not.
    fn read(value: &DeValue<'_>) -> Option<T>;
    fn write(value: &T) -> String;
}

/// `true` or `false`.
pub struct Switch;

impl Kind<bool> for Switch {
    fn allowed() -> String {
        "true or false".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Option<bool> {
        value.as_bool()
    }

    fn write(value: &bool) -> String {
        value.to_string()
    }
}

/// How many.
pub struct Count;

macro_rules! count {
    ($($number:ty),*) => { $(
        impl Kind<$number> for Count {
            fn allowed() -> String {
                match <$number>::BITS {
                    64 => "a whole number, 0 or more".to_owned(),
                    _ => format!("a whole number from 0 to {}", <$number>::MAX),
                }
            }

            fn read(value: &DeValue<'_>) -> Option<$number> {
                integer(value)?.try_into().ok()
            }

            fn write(value: &$number) -> String {
                value.to_string()
            }
        }
    )* };
}
count!(u8, u16, u32, usize);

/// A number of bytes, also with a unit.
pub struct Bytes;

impl Kind<usize> for Bytes {
    fn allowed() -> String {
        "a number of bytes, as in 65536, \"64K\" or \"16M\"".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Option<usize> {
        match value.as_str() {
            Some(text) => parse_bytes(text).ok(),
            None => integer(value)?.try_into().ok(),
        }
    }

    fn write(value: &usize) -> String {
        for (unit, factor) in [('G', 1 << 30), ('M', 1 << 20), ('K', 1 << 10)] {
            if *value > 0 && value.is_multiple_of(factor) {
                return format!("\"{}{unit}\"", value / factor);
            }
        }
        value.to_string()
    }
}

/// A number of bytes; K, M and G stand for powers of 1024.
pub fn parse_bytes(text: &str) -> Result<usize, String> {
    let (digits, factor) = match text.char_indices().last() {
        Some((at, 'K' | 'k')) => (&text[..at], 1 << 10),
        Some((at, 'M' | 'm')) => (&text[..at], 1 << 20),
        Some((at, 'G' | 'g')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    digits
        .parse::<usize>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| "it is a number of bytes, as in 65536, 64K or 16M".to_owned())
}

/// A time: seconds, or a number with a unit.
pub struct Time;

impl Kind<Duration> for Time {
    fn allowed() -> String {
        "seconds, or a number with a unit, as in \"500ms\", \"10s\", \"5m\", \"2h\", \"7d\""
            .to_owned()
    }

    fn read(value: &DeValue<'_>) -> Option<Duration> {
        let Some(text) = value.as_str() else {
            return integer(value).map(Duration::from_secs);
        };
        let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
        let number: u64 = digits.parse().ok()?;
        let seconds = match &text[digits.len()..] {
            "ms" => return Some(Duration::from_millis(number)),
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return None,
        };
        number.checked_mul(seconds).map(Duration::from_secs)
    }

    fn write(value: &Duration) -> String {
        let milliseconds = value.as_millis();
        for (unit, factor) in [
            ("d", 86_400_000),
            ("h", 3_600_000),
            ("m", 60_000),
            ("s", 1_000),
        ] {
            if milliseconds >= factor && milliseconds.is_multiple_of(factor) {
                return format!("\"{}{unit}\"", milliseconds / factor);
            }
        }
        match milliseconds {
            0 => "0".to_owned(),
            _ => format!("\"{milliseconds}ms\""),
        }
    }
}

/// Any text.
pub struct Text;

impl Kind<String> for Text {
    fn allowed() -> String {
        "a text".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Option<String> {
        value.as_str().map(str::to_owned)
    }

    fn write(value: &String) -> String {
        quoted(value)
    }
}

impl Kind<Option<String>> for Text {
    fn allowed() -> String {
        "a text; \"\" for none".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Option<Option<String>> {
        let text = value.as_str()?;
        Some((!text.is_empty()).then(|| text.to_owned()))
    }

    fn write(value: &Option<String>) -> String {
        quoted(value.as_deref().unwrap_or_default())
    }
}

/// A version of MQTT.
pub struct Version;

impl Kind<ProtocolVersion> for Version {
    fn allowed() -> String {
        "\"5.0\" or \"3.1.1\"".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Option<ProtocolVersion> {
        let text = value.as_str()?;
        let versions = [ProtocolVersion::V5, ProtocolVersion::V3_1_1];
        versions.into_iter().find(|one| one.to_string() == text)
    }

    fn write(value: &ProtocolVersion) -> String {
        quoted(&value.to_string())
    }
}

/// The quality of service.
pub struct Quality;

impl Kind<QoS> for Quality {
    fn allowed() -> String {
        "0, 1 or 2".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Option<QoS> {
        QoS::from_u8(integer(value)?.try_into().ok()?)
    }

    fn write(value: &QoS) -> String {
        (*value as u8).to_string()
    }
}

/// Which way messages go over a bridge.
pub struct Way;

impl Kind<Direction> for Way {
    fn allowed() -> String {
        "\"both\", \"in\" or \"out\"".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Option<Direction> {
        match value.as_str()? {
            "both" => Some(Direction::Both),
            "in" => Some(Direction::In),
            "out" => Some(Direction::Out),
            _ => None,
        }
    }

    fn write(value: &Direction) -> String {
        quoted(match value {
            Direction::Both => "both",
            Direction::In => "in",
            Direction::Out => "out",
        })
    }
}

/// The name of a file; `None` is the empty one.
pub struct File;

impl Kind<Option<PathBuf>> for File {
    fn allowed() -> String {
        "the name of a file; \"\" for none".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Option<Option<PathBuf>> {
        let text = value.as_str()?;
        Some((!text.is_empty()).then(|| text.into()))
    }

    fn write(value: &Option<PathBuf>) -> String {
        let path = value.as_deref().map(|path| path.to_string_lossy());
        quoted(&path.unwrap_or_default())
    }
}

/// Addresses with ports.
pub struct Addresses;

impl Kind<Vec<SocketAddr>> for Addresses {
    fn allowed() -> String {
        "a list of addresses with ports, as in [\"0.0.0.0:1883\", \"[::]:1883\"]".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Option<Vec<SocketAddr>> {
        let items = value.as_array()?;
        let address = |text| crate::access::parse_address(text).ok();
        items
            .iter()
            .map(|item| item.get_ref().as_str().and_then(address))
            .collect()
    }

    fn write(value: &Vec<SocketAddr>) -> String {
        let items: Vec<_> = value.iter().map(|one| format!("\"{one}\"")).collect();
        format!("[{}]", items.join(", "))
    }
}

/// Several texts.
pub struct Texts;

impl Kind<Vec<String>> for Texts {
    fn allowed() -> String {
        "a list of texts".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Option<Vec<String>> {
        let text = |item: &Spanned<DeValue<'_>>| item.get_ref().as_str().map(str::to_owned);
        value.as_array()?.iter().map(text).collect()
    }

    fn write(value: &Vec<String>) -> String {
        let items: Vec<_> = value.iter().map(|one| quoted(one)).collect();
        format!("[{}]", items.join(", "))
    }
}

/// The names of several files.
pub struct Files;

impl Kind<Vec<PathBuf>> for Files {
    fn allowed() -> String {
        "a list of names of files".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Option<Vec<PathBuf>> {
        let texts = <Texts as Kind<Vec<String>>>::read(value)?;
        Some(texts.into_iter().map(PathBuf::from).collect())
    }

    fn write(value: &Vec<PathBuf>) -> String {
        let items: Vec<_> = value
            .iter()
            .map(|one| quoted(&one.to_string_lossy()))
            .collect();
        format!("[{}]", items.join(", "))
    }
}

/// One of a few names.
pub struct Choice;

impl<T: ValueEnum> Kind<T> for Choice {
    fn allowed() -> String {
        let names: Vec<_> = T::value_variants()
            .iter()
            .filter_map(T::to_possible_value)
            .map(|value| quoted(value.get_name()))
            .collect();
        match &names[..] {
            [others @ .., last] if !others.is_empty() => {
                format!("{} or {last}", others.join(", "))
            }
            _ => names.concat(),
        }
    }

    fn read(value: &DeValue<'_>) -> Option<T> {
        T::from_str(value.as_str()?, false).ok()
    }

    fn write(value: &T) -> String {
        let value = value.to_possible_value();
        quoted(value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// What happens to messages for clients that read too slowly.
pub struct SlowConsumers;

impl Kind<SlowConsumer> for SlowConsumers {
    fn allowed() -> String {
        let [first, second, third] = SlowConsumer::ALL.map(|one| quoted(one.as_str()));
        format!("{first}, {second} or {third}")
    }

    fn read(value: &DeValue<'_>) -> Option<SlowConsumer> {
        let name = value.as_str()?;
        SlowConsumer::ALL
            .into_iter()
            .find(|one| one.as_str() == name)
    }

    fn write(value: &SlowConsumer) -> String {
        quoted(value.as_str())
    }
}

/// Another kind, or the word `none`.
pub struct OrNone<K>(K);

impl<T, K: Kind<T>> Kind<Option<T>> for OrNone<K> {
    fn allowed() -> String {
        format!("{}; or \"none\"", K::allowed())
    }

    fn read(value: &DeValue<'_>) -> Option<Option<T>> {
        match value.as_str() {
            Some("none") => Some(None),
            _ => K::read(value).map(Some),
        }
    }

    fn write(value: &Option<T>) -> String {
        value
            .as_ref()
            .map_or_else(|| quoted("none"), |value| K::write(value))
    }
}

fn integer(value: &DeValue<'_>) -> Option<u64> {
    let integer = value.as_integer()?;
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// A basic string of TOML.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(character);
            }
            character if character.is_control() => {
                quoted.push_str(&format!("\\u{:04X}", u32::from(character)));
            }
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T, K: Kind<T>>(text: &str) -> Option<T> {
        let value = DeValue::parse(text).expect("a value of TOML");
        K::read(value.get_ref())
    }

    #[test]
    fn bytes_have_units() {
        assert_eq!(parse_bytes("65536"), Ok(65_536));
        assert_eq!(parse_bytes("64K"), Ok(65_536));
        assert_eq!(parse_bytes("16m"), Ok(16 << 20));
        for wrong in ["", "K", "1.5M", "-1", "64KB", "99999999999G"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
        assert_eq!(read::<usize, Bytes>("0x10"), Some(16));
        assert_eq!(read::<usize, Bytes>("\"1G\""), Some(1 << 30));
        assert_eq!(read::<usize, Bytes>("-1"), None);
    }

    #[test]
    fn a_value_written_is_read_as_the_same() {
        for bytes in [0, 1, 1_023, 1_024, 1_536, 3 << 20, 5 << 30] {
            assert_eq!(read::<usize, Bytes>(&Bytes::write(&bytes)), Some(bytes));
        }
        for milliseconds in [0, 1, 999, 1_000, 61_000, 3_600_000, 86_400_000, 90_000_000] {
            let time = Duration::from_millis(milliseconds);
            assert_eq!(read::<Duration, Time>(&Time::write(&time)), Some(time));
        }
        let text = "a \"\\\n\u{7f}é";
        assert_eq!(
            read::<Option<PathBuf>, File>(&quoted(text)),
            Some(Some(text.into()))
        );
        for value in [None, Some(7)] {
            type Kind7 = OrNone<Count>;
            let written = <Kind7 as Kind<Option<u16>>>::write(&value);
            assert_eq!(read::<Option<u16>, Kind7>(&written), Some(value));
        }
    }

    #[test]
    fn what_is_no_value_of_its_kind_is_refused() {
        assert_eq!(read::<u16, Count>("65536"), None);
        assert_eq!(read::<u16, Count>("1.5"), None);
        assert_eq!(read::<bool, Switch>("\"true\""), None);
        for wrong in ["\"10\"", "\"10 s\"", "\"s\"", "\"1w\"", "1.5", "true"] {
            assert_eq!(read::<Duration, Time>(wrong), None, "{wrong}");
        }
        assert_eq!(read::<Vec<_>, Addresses>("[\"1.2.3.4\"]"), None);
        assert_eq!(read::<Vec<_>, Addresses>("[1883]"), None);
    }
}
