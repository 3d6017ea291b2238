//! The table of all settings.

use core::fmt;

use super::value::{
    Accepts, ClientId, Credential, Host, Name, Number, OnOff, Pair, Payload, Role, SettingValue,
    Topic, Topics, VersionChoice,
};

macro_rules! settings {
    ($($variant:ident $name:literal $field:ident: $type:ty = $default:literal, $unit:literal,
        $doc:literal;)*) => {
        /// All that can be set on a board. [`Settings::default`] is the tutorial's board.
        #[derive(Clone, PartialEq, Eq)]
        pub struct Settings {
            $(pub(super) $field: $type,)*
        }

        /// The name of a setting.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Key {
            $(#[doc = concat!("`", $name, "`: ", $doc)] $variant,)*
        }

        impl Key {
            /// Every key, in the order in which they are shown.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The key as it is typed.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What it does, in a sentence.
            pub const fn doc(self) -> &'static str {
                match self {
                    $(Self::$variant => $doc,)*
                }
            }

            /// The value that a new board has.
            pub const fn default_value(self) -> &'static str {
                match self {
                    $(Self::$variant => $default,)*
                }
            }

            /// What its number counts; empty without one.
            pub const fn unit(self) -> &'static str {
                match self {
                    $(Self::$variant => $unit,)*
                }
            }

            /// Which values it takes.
            pub const fn accepts(self) -> Accepts {
                match self {
                    $(Self::$variant => <$type>::ACCEPTS,)*
                }
            }
        }

        impl Settings {
            pub(super) fn defaults() -> Self {
                Self {
                    $($field: <$type>::parse($default).expect("defaults are valid"),)*
                }
            }

            pub(super) fn parse(&mut self, key: Key, value: &str) -> Result<(), ()> {
                match key {
                    $(Key::$variant => self.$field = <$type>::parse(value).ok_or(())?,)*
                }
                Ok(())
            }

            pub(super) fn write(&self, key: Key, out: &mut dyn fmt::Write) -> fmt::Result {
                match key {
                    $(Key::$variant => self.$field.write(out),)*
                }
            }
        }
    };
}

settings! {
    Role "role" role: Role = "both", "",
        "Whether the button sends (publisher), the light follows (subscriber), or both.";
    Name "name" name: Name = "", "",
        "The board's name for people.";
    Broker "broker" broker: Host = "", "",
        "Name or address of the broker.";
    Port "port" port: Number<1, 65_535> = "1883", "",
        "TCP port of the broker.";
    User "user" user: Credential = "", "",
        "User name for the broker.";
    Password "password" password: Credential = "", "",
        "Password for the broker; needs a user name. Never shown.";
    ClientId "client-id" client_id: ClientId = "", "",
        "MQTT client identifier; empty for declic and the board's id. Two boards must not share one.";
    Topic "topic" topic: Topic = "esp32/data", "",
        "The topic between button and light.";
    Pair "pair" pair: Pair = "", "",
        "Name of a pair of boards; appended to the topic, so that several pairs share a broker.";
    PayloadOn "payload-on" payload_on: Payload = "ON", "",
        "The message that turns the light on.";
    PayloadOff "payload-off" payload_off: Payload = "OFF", "",
        "The message that turns the light off.";
    QoS "qos" qos: Number<0, 2> = "1", "",
        "Quality of service of the link: 0 at most once, 1 at least once, 2 exactly once.";
    Retain "retain" retain: OnOff = "on", "",
        "Whether the broker keeps the last state for boards that come later.";
    Topics "topics" topics: Topics = "all", "",
        "The board's own topics: all, only status (online or offline), or none.";
    Debounce "debounce" debounce: Number<0, 1_000> = "50", "ms",
        "How long the button's contact must be quiet before a press counts.";
    KeepAlive "keep-alive" keep_alive: Number<0, 3_600> = "30", "s",
        "Longest silence on the connection; 0 switches the check off.";
    PingTimeout "ping-timeout" ping_timeout: Number<1, 60> = "10", "s",
        "How long the broker may take to answer a ping before the connection counts as lost.";
    ConnectTimeout "connect-timeout" connect_timeout: Number<1, 120> = "10", "s",
        "How long opening the connection may take, and then the broker's answer.";
    SessionExpiry "session-expiry" session_expiry: Number<0, 86_400> = "300", "s",
        "How long the broker keeps messages for a board that was cut off (MQTT 5).";
    Mqtt "mqtt" mqtt: VersionChoice = "auto", "",
        "MQTT version; auto tries 5 and then 3.1.1.";
    BackoffBase "backoff-base" backoff_base: Number<10, 60_000> = "1000", "ms",
        "Longest wait before the first new attempt; it doubles with each failure.";
    BackoffCap "backoff-cap" backoff_cap: Number<1, 3_600> = "60", "s",
        "Longest wait between two attempts.";
    StableUptime "stable-uptime" stable_uptime: Number<0, 3_600> = "30", "s",
        "How long a connection must last before waits begin at their shortest again.";
}

impl Key {
    /// The key with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|key| key.name() == name)
    }

    /// Whether its value must not be shown.
    pub const fn is_secret(self) -> bool {
        matches!(self, Self::Password)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
