//! The bridges of a configuration: a table `[[bridge]]` for each, with a table `[[bridge.topic]]`
//! for each of its rules.

use std::fs;
use std::path::PathBuf;

use declic_broker::bridge::{BridgeConfig, Rule};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{BRIDGE, BRIDGE_TOPIC};
use super::mistake::Mistake;
use super::{comment, read_key, read_table, write_key};
use crate::error::Error;
use crate::exit_code::ExitCode;

/// A bridge, and where its password is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BridgeSettings {
    pub bridge: BridgeConfig,
    pub password_file: Option<PathBuf>,
}

impl BridgeSettings {
    /// The bridge with its password.
    ///
    /// # Errors
    /// The file with the password can't be read.
    pub fn resolve(&self) -> Result<BridgeConfig, Error> {
        let mut bridge = self.bridge.clone();
        if let Some(path) = &self.password_file {
            let text = fs::read_to_string(path).map_err(|error| {
                let what = format!("can't read the password in {}", path.display());
                Error::new(ExitCode::Usage, what).because(error)
            })?;
            bridge.password = text.lines().next().map(str::to_owned);
        }
        Ok(bridge)
    }
}

/// Reads all bridges.
pub fn read(value: &Spanned<DeValue<'_>>, mistakes: &mut Vec<Mistake>) -> Vec<BridgeSettings> {
    let mut bridges: Vec<BridgeSettings> = Vec::new();
    for (table, span) in tables("bridge", value, mistakes) {
        let before = mistakes.len();
        let bridge = read_one(table, mistakes);
        if mistakes.len() == before {
            let wrong = if bridges
                .iter()
                .any(|one| one.bridge.name == bridge.bridge.name)
            {
                Some("there is another bridge of this name".to_owned())
            } else {
                bridge.bridge.check().err().map(|error| error.to_string())
            };
            let name = &bridge.bridge.name;
            mistakes.extend(wrong.map(|why| Mistake::new(span, format!("bridge {name:?}: {why}"))));
        }
        bridges.push(bridge);
    }
    bridges
}

fn read_one(table: &DeTable<'_>, mistakes: &mut Vec<Mistake>) -> BridgeSettings {
    let mut bridge = BridgeSettings::default();
    let known: Vec<_> = BRIDGE.iter().map(|key| key.name).chain([TOPIC]).collect();
    for (name, value) in table {
        let path = format!("bridge.{}", name.get_ref());
        if name.get_ref() == TOPIC {
            for (table, _) in tables(&path, value, mistakes) {
                let mut rule = Rule::default();
                read_table(&path, table, BRIDGE_TOPIC, &mut rule, mistakes);
                bridge.bridge.rules.push(rule);
            }
            continue;
        }
        match BRIDGE.iter().find(|key| key.name == name.get_ref()) {
            None => mistakes.push(Mistake::unknown(&path, name.span(), &known)),
            Some(key) => read_key(&path, key, value, &mut bridge, mistakes),
        }
    }
    bridge
}

/// The tables of a list, each with its place.
fn tables<'v, 'i>(
    path: &str,
    value: &'v Spanned<DeValue<'i>>,
    mistakes: &mut Vec<Mistake>,
) -> Vec<(&'v DeTable<'i>, std::ops::Range<usize>)> {
    let allowed = format!("tables, each begun with [[{path}]]");
    let Some(items) = value.get_ref().as_array() else {
        mistakes.push(Mistake::value(path, value, &allowed));
        return Vec::new();
    };
    let mut tables = Vec::new();
    for item in items.iter() {
        match item.get_ref().as_table() {
            Some(table) => tables.push((table, item.span())),
            None => mistakes.push(Mistake::value(path, item, &allowed)),
        }
    }
    tables
}

/// Writes bridges as they stand in a file; an example, commented out, where there are none.
pub fn write(text: &mut String, bridges: &[BridgeSettings]) {
    text.push('\n');
    comment(text, DOC);
    for bridge in bridges {
        write_one(text, bridge);
    }
    if bridges.is_empty() {
        let mut lines = String::new();
        write_one(&mut lines, &example());
        for line in lines.lines() {
            text.push_str(format!("# {line}").trim_end());
            text.push('\n');
        }
    }
}

