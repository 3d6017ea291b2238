//! The settings that a board shall have: from a file, from flags, and asked for.

use std::collections::HashSet;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use declic_board::{Key, SettingError, Settings};

use super::ask::Ask;
use super::file;
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::host::reason;
use crate::url::BrokerUrl;

/// The flags; `#[command(flatten)]` them.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Settings")]
pub struct SettingArgs {
    /// What the board is: publisher (its button sends), subscriber (its light follows), or both
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,

    /// The Wi-Fi network's name; capital letters count
    #[arg(long, value_name = "NAME")]
    wifi: Option<String>,

    /// The Wi-Fi network's password; '' for an open network
    ///
    /// Other users of this machine may see it there. Without it, DECLIC_WIFI_PASSWORD in the
    /// environment is used, or it is asked for.
    #[arg(long, value_name = "PASSWORD", allow_hyphen_values = true)]
    wifi_password: Option<String>,

    /// The broker: HOST, HOST:PORT, or mqtt://USER:PASSWORD@HOST:PORT
    #[arg(long, value_name = "BROKER", value_parser = parse_broker)]
    broker: Option<BrokerUrl>,

    /// User name for the broker
    #[arg(short, long)]
    user: Option<String>,

    /// Password for the broker; without it, DECLIC_PASSWORD in the environment is used
    #[arg(short = 'P', long, allow_hyphen_values = true)]
    password: Option<String>,

    /// The board's name for people
    #[arg(long)]
    name: Option<String>,

    /// Name of a pair of boards, so that several pairs share a broker
    #[arg(long)]
    pair: Option<String>,

    /// The topic between button and light
    #[arg(short, long)]
    topic: Option<String>,

    /// The board's model, which says where button and LED are; `declic boards` lists them
    #[arg(long, value_name = "MODEL")]
    board: Option<String>,

    /// Set any of the board's settings; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_setting)]
    settings: Vec<(Key, String)>,

    /// Settings from a file with lines such as: role = "publisher"
    ///
    /// `declic config export` writes such a file. Flags count more than the file.
    #[arg(long = "settings", value_name = "FILE")]
    file: Option<PathBuf>,
}

impl SettingArgs {
    /// Whether anything is to be set.
    pub fn is_empty(&self) -> bool {
        self.given()
            .is_ok_and(|given| given.is_empty() && self.file.is_none())
    }

    /// The settings, checked. What a board needs and was not given is asked for, if there is
    /// someone to ask.
    ///
    /// # Errors
    /// A value is wrong, or something is missing.
    pub fn settings(&self, ask: Option<&mut dyn Ask>) -> Result<Settings, Error> {
        let given = self.given()?;
        let mut settings = Settings::default();
        apply(&mut settings, &given)?;
        let keys: HashSet<_> = given.iter().map(|(key, _)| *key).collect();
        let missing = |key: &Key| !keys.contains(key);
        match ask {
            Some(ask) => {
                for key in NEEDED.into_iter().filter(missing) {
                    question(&mut settings, key, ask)?;
                }
            }
            None => {
                let needed = NEEDED.into_iter().filter(|key| *key != Key::Role);
                if let Some(key) = needed.filter(missing).find_map(Missing::of) {
                    return Err(Error::new(ExitCode::Usage, key.what).remedy(key.remedy));
                }
            }
        }
        if settings.password().is_some() && settings.user().is_none() {
            return Err(Error::new(ExitCode::Usage, "a password needs a user name")
                .remedy("Add --user NAME."));
        }
        if let Some(host) = settings.broker() {
            check_reachable(host)?;
        }
        Ok(settings)
    }

    /// All that was given, what counts more behind what counts less.
    fn given(&self) -> Result<Vec<(Key, String)>, Error> {
        let mut given = Vec::new();
        if let Some(path) = &self.file {
            let failed = || {
                let what = format!("can't use the settings in {}", path.display());
                Error::new(ExitCode::Usage, what)
            };
            let text =
                fs::read_to_string(path).map_err(|error| failed().because(reason(&error)))?;
            given = file::parse(&text).map_err(|error| failed().because(error))?;
        }
        let url = self.broker.as_ref();
        let port = url.map(|url| url.port.to_string());
        let flags = [
            (Key::Role, self.role.as_deref()),
            (Key::WifiSsid, self.wifi.as_deref()),
            (Key::WifiPassword, self.wifi_password.as_deref()),
            (Key::Broker, url.map(|url| url.host.as_str())),
            (Key::Port, port.as_deref()),
            (Key::User, url.and_then(|url| url.user.as_deref())),
            (Key::User, self.user.as_deref()),
            (Key::Password, url.and_then(|url| url.password.as_deref())),
            (Key::Password, self.password.as_deref()),
            (Key::Name, self.name.as_deref()),
            (Key::Pair, self.pair.as_deref()),
            (Key::Topic, url.and_then(|url| url.topic.as_deref())),
            (Key::Topic, self.topic.as_deref()),
            (Key::Board, self.board.as_deref()),
        ];
        let flags = flags
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?.to_owned())));
        given.extend(flags);
        given.extend(self.settings.iter().cloned());
        let has = |given: &[(Key, String)], key| given.iter().any(|(given, _)| *given == key);
        for (key, needs, variable) in [
            (Key::WifiPassword, Key::WifiSsid, "DECLIC_WIFI_PASSWORD"),
            (Key::Password, Key::User, "DECLIC_PASSWORD"),
        ] {
            if !has(&given, key)
                && has(&given, needs)
                && let Ok(value) = std::env::var(variable)
            {
                given.push((key, value));
            }
        }
        Ok(given)
    }
}

