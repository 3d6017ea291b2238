//! The broker's configuration: one table of keys that reads a file, writes the default one and
//! says what is wrong.

mod bridge;
mod keys;
mod mistake;
mod value;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use declic_broker::{Durability, Limits, StoreConfig, Tls};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub use bridge::BridgeSettings;
pub use mistake::Mistake;
pub use value::parse_bytes;

use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::log::{LogFormat, LogLevel};
use crate::printer::Printer;
use keys::{Key, SECTIONS};

/// What a configuration says. The default is what an empty file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub listen: Vec<SocketAddr>,
    pub tls_listen: Vec<SocketAddr>,
    pub http_listen: Vec<SocketAddr>,
    pub https_listen: Vec<SocketAddr>,
    pub unix_listen: Vec<PathBuf>,
    pub lan: bool,
    pub tls: TlsSettings,
    pub public_pages: bool,
    pub web_origins: Vec<String>,
    pub threads: usize,
    pub anonymous: bool,
    pub users: Option<PathBuf>,
    pub rights: Option<PathBuf>,
    pub limits: Limits,
    /// Where retained messages and lasting sessions are kept; in memory only without it.
    pub store_directory: Option<PathBuf>,
    pub store_durability: DurabilityMode,
    /// For the mode `interval`.
    pub store_interval: Duration,
    pub sys_interval: Duration,
    pub response_prefix: String,
    /// `auto`, `none` or a path.
    pub control_socket: String,
    pub tcp_keep_alive: Duration,
    pub announce: bool,
    pub bridges: Vec<BridgeSettings>,
    pub log_level: LogLevel,
    pub log_format: LogFormat,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            tls_listen: Vec::new(),
            http_listen: Vec::new(),
            https_listen: Vec::new(),
            unix_listen: Vec::new(),
            lan: false,
            tls: TlsSettings::default(),
            public_pages: false,
            web_origins: Vec::new(),
            threads: 0,
            anonymous: false,
            users: None,
            rights: None,
            limits: Limits::default(),
            store_directory: None,
            store_durability: DurabilityMode::default(),
            store_interval: Durability::DEFAULT_INTERVAL,
            sys_interval: Duration::from_secs(10),
            response_prefix: String::new(),
            control_socket: "auto".to_owned(),
            tcp_keep_alive: Duration::from_secs(60),
            announce: true,
            bridges: Vec::new(),
            log_level: LogLevel::default(),
            log_format: LogFormat::default(),
        }
    }
}

/// When what was stored is safe from a loss of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum DurabilityMode {
    /// Before it is acknowledged
    #[default]
    Always,
    /// A moment later: 0.1 s, or what the configuration says
    Interval,
    /// When the system gets round to it
    Never,
}

/// Certificates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsSettings {
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub client_ca: Option<PathBuf>,
    pub client_crl: Option<PathBuf>,
    pub require_client_certificate: bool,
}

impl TlsSettings {
    /// The certificates for the broker, if there are any.
    ///
    /// # Errors
    /// One of certificate and key is missing, or both are and `is_needed`.
    pub fn resolve(&self, is_needed: bool) -> Result<Option<Tls>, Error> {
        match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => Ok(Some(Tls {
                certificate: certificate.clone(),
                key: key.clone(),
                client_ca: self.client_ca.clone(),
                client_crl: self.client_crl.clone(),
                require_client_certificate: self.require_client_certificate,
            })),
            (None, None) if !is_needed => Ok(None),
            _ => Err(Error::new(ExitCode::Usage, "can't listen with TLS")
                .because("there is no certificate with its key")
                .remedy("Name both: --certificate FILE --key FILE.")),
        }
    }
}

impl Settings {
    /// Where the broker keeps what outlives it.
    pub fn store(&self) -> Option<StoreConfig> {
        let directory = self.store_directory.clone()?;
        let durability = match self.store_durability {
            DurabilityMode::Always => Durability::Always,
            DurabilityMode::Interval => Durability::Interval(self.store_interval),
            DurabilityMode::Never => Durability::Never,
        };
        Some(StoreConfig {
            directory,
            durability,
        })
    }