fn write_one(text: &mut String, bridge: &BridgeSettings) {
    text.push_str("\n[[bridge]]\n");
    for key in BRIDGE {
        write_key(text, key, bridge);
    }
    for rule in &bridge.bridge.rules {
        text.push_str("\n[[bridge.topic]]\n");
        for key in BRIDGE_TOPIC {
            write_key(text, key, rule);
        }
    }
}

/// All sensor readings of a house go to another broker, and come back under another name.
fn example() -> BridgeSettings {
    BridgeSettings {
        bridge: BridgeConfig {
            name: "cloud".to_owned(),
            host: "broker.example.org".to_owned(),
            rules: vec![Rule {
                topics: "sensors/#".to_owned(),
                remote_prefix: "house-1/".to_owned(),
                ..Rule::default()
            }],
            ..BridgeConfig::default()
        },
        password_file: None,
    }
}

const TOPIC: &str = "topic";
const DOC: &str = "\
    Bridges to other brokers: a table [[bridge]] for each, and in it a table [[bridge.topic]] for \
    each group of topics. Neither broker is told that a message arrived before the other one has \
    it. Two brokers need one bridge, at one of them.";

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;

    fn mistake(text: &str) -> String {
        let mistakes = Settings::parse(text).expect_err("a mistake");
        mistakes[0].in_file("f".as_ref(), text)
    }

    #[test]
    fn the_example_is_a_bridge_when_it_is_no_comment_any_more() {
        let text = Settings::default().document();
        let at = text.find("# [[bridge]]").expect("an example");
        let lines = text[at..]
            .lines()
            .map(|line| line.strip_prefix("# ").unwrap_or(""));
        let bridges = lines.collect::<Vec<_>>().join("\n");
        let settings = Settings::parse(&bridges).expect("valid");
        assert_eq!(settings.bridges, [example()]);
        assert_eq!(Settings::parse(&settings.document()), Ok(settings));
    }

    #[test]
    fn every_key_of_a_bridge_changes_its_own_value_and_no_other() {
        for key in BRIDGE {
            let mut changed = BridgeSettings::default();
            let candidates = ["7", "\"x\"", "\"3.1.1\""];
            let taken = candidates.iter().any(|text| {
                let value = DeValue::parse(text).expect("a value");
                (key.read)(&mut changed, value.get_ref()) && changed != BridgeSettings::default()
            });
            assert!(taken, "{}", key.name);
            for other in BRIDGE {
                let default = BridgeSettings::default();
                let is_same = (other.write)(&changed) == (other.write)(&default);
                assert_eq!(is_same, other.name != key.name, "{}", key.name);
            }
        }
    }

    #[test]
    fn mistakes_in_bridges_are_told_with_their_places() {
        let text = "[[bridge]]\nname = \"a\"\nhst = \"h\"\n";
        let expected = "f:3:1: bridge.hst: there is no such key; is host meant?";
        assert_eq!(mistake(text), expected);
        let text = "[[bridge]]\nname = \"a\"\n[[bridge.topic]]\nqos = 3\n";
        let expected = "f:4:7: bridge.topic.qos can't be 3; it is 0, 1 or 2";
        assert_eq!(mistake(text), expected);
        let text = "[[bridge]]\nname = \"a\"\nhost = \"h\"\n";
        assert_eq!(mistake(text), "f:1:1: bridge \"a\": no topics go over it");
        let topic = "[[bridge.topic]]\nfilter = \"x\"\n";
        let text = format!("{text}{topic}{text}{topic}");
        let expected = "f:6:1: bridge \"a\": there is another bridge of this name";
        assert_eq!(mistake(&text), expected);
        let alone = "certificate = \"c.pem\"\n";
        let text = format!("[[bridge]]\nname = \"a\"\nhost = \"h\"\n{alone}{topic}");
        assert!(
            mistake(&text).contains("needs its key"),
            "{}",
            mistake(&text)
        );
        let text = text.replace(alone, &format!("{alone}key = \"c.key\"\n"));
        assert!(
            mistake(&text).contains("ca says whom"),
            "{}",
            mistake(&text)
        );
        let text = "[bridge]\nname = \"a\"\n";
        assert!(mistake(text).contains("each begun with [[bridge]]"));
        let text =
            "[[bridge]]\nname = \"a\"\nhost = \"h\"\nversion = \"3.1.1\"\n[[bridge.topic]]\n";
        assert!(
            mistake(text).contains("would take back"),
            "{}",
            mistake(text)
        );
    }
}