/// Sets all of `given`.
///
/// # Errors
/// A value is wrong.
pub fn apply(settings: &mut Settings, given: &[(Key, String)]) -> Result<(), Error> {
    for (key, value) in in_order(given) {
        settings
            .set_key(key, &value)
            .map_err(|error| Error::new(ExitCode::Usage, error.to_string()))?;
    }
    Ok(())
}

/// Checks values for a board whose other settings are not known.
///
/// # Errors
/// A value is none of its setting's.
pub fn check(given: &[(Key, String)]) -> Result<(), Error> {
    for (key, value) in given {
        match Settings::default().set_key(*key, value) {
            // What the other payload is, only the board knows.
            Ok(()) | Err(SettingError::SamePayloads) => {}
            Err(error) => return Err(Error::new(ExitCode::Usage, error.to_string())),
        }
    }
    Ok(())
}

/// `given` in an order in which the two payloads do not get into each other's way: they may never
/// be the same, and may change places.
pub fn in_order(given: &[(Key, String)]) -> Vec<(Key, String)> {
    let last = |wanted| {
        let mut of_it = given.iter().rev().filter(|(key, _)| *key == wanted);
        of_it.next().map(|(_, value)| value.clone())
    };
    let (Some(on), Some(off)) = (last(Key::PayloadOn), last(Key::PayloadOff)) else {
        return given.to_vec();
    };
    let free = ["-", "--"].into_iter().find(|word| off.trim() != *word);
    let mut ordered = given.to_vec();
    ordered.retain(|(key, _)| !matches!(key, Key::PayloadOn | Key::PayloadOff));
    ordered.extend(free.map(|word| (Key::PayloadOn, word.to_owned())));
    ordered.extend([(Key::PayloadOff, off), (Key::PayloadOn, on)]);
    ordered
}

/// Asks for `key` until the answer is a value.
fn question(settings: &mut Settings, key: Key, ask: &mut dyn Ask) -> Result<(), Error> {
    loop {
        let answer = match key {
            Key::Role => ask.line("Role of the board (publisher, subscriber or both) [both]: ")?,
            Key::WifiSsid => ask.line("Wi-Fi network: ")?,
            Key::WifiPassword => ask.hidden("Wi-Fi password (empty for an open network): ")?,
            _ => ask.line("Broker (name or address of the computer that it runs on): ")?,
        };
        let answer = match key {
            Key::WifiPassword => answer.as_str(),
            _ => answer.trim(),
        };
        let result = match (key, answer) {
            (Key::Role, "") => Ok(()),
            (Key::WifiSsid | Key::Broker, "") => Err("it is needed".to_owned()),
            (Key::Broker, broker) => parse_broker(broker).and_then(|url| {
                check_reachable(&url.host).map_err(|error| error.to_string())?;
                let port = url.port.to_string();
                settings
                    .set_key(Key::Broker, &url.host)
                    .and_then(|()| settings.set_key(Key::Port, &port))
                    .map_err(|error| error.to_string())
            }),
            (key, value) => settings
                .set_key(key, value)
                .map_err(|error| error.to_string()),
        };
        match result {
            Ok(()) => return Ok(()),
            Err(error) => ask.refuse(&error),
        }
    }
}

/// A board that connects to "this machine" finds only itself.
fn check_reachable(host: &str) -> Result<(), Error> {
    let address = host.parse::<IpAddr>();
    let is_own = host.eq_ignore_ascii_case("localhost")
        || address.is_ok_and(|address| address.is_loopback() || address.is_unspecified());
    if is_own {
        return Err(
            Error::new(ExitCode::Usage, format!("a board can't reach {host}"))
                .because("there, that is the board itself")
                .remedy(
                    "Give the address that this computer has in the network, such as \
                     192.168.1.20; `declic up --lan` prints it.",
                ),
        );
    }
    Ok(())
}

/// What is said where a setting is missing and nobody can be asked.
struct Missing {
    what: &'static str,
    remedy: &'static str,
}

impl Missing {
    fn of(key: Key) -> Option<Self> {
        match key {
            Key::WifiSsid => Some(Self {
                what: "the Wi-Fi network is missing",
                remedy: "Add --wifi NAME, or --keep-settings if the board has its settings.",
            }),
            Key::WifiPassword => Some(Self {
                what: "the Wi-Fi network's password is missing",
                remedy: "Set DECLIC_WIFI_PASSWORD or add --wifi-password; '' is an open network.",
            }),
            Key::Broker => Some(Self {
                what: "the broker is missing",
                remedy: "Add --broker ADDRESS.",
            }),
            _ => None,
        }
    }
}