    /// Reads the file at `path`. All mistakes but the last are printed.
    ///
    /// # Errors
    /// It can't be read, or has a mistake.
    pub fn load(path: &Path, printer: &Printer) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(|error| {
            let what = format!("can't read the configuration {}", path.display());
            Error::new(ExitCode::Usage, what).because(error)
        })?;
        Self::parse(&text).map_err(|mistakes| {
            let mut errors = mistakes
                .iter()
                .map(|mistake| Error::new(ExitCode::Usage, mistake.in_file(path, &text)));
            let last = errors.next_back();
            errors.for_each(|error| printer.error(&error));
            last.unwrap_or_else(|| Error::new(ExitCode::Usage, path.display().to_string()))
        })
    }

    /// Reads a configuration.
    ///
    /// # Errors
    /// At least one mistake, in the order of the text.
    pub fn parse(text: &str) -> Result<Self, Vec<Mistake>> {
        let (document, errors) = DeTable::parse_recoverable(text);
        let mut mistakes: Vec<_> = errors.iter().map(Mistake::syntax).collect();
        let mut settings = Self::default();
        // Where the syntax is broken, what follows may only look wrong.
        if mistakes.is_empty() {
            settings.read(document.get_ref(), &mut mistakes);
        }
        if mistakes.is_empty() {
            return Ok(settings);
        }
        mistakes.sort_by_key(Mistake::at);
        Err(mistakes)
    }

    fn read(&mut self, document: &DeTable<'_>, mistakes: &mut Vec<Mistake>) {
        let sections = SECTIONS.iter().map(|section| section.name);
        let known: Vec<_> = sections.chain([BRIDGE]).collect();
        for (name, value) in document {
            let text = name.get_ref();
            if text == BRIDGE {
                self.bridges = bridge::read(value, mistakes);
                continue;
            }
            let Some(section) = SECTIONS.iter().find(|section| section.name == text) else {
                mistakes.push(Mistake::unknown(text, name.span(), &known));
                continue;
            };
            match value.get_ref() {
                DeValue::Table(table) => {
                    read_table(section.name, table, section.keys, self, mistakes);
                }
                _ => mistakes.push(Mistake::value(
                    text,
                    value,
                    &format!("a table, begun with [{text}]"),
                )),
            }
        }
    }

    /// A complete file, in which every key has its value, described.
    pub fn document(&self) -> String {
        let mut text = HEAD.to_owned();
        for section in SECTIONS {
            text.push('\n');
            comment(&mut text, section.doc);
            text.push_str(&format!("[{}]\n", section.name));
            for key in section.keys {
                write_key(&mut text, key, self);
            }
        }
        bridge::write(&mut text, &self.bridges);
        text
    }
}

fn read_table<T>(
    path: &str,
    table: &DeTable<'_>,
    keys: &[Key<T>],
    target: &mut T,
    mistakes: &mut Vec<Mistake>,
) {
    let known: Vec<_> = keys.iter().map(|key| key.name).collect();
    for (name, value) in table {
        let path = format!("{path}.{}", name.get_ref());
        match keys.iter().find(|key| key.name == name.get_ref()) {
            None => mistakes.push(Mistake::unknown(&path, name.span(), &known)),
            Some(key) => read_key(&path, key, value, target, mistakes),
        }
    }
}

fn read_key<T>(
    path: &str,
    key: &Key<T>,
    value: &Spanned<DeValue<'_>>,
    target: &mut T,
    mistakes: &mut Vec<Mistake>,
) {
    if !(key.read)(target, value.get_ref()) {
        mistakes.push(Mistake::value(path, value, &(key.allowed)()));
    }
}

fn write_key<T>(text: &mut String, key: &Key<T>, target: &T) {
    text.push('\n');
    comment(text, key.doc);
    comment(text, &format!("Value: {}.", (key.allowed)()));
    text.push_str(&format!("{} = {}\n", key.name, (key.write)(target)));
}

