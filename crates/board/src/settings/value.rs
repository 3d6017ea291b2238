//! The kinds of values that settings have. None can hold a wrong one.

use core::fmt;

use declic_mqtt::TopicName;
use heapless::String;

/// A type that a setting has.
pub(super) trait SettingValue: Sized {
    /// What is accepted, for people.
    const ACCEPTS: Accepts;

    /// Reads it from text; `None` for what is not accepted.
    fn parse(text: &str) -> Option<Self>;

    /// Writes what [`Self::parse`] reads.
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

    fn parse(text: &str) -> Option<Self> {
        // `from_str` takes a sign, which no one means here.
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| digits)?;
        (MIN..=MAX).contains(&number).then_some(Self(number))
    }

    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{}", self.0)
    }
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
            pub enum $name {
                $($(#[$variant_doc])* $variant,)*
            }

            impl $name {
                /// The word that stands for it.
                pub const fn as_str(self) -> &'static str {
                    match self {
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
                const ACCEPTS: Accepts = Accepts::OneOf(&[$($word),*]);

                fn parse(text: &str) -> Option<Self> {
                    match text {
                        $($word => Some(Self::$variant),)*
                        _ => None,
                    }
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

    /// Which version of MQTT a board speaks.
    VersionChoice {
        /// 5.0, and 3.1.1 where the broker can't.
        Auto = "auto",
        /// 5.0 only.
        V5 = "5",
        /// 3.1.1 only.
        V3_1_1 = "3.1.1",
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

    fn parse(text: &str) -> Option<Self> {
        match text {
            "on" => Some(Self(true)),
            "off" => Some(Self(false)),
            _ => None,
        }
    }

    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        out.write_str(if self.0 { "on" } else { "off" })
    }
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident[$max:expr], $rule:literal, $check:expr;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, PartialEq, Eq)]
            pub struct $name(pub(super) String<{ $max }, u8>);

            impl SettingValue for $name {
                const ACCEPTS: Accepts = Accepts::Text { max_len: $max, rule: $rule };

                fn parse(text: &str) -> Option<Self> {
                    let check: fn(&str) -> bool = $check;
                    let no_control = !text.bytes().any(|byte| byte.is_ascii_control());
                    if no_control && check(text) {
                        text.try_into().ok().map(Self)
                    } else {
                        None
                    }
                }

                fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
                    out.write_str(&self.0)
                }
            }
        )*
    };
}

texts! {
    /// A name for people.
    Name[NAME_LEN], "a text", |_| true;

    /// A broker's name or address, or nothing.
    Host[64], "a host name or an address, without mqtt:// and port", |text| {
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:%".contains(&byte))
    };

    /// A user name or a password, or nothing.
    Credential[64], "a text", |_| true;

    /// A client identifier, or nothing.
    ClientId[64], "a text", |_| true;

    /// A topic name.
    Topic[TOPIC_LEN], "a topic without + and #, not starting with $", |text| {
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
