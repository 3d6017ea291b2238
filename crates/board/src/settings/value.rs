//! The kinds of values that settings have. None can hold a wrong one.

use core::fmt;
use core::net::Ipv4Addr;

use declic_mqtt::TopicName;

/// A type that a setting has.
pub(super) trait SettingValue: Sized {
    /// What is accepted, for people.
    const ACCEPTS: Accepts;

    /// Any value, until the default is read.
    const BLANK: Self;

    /// Takes the value from text. Returns false, and changes nothing, for what is not accepted.
    fn read(&mut self, text: &str) -> bool;

    /// Writes what [`Self::read`] takes.
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result;
}

/// Which values a setting takes; its `Display` completes "it is ...".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Accepts {
    /// A whole number in a range.
    Number {
        /// The smallest.
        min: u32,
        /// The largest.
        max: u32,
    },
    /// One of some words.
    OneOf(&'static [&'static str]),
    /// A text that follows a rule.
    Text {
        /// Most bytes (UTF-8).
        max_len: usize,
        /// Which texts.
        rule: &'static str,
    },
}

impl fmt::Display for Accepts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number { min, max } => write!(f, "a number from {min} to {max}"),
            Self::OneOf(words) => {
                for (index, word) in words.iter().enumerate() {
                    let before = match index {
                        0 => "",
                        index if index + 1 == words.len() => " or ",
                        _ => ", ",
                    };
                    write!(f, "{before}{word}")?;
                }
                Ok(())
            }
            Self::Text { max_len, rule } => write!(f, "{rule}, at most {max_len} bytes"),
        }
    }
}

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number<const MIN: u32, const MAX: u32>(u32);

impl<const MIN: u32, const MAX: u32> Number<MIN, MAX> {
    pub(super) const fn get(self) -> u32 {
        self.0
    }
}

impl<const MIN: u32, const MAX: u32> SettingValue for Number<MIN, MAX> {
    const ACCEPTS: Accepts = Accepts::Number { min: MIN, max: MAX };
    const BLANK: Self = Self(MIN);

    fn read(&mut self, text: &str) -> bool {
        take(&mut self.0, number(text, MIN, MAX))
    }

    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{}", self.0)
    }
}

fn take<T>(to: &mut T, value: Option<T>) -> bool {
    value.map(|value| *to = value).is_some()
}

/// The number in `text`, if it lies in the range. The same code for every range.
#[inline(never)]
fn number(text: &str, min: u32, max: u32) -> Option<u32> {
    // `from_str` takes a sign, which no one means here.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits)?;
    (min..=max).contains(&number).then_some(number)
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident {
        $(#[$first_doc:meta])* $first:ident = $first_word:literal,
        $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)*
    })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
            pub enum $name {
                $(#[$first_doc])* $first,
                $($(#[$variant_doc])* $variant,)*
            }

            impl $name {
                /// The word that stands for it.
                pub const fn as_str(self) -> &'static str {
                    match self {
                        Self::$first => $first_word,
                        $(Self::$variant => $word,)*
                    }
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(self.as_str())
                }
            }

            impl SettingValue for $name {
                const ACCEPTS: Accepts = Accepts::OneOf(&[$first_word, $($word),*]);
                const BLANK: Self = Self::$first;

                fn read(&mut self, text: &str) -> bool {
                    let all = [Self::$first, $(Self::$variant),*];
                    let named = |value: &Self| value.as_str() == text;
                    take(self, all.into_iter().find(named))
                }

                fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
                    out.write_str(self.as_str())
                }
            }
        )*
    };
}