/// Writes `doc` as comments of at most 98 columns, so that they can be commented out in 100.
fn comment(text: &mut String, doc: &str) {
    let mut line = "#".to_owned();
    for word in doc.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > 98 {
            text.push_str(&line);
            text.push('\n');
            line = "#".to_owned();
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}

const BRIDGE: &str = "bridge";

const HEAD: &str = "\
# The configuration of `declic broker`: every key with its default.
#
# `declic broker config --default` writes this file, `declic broker config --check FILE` checks one,
# `declic broker --config FILE` uses it. What a file leaves out has its default; flags of the
# command line win over the file.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(text: &str) -> Vec<String> {
        let path = Path::new("f");
        Settings::parse(text)
            .expect_err("a mistake")
            .iter()
            .map(|mistake| mistake.in_file(path, text))
            .collect()
    }

    #[test]
    fn an_empty_file_and_the_written_default_both_say_the_default() {
        assert_eq!(Settings::parse(""), Ok(Settings::default()));
        let text = Settings::default().document();
        assert_eq!(Settings::parse(&text), Ok(Settings::default()), "{text}");
        assert!(
            text.lines().all(|line| line.chars().count() <= 100),
            "{text}"
        );
    }

    #[test]
    fn the_written_default_has_every_key_with_its_description() {
        let text = Settings::default().document();
        for section in SECTIONS {
            let at = text.find(&format!("\n[{}]\n", section.name));
            let rest = &text[at.expect("the table")..];
            for key in section.keys {
                let line = rest.find(&format!("\n{} = ", key.name)).expect(key.name);
                let before = rest[..line].lines().next_back().expect("a line");
                assert!(before.starts_with("# "), "{}: {before}", key.name);
                assert!(key.doc.ends_with(['.', ')']), "{}", key.name);
            }
        }
    }

    /// The names of the fields come from the structure itself.
    #[test]
    fn every_limit_of_the_broker_has_a_key() {
        let limits = format!("{:#?}", Limits::default());
        let keys = SECTIONS.iter().find(|section| section.name == "limits");
        let keys = keys.expect("the table").keys;
        let fields: Vec<_> = limits
            .lines()
            .filter_map(|line| line.strip_prefix("    ")?.split_once(':'))
            .map(|(name, _)| name)
            .filter(|name| !name.starts_with(' '))
            .collect();
        for field in &fields {
            assert!(
                keys.iter().any(|key| key.name == *field),
                "Limits::{field} can't be configured; add it to SECTIONS"
            );
        }
        assert_eq!(keys.len(), fields.len());
    }

    #[test]
    fn each_key_changes_its_own_value_and_no_other() {
        for section in SECTIONS {
            for key in section.keys {
                let (mut changed, default) = (Settings::default(), Settings::default());
                let candidates = [
                    "1",
                    "true",
                    "false",
                    "\"x\"",
                    "\"never\"",
                    "\"json\"",
                    "\"debug\"",
                    "\"drop-oldest\"",
                    "[\"1.2.3.4:5\"]",
                ];
                let taken = candidates.iter().any(|text| {
                    let value = DeValue::parse(text).expect("a value");
                    (key.read)(&mut changed, value.get_ref()) && changed != default
                });
                assert!(taken, "{}.{}", section.name, key.name);
                for other in SECTIONS.iter().flat_map(|section| section.keys) {
                    let is_same = (other.write)(&changed) == (other.write)(&default);
                    assert_eq!(is_same, !std::ptr::eq(other, key), "{}", key.name);
                }
                let text = changed.document();
                assert_eq!(Settings::parse(&text), Ok(changed), "{text}");
            }
        }
    }

    #[test]
    fn mistakes_are_told_with_line_column_and_what_is_allowed() {
        let text = "\
[limits]
conections = 5
packet_size = \"16X\"
  keep_alive = 70000
zzz = 1

[logs]
";
        let told = mistakes(text);
        assert_eq!(
            told[..3],
            [
                "f:2:1: limits.conections: there is no such key; is connections meant?",
                "f:3:15: limits.packet_size can't be \"16X\"; it is a number of bytes, as in 65536, \
                 \"64K\" or \"16M\"",
                "f:4:16: limits.keep_alive can't be 70000; it is a whole number from 0 to 65535; or \
                 \"none\"",
            ],
        );
        let all = "f:5:1: limits.zzz: there is no such key; limits has connections, ";
        assert!(told[3].starts_with(all), "{}", told[3]);
        assert_eq!(
            told[4..],
            ["f:7:2: logs: there is no such table; is log meant?"]
        );
    }

    #[test]
    fn broken_syntax_is_told_with_its_place() {
        let text = "[limits]\nconnections = \n";
        let [mistake] = &mistakes(text)[..] else {
            panic!("one mistake");
        };
        assert!(mistake.starts_with("f:2:"), "{mistake}");
        let twice = mistakes("[log]\nlevel = \"info\"\nlevel = \"debug\"\n");
        assert!(twice[0].starts_with("f:3:1: duplicate key"), "{twice:?}");
    }
}