fn parse_broker(text: &str) -> Result<BrokerUrl, String> {
    if text.contains("://") {
        BrokerUrl::parse_plain(text)
    } else {
        BrokerUrl::parse_plain(&format!("mqtt://{text}"))
    }
}

fn parse_setting(text: &str) -> Result<(Key, String), String> {
    let (name, value) = text.split_once('=').ok_or("it has the form KEY=VALUE")?;
    Ok((file::key(name)?, value.to_owned()))
}

/// What is asked for, in this order.
const NEEDED: [Key; 4] = [Key::Role, Key::WifiSsid, Key::WifiPassword, Key::Broker];

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: SettingArgs,
    }

    fn args(flags: &[&str]) -> SettingArgs {
        Line::parse_from([&["flash"], flags].concat()).args
    }

    fn error(flags: &[&str]) -> String {
        args(flags).settings(None).expect_err("wrong").to_string()
    }

    /// Answers, and what was refused.
    struct Person {
        answers: Vec<&'static str>,
        refused: Vec<String>,
    }

    impl Ask for Person {
        fn line(&mut self, _: &str) -> Result<String, Error> {
            Ok(self.answers.remove(0).to_owned())
        }

        fn hidden(&mut self, question: &str) -> Result<String, Error> {
            self.line(question)
        }

        fn refuse(&mut self, error: &str) {
            self.refused.push(error.to_owned());
        }
    }

    #[test]
    fn flags_count_more_than_the_url_and_set_more_than_flags() {
        let settings = args(&[
            "--wifi",
            "MyNet",
            "--wifi-password",
            "-secret-",
            "--broker",
            "mqtt://ann:pw@192.168.1.20:1884",
            "--user",
            "bob",
            "--set",
            "role=publisher",
            "--set",
            "payload-on=OFF",
            "--set",
            "payload-off=ON",
        ])
        .settings(None)
        .expect("right");
        assert_eq!(settings.wifi_password(), Some("-secret-"));
        assert_eq!(settings.broker(), Some("192.168.1.20"));
        assert_eq!(settings.port(), 1884);
        assert_eq!(settings.user(), Some("bob"));
        assert_eq!(settings.password(), Some("pw"));
        assert_eq!(settings.role().as_str(), "publisher");
        assert_eq!(
            (settings.payload_on(), settings.payload_off()),
            ("OFF", "ON")
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(error(&[]).starts_with("the Wi-Fi network is missing. Add --wifi"));
        let flags = ["--wifi", "MyNet"];
        assert!(error(&flags).starts_with("the Wi-Fi network's password is missing"));
        let flags = ["--wifi", "MyNet", "--wifi-password", ""];
        assert!(error(&flags).starts_with("the broker is missing"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let with = |flags: &[&'static str]| {
            let base = [
                "--wifi",
                "MyNet",
                "--wifi-password",
                "",
                "--broker",
                "10.0.0.2",
            ];
            error(&[&base, flags].concat())
        };
        assert!(with(&["--role", "boss"]).starts_with("role can't be `boss`"));
        assert!(with(&["--password", "x"]).starts_with("a password needs a user name"));
        assert!(with(&["--set", "broker=localhost"]).starts_with("a board can't reach localhost"));
        assert!(with(&["--set", "broker=127.0.0.1"]).contains("192.168.1.20"));
        let short = [
            "--wifi",
            "MyNet",
            "--wifi-password",
            "short",
            "--broker",
            "10.0.0.2",
        ];
        let text = error(&short);
        assert!(
            text.contains("8 to 63 characters") && !text.contains("short"),
            "{text}"
        );
    }

    #[test]
    fn a_person_is_asked_for_the_rest_until_it_is_right() {
        let mut person = Person {
            answers: vec![
                "",
                " MyNet",
                "short",
                "long enough",
                "",
                "localhost",
                "pi.local:1884",
            ],
            refused: Vec::new(),
        };
        let settings = args(&[]).settings(Some(&mut person)).expect("answered");
        assert_eq!(settings.role().as_str(), "both");
        assert_eq!(settings.wifi_ssid(), Some("MyNet"));
        assert_eq!(settings.wifi_password(), Some("long enough"));
        assert_eq!(
            (settings.broker(), settings.port()),
            (Some("pi.local"), 1884)
        );
        assert_eq!(person.refused.len(), 3);
        assert!(person.answers.is_empty());
    }

    #[test]
    fn nothing_is_asked_that_was_given() {
        let mut person = Person {
            answers: vec![],
            refused: Vec::new(),
        };
        let flags = [
            "--role",
            "publisher",
            "--wifi",
            "MyNet",
            "--wifi-password",
            "",
            "--broker",
            "pi",
        ];
        let settings = args(&flags).settings(Some(&mut person)).expect("given");
        assert_eq!(settings.wifi_password(), None);
    }
}