words! {
    /// Which parts a board plays.
    Role {
        /// Its button sends.
        Publisher = "publisher",
        /// Its light follows.
        Subscriber = "subscriber",
        /// Both.
        Both = "both",
    }

    /// Which topics under `declic/<id>` a board publishes.
    Topics {
        /// `status`, `button`, `led`, `info`; and it listens to `led/set`.
        All = "all",
        /// `status` only.
        Status = "status",
        /// None, and no will.
        None = "none",
    }

    /// What a board is to Home Assistant.
    HomeAssistant {
        /// Nothing.
        Off = "off",
        /// It announces itself.
        On = "on",
        /// It takes that back.
        Leaving = "leaving",
    }

    /// Which version of MQTT a board speaks.
    VersionChoice {
        /// 5.0, and 3.1.1 where the broker can't.
        Auto = "auto",
        /// 5.0 only.
        V5 = "5",
        /// 3.1.1 only.
        V3_1_1 = "3.1.1",
    }

    /// Yes, no, or what the board's model says.
    Choice {
        /// What the model says.
        Auto = "auto",
        /// Yes.
        On = "on",
        /// No.
        Off = "off",
    }

    /// What kind of LED a board has.
    LedKind {
        /// What the model says.
        Auto = "auto",
        /// Lit by a high level.
        PlainHigh = "plain-high",
        /// Lit by a low level.
        PlainLow = "plain-low",
        /// An addressable LED with one data line.
        Ws2812 = "ws2812",
        /// There is none.
        None = "none",
    }

    /// What the light is after a restart.
    LedRestore {
        /// Dark, until a retained message says what it is.
        Retained = "retained",
        /// As it was, until a retained message says what it is.
        Flash = "flash",
        /// Off, whatever is retained.
        Off = "off",
        /// On, whatever is retained.
        On = "on",
    }

    /// How much a log line matters, and down to which the console shows them.
    LogLevel {
        /// Something does not work.
        Error = "error",
        /// Something does not work now, or not as it should.
        Warn = "warn",
        /// What a person wants to see.
        Info = "info",
        /// All.
        Debug = "debug",
    }
}

impl Role {
    /// Whether its button sends on the link.
    pub const fn publishes(self) -> bool {
        matches!(self, Self::Publisher | Self::Both)
    }

    /// Whether its light follows the link.
    pub const fn subscribes(self) -> bool {
        matches!(self, Self::Subscriber | Self::Both)
    }
}

/// `on` or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnOff(pub bool);

impl SettingValue for OnOff {
    const ACCEPTS: Accepts = Accepts::OneOf(&["on", "off"]);
    const BLANK: Self = Self(false);

    fn read(&mut self, text: &str) -> bool {
        let value = match text {
            "on" => Some(true),
            "off" => Some(false),
            _ => None,
        };
        take(&mut self.0, value)
    }

    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        out.write_str(if self.0 { "on" } else { "off" })
    }
}

/// The number of a GPIO, or `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin(pub(super) Option<u8>);

impl SettingValue for Pin {
    const ACCEPTS: Accepts = Accepts::Text {
        max_len: 4,
        rule: "a number from 0 to 63, or auto",
    };
    const BLANK: Self = Self(None);

    fn read(&mut self, text: &str) -> bool {
        let value = match text {
            "auto" => Some(None),
            _ => number(text, 0, 63).map(|pin| Some(pin as u8)),
        };
        take(&mut self.0, value)
    }

    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        match self.0 {
            None => out.write_str("auto"),
            Some(pin) => write!(out, "{pin}"),
        }
    }
}

/// An IPv4 address, or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address(pub(super) Option<Ipv4Addr>);

impl SettingValue for Address {
    const ACCEPTS: Accepts = Accepts::Text {
        max_len: 15,
        rule: "an address such as 192.168.1.1, or nothing",
    };
    const BLANK: Self = Self(None);

    fn read(&mut self, text: &str) -> bool {
        let value = match text {
            "" => Some(None),
            _ => host_address(text).map(Some),
        };
        take(&mut self.0, value)
    }

    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        self.0.map_or(Ok(()), |address| write!(out, "{address}"))
    }
}

/// An IPv4 address and the length of its network's prefix, or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(pub(super) Option<(Ipv4Addr, u8)>);

impl SettingValue for Network {
    const ACCEPTS: Accepts = Accepts::Text {
        max_len: 18,
        rule: "an address with its prefix, such as 192.168.1.50/24, or nothing",
    };
    const BLANK: Self = Self(None);

    fn read(&mut self, text: &str) -> bool {
        let value = match text.split_once('/') {
            None if text.is_empty() => Some(None),
            None => None,
            Some((address, prefix)) => host_address(address)
                .zip(number(prefix, 1, 32))
                .map(|(address, prefix)| Some((address, prefix as u8))),
        };
        take(&mut self.0, value)
    }

    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        self.0.map_or(Ok(()), |(address, prefix)| {
            write!(out, "{address}/{prefix}")
        })
    }
}

/// An address that a machine can have.
#[inline(never)]
fn host_address(text: &str) -> Option<Ipv4Addr> {
    let address = text.parse::<Ipv4Addr>().ok()?;
    let first = address.octets()[0];
    // 0 is this network, 127 this machine, and from 224 on there are groups.
    (first != 0 && first != 127 && first < 224).then_some(address)
}

