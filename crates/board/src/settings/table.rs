//! The table of all settings.

use core::fmt;

use super::value::{
    Accepts, Address, BoardName, Brokers, Choice, ClientId, Credential, HomeAssistant, HostName,
    LedKind, LedRestore, LogLevel, Name, Network, Number, OnOff, Pair, Payload, Pin, Prefix, Role,
    SettingValue, Ssid, Topic, Topics, VersionChoice, WifiPassword,
};

macro_rules! settings {
    ($($number:literal $variant:ident $name:literal $field:ident: $type:ty = $default:literal,
        $unit:literal, $doc:literal;)*) => {
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

            /// The number under which its value is stored. It never changes, and that of a key
            /// that is no more is not given to another one.
            pub const fn number(self) -> u16 {
                match self {
                    $(Self::$variant => $number,)*
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
                let mut settings = Self {
                    $($field: <$type>::BLANK,)*
                };
                for key in Key::ALL {
                    settings.reset(*key);
                }
                settings
            }

            /// Returns false, and changes nothing, where `key` can't have that value.
            pub(super) fn read(&mut self, key: Key, value: &str) -> bool {
                match key {
                    $(Key::$variant => self.$field.read(value),)*
                }
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
    16 Role "role" role: Role = "both", "",
        "Whether the button sends (publisher), the light follows (subscriber), or both.";
    17 Name "name" name: Name = "", "",
        "The board's name for people.";
    39 WifiSsid "wifi-ssid" wifi_ssid: Ssid = "", "",
        "Name of the Wi-Fi network; capital letters count.";
    40 WifiPassword "wifi-password" wifi_password: WifiPassword = "", "",
        "Password of the Wi-Fi network; empty for an open one. Never shown.";
    18 Broker "broker" broker: Brokers = "", "",
        "Name or address of the broker. Of several, the next one is tried when one can't be \
         reached; mdns searches the network for one.";
    19 Port "port" port: Number<1, 65_535> = "1883", "",
        "TCP port of a broker that is set without one.";
    20 User "user" user: Credential = "", "",
        "User name for the broker.";
    21 Password "password" password: Credential = "", "",
        "Password for the broker; needs a user name. Never shown.";
    22 ClientId "client-id" client_id: ClientId = "", "",
        "MQTT client identifier; empty for declic and the board's id. Two boards must not share one.";
    23 Topic "topic" topic: Topic = "esp32/data", "",
        "The topic between button and light.";
    24 Pair "pair" pair: Pair = "", "",
        "Name of a pair of boards; appended to the topic, so that several pairs share a broker.";
    25 PayloadOn "payload-on" payload_on: Payload = "ON", "",
        "The message that turns the light on.";
    26 PayloadOff "payload-off" payload_off: Payload = "OFF", "",
        "The message that turns the light off.";
    27 QoS "qos" qos: Number<0, 2> = "1", "",
        "Quality of service of the link: 0 at most once, 1 at least once, 2 exactly once.";
    28 Retain "retain" retain: OnOff = "on", "",
        "Whether the broker keeps the last state for boards that come later.";
    29 Topics "topics" topics: Topics = "all", "",
        "The board's own topics: all, only status (online or offline), or none.";
    30 Debounce "debounce" debounce: Number<0, 1_000> = "50", "ms",
        "How long the button's contact must be quiet before a press counts.";
    54 DoublePress "double-press" double_press: Number<0, 2_000> = "0", "ms",
        "How soon after a press a second one makes both a double press. 0: every press counts at \
         once.";
    55 HoldPress "hold-press" hold_press: Number<0, 5_000> = "0", "ms",
        "How long the button is held until that is a hold and no press. 0: every press counts at \
         once.";
    31 KeepAlive "keep-alive" keep_alive: Number<0, 3_600> = "30", "s",
        "Longest silence on the connection; 0 switches the check off.";
    32 PingTimeout "ping-timeout" ping_timeout: Number<1, 60> = "10", "s",
        "How long the broker may take to answer a ping before the connection counts as lost.";
    33 ConnectTimeout "connect-timeout" connect_timeout: Number<1, 120> = "10", "s",
        "How long opening the connection may take, and then the broker's answer.";
    34 SessionExpiry "session-expiry" session_expiry: Number<0, 86_400> = "300", "s",
        "How long the broker keeps messages for a board that was cut off (MQTT 5).";
    35 Mqtt "mqtt" mqtt: VersionChoice = "auto", "",
        "MQTT version; auto tries 5 and then 3.1.1.";
    36 BackoffBase "backoff-base" backoff_base: Number<10, 60_000> = "1000", "ms",
        "Longest wait before the first new attempt; it doubles with each failure.";
    37 BackoffCap "backoff-cap" backoff_cap: Number<1, 3_600> = "60", "s",
        "Longest wait between two attempts.";
    38 StableUptime "stable-uptime" stable_uptime: Number<0, 3_600> = "30", "s",
        "How long a connection must last before waits begin at their shortest again.";
    70 HomeAssistant "home-assistant" home_assistant: HomeAssistant = "off", "",
        "Whether the board announces itself to Home Assistant, for which it needs all of its topics. \
         Switched off, it is leaving until that is taken back.";
    71 HomeAssistantPrefix "home-assistant-prefix" home_assistant_prefix: Prefix = "homeassistant", "",
        "Where Home Assistant looks for announcements.";
    56 InfoInterval "info-interval" info_interval: Number<0, 86_400> = "300", "s",
        "How often the board says how it is doing on its topic info; 0 only when it connects.";
    57 Sleep "sleep" sleep: Number<0, 3_600> = "0", "s",
        "How long a publisher stays awake when all it had to say has arrived, before it sleeps \
         until the next press; 0 never sleeps.";
    41 HostName "hostname" host_name: HostName = "", "",
        "The board's name in the network; empty for declic- and the board's id.";
    42 Address "address" address: Network = "", "",
        "A fixed address such as 192.168.1.50/24; empty to get one by DHCP.";
    43 Gateway "gateway" gateway: Address = "", "",
        "The router's address, with a fixed address.";
    44 Dns "dns" dns: Address = "", "",
        "The name server's address, with a fixed address; empty for the gateway.";
    45 Board "board" board: BoardName = "", "",
        "The board's model, which says where button and LED are; empty for the usual one.";
    46 ButtonPin "button-pin" button_pin: Pin = "auto", "",
        "Number of the button's GPIO; auto for the model's.";
    47 ButtonActiveLow "button-active-low" button_active_low: Choice = "auto", "",
        "Whether the pressed button connects its pin to ground; auto as the model does.";
    48 LedPin "led-pin" led_pin: Pin = "auto", "",
        "Number of the LED's GPIO; auto for the model's.";
    49 LedKind "led-kind" led_kind: LedKind = "auto", "",
        "What the LED is: lit by a high or a low level, a WS2812, or none; auto for the model's.";
    52 LedRestore "led-restore" led_restore: LedRestore = "retained", "",
        "What the light is after a restart: what a retained message says, what it was (kept in \
         flash), off, or on.";
    53 LedStatus "led-status" led_status: OnOff = "off", "",
        "Whether the LED flashes while the board is not connected: twice for no network, once for \
         no broker.";
    50 LogLevel "log-level" log_level: LogLevel = "info", "",
        "How much the console tells.";
    51 FactoryResetButton "factory-reset-button" factory_reset_button: OnOff = "on", "",
        "Whether holding the button for 10 s and pressing it again forgets all settings.";
}

impl Key {
    /// The key with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|key| key.name() == name)
    }

    /// The key that is stored under that number.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|key| key.number() == number)
    }

    /// Whether its value must not be shown.
    pub const fn is_secret(self) -> bool {
        matches!(self, Self::Password | Self::WifiPassword)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