/// Text of up to `N` bytes, zeros behind it. All lengths share their code, and copying is one copy.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text<const N: usize> {
    len: u8,
    bytes: [u8; N],
}

impl<const N: usize> Text<N> {
    const EMPTY: Self = Self {
        len: 0,
        bytes: [0; N],
    };

    /// Takes `text`, if it follows the rule and has room.
    fn read(&mut self, text: &str, rule: fn(&str) -> bool) -> bool {
        copy_checked(text, rule, &mut self.bytes, &mut self.len)
    }

    pub(super) fn as_str(&self) -> &str {
        as_text(&self.bytes, self.len)
    }
}

#[inline(never)]
fn copy_checked(text: &str, rule: fn(&str) -> bool, to: &mut [u8], len: &mut u8) -> bool {
    let no_control = !text.bytes().any(|byte| byte.is_ascii_control());
    if text.len() > to.len() || !no_control || !rule(text) {
        return false;
    }
    let (front, tail) = to.split_at_mut(text.len());
    front.copy_from_slice(text.as_bytes());
    tail.fill(0);
    // No text is longer than 255 bytes.
    *len = text.len() as u8;
    true
}

#[inline(never)]
fn as_text(bytes: &[u8], len: u8) -> &str {
    let text = bytes.get(..usize::from(len)).unwrap_or_default();
    core::str::from_utf8(text).unwrap_or_default()
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident[$max:expr], $rule:literal, $check:expr;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, PartialEq, Eq)]
            pub struct $name(Text<{ $max }>);

            impl $name {
                pub(super) fn as_str(&self) -> &str {
                    self.0.as_str()
                }
            }

            impl SettingValue for $name {
                const ACCEPTS: Accepts = Accepts::Text { max_len: $max, rule: $rule };
                const BLANK: Self = Self(Text::EMPTY);

                fn read(&mut self, text: &str) -> bool {
                    self.0.read(text, $check)
                }

                fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
                    out.write_str(self.as_str())
                }
            }
        )*
    };
}

texts! {
    /// A name for people.
    Name[NAME_LEN], "a text", |_| true;

    /// Where brokers are, or nothing.
    Brokers[BROKERS_LEN], "names or addresses without mqtt://, with or without :port, or mdns", |text| {
        text.is_empty() || super::destination::is_list(text)
    };

    /// A user name or a password, or nothing.
    Credential[64], "a text", |_| true;

    /// The name of a Wi-Fi network, or nothing.
    Ssid[32], "a text", |_| true;

    /// The password of a Wi-Fi network, or nothing.
    WifiPassword[64], "8 to 63 characters or 64 hex digits, or nothing for an open network", |text| {
        match text.len() {
            0 | 8..=63 => true,
            64 => text.bytes().all(|byte| byte.is_ascii_hexdigit()),
            _ => false,
        }
    };

    /// A host's name, or nothing.
    HostName[32], "a name of letters, digits and hyphens, or nothing", |text| {
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-')
    };

    /// The name of a board's model, or nothing.
    BoardName[NAME_LEN], "a name of a board, or nothing", |text| {
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
    };

    /// A client identifier, or nothing.
    ClientId[64], "a text", |_| true;

    /// A topic name.
    Topic[TOPIC_LEN], "a topic without + and #, not starting with $", |text| {
        TopicName::new(text).is_ok_and(|topic| !topic.is_dollar())
    };

    /// The beginning of Home Assistant's topics.
    Prefix[crate::discovery::PREFIX_LEN], "a topic without + and #, not starting with $", |text| {
        TopicName::new(text).is_ok_and(|topic| !topic.is_dollar())
    };

    /// The name of a pair, one level of a topic, or nothing.
    Pair[NAME_LEN], "a name without blanks, /, + and #", |text| {
        !text.bytes().any(|byte| b" /+#".contains(&byte))
    };

    /// A payload, with neither blanks around it nor nothing in it.
    Payload[32], "a text without blanks around it", |text| {
        !text.is_empty() && text.trim_ascii().len() == text.len()
    };
}

pub(super) const NAME_LEN: usize = 32;
pub(super) const TOPIC_LEN: usize = 64;
pub(super) const BROKERS_LEN: usize = super::LONGEST_VALUE;
