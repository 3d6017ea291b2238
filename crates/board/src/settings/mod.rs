//! All that can be set, with its defaults.
//!
//! One table ([`Key::ALL`]) is the source of everything: names, descriptions, ranges and defaults,
//! for the console, the tool, the stored record and the documents. A [`Settings`] can't hold a
//! wrong value: [`Settings::set`] is the one way in, and it checks.
//!
//! ```
//! use declic_board::Settings;
//!
//! let mut settings = Settings::default();
//! settings.set("pair", "table-7")?;
//! settings.set("debounce", "20")?;
//! assert_eq!(settings.link_topic().as_str(), "esp32/data/table-7");
//!
//! let error = settings.set("debounce", "5000").unwrap_err();
//! assert_eq!(error.to_string(), "debounce can't be `5000`: it is a number from 0 to 1000 (ms)");
//! # Ok::<(), declic_board::SettingError>(())
//! ```

mod destination;
pub mod flash;
mod key_set;
mod table;
mod value;

use core::fmt;
use core::net::Ipv4Addr;
use core::time::Duration;

use declic_mqtt::{QoS, TopicFilter, TopicName};
use heapless::String;

pub use destination::Destination;
pub use key_set::KeySet;
pub use table::{Key, Settings};
use value::Choice;
pub use value::{
    Accepts, HomeAssistant, LedKind, LedRestore, LogLevel, Role, Topics, VersionChoice,
};

impl Settings {
    /// Sets the setting named `key` to what `value` says.
    ///
    /// # Errors
    /// There is no such key, or `value` is none of its values; nothing is changed.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), SettingError> {
        let key = Key::from_name(key).ok_or_else(|| SettingError::UnknownKey(shortened(key)))?;
        self.set_key(key, value)
    }

    /// [`Self::set`] for a key that is known already.
    ///
    /// # Errors
    /// `value` is none of the key's values; nothing is changed.
    pub fn set_key(&mut self, key: Key, value: &str) -> Result<(), SettingError> {
        let other_payload = match key {
            Key::PayloadOn => Some(self.payload_off()),
            Key::PayloadOff => Some(self.payload_on()),
            _ => None,
        };
        if other_payload.is_some_and(|other| crate::led::is_word(value.as_bytes(), other)) {
            return Err(SettingError::SamePayloads);
        }
        if self.read(key, value) {
            return Ok(());
        }
        Err(SettingError::Value {
            key,
            value: shortened(if key.is_secret() { "" } else { value }),
        })
    }

    /// Gives `key` its default again.
    pub fn reset(&mut self, key: Key) {
        let taken = self.read(key, key.default_value());
        debug_assert!(taken, "the default of {key} is valid");
    }

    /// The setting named `key`, for people: a password is not shown.
    ///
    /// # Errors
    /// There is no such key.
    pub fn get(&self, key: &str) -> Result<Shown<'_>, SettingError> {
        let key = Key::from_name(key).ok_or_else(|| SettingError::UnknownKey(shortened(key)))?;
        Ok(self.get_key(key))
    }

    /// [`Self::get`] for a key that is known already.
    pub const fn get_key(&self, key: Key) -> Shown<'_> {
        Shown {
            settings: self,
            key,
        }
    }

    /// Whether ON and OFF are the same word, which [`Self::set_key`] prevents.
    fn has_same_payloads(&self) -> bool {
        crate::led::is_word(self.payload_on().as_bytes(), self.payload_off())
    }

    /// Writes what [`Self::set_key`] takes to set the same value again, passwords included: for
    /// storing, not for showing.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_value(&self, key: Key, out: &mut dyn fmt::Write) -> fmt::Result {
        self.write(key, out)
    }

    /// What [`Self::write_value`] writes.
    pub fn value(&self, key: Key) -> String<LONGEST_VALUE> {
        let mut text = String::new();
        // The longest value fits.
        let _ = self.write(key, &mut text.as_mut_view());
        text
    }

    /// Whether `key` has the same value in both.
    pub fn agrees(&self, other: &Self, key: Key) -> bool {
        self.value(key) == other.value(key)
    }

    /// Which parts the board plays.
    pub const fn role(&self) -> Role {
        self.role
    }

    /// The board's name for people; empty without one.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The Wi-Fi network's name; `None` while it is not set.
    pub fn wifi_ssid(&self) -> Option<&str> {
        set(self.wifi_ssid.as_str())
    }

    /// The Wi-Fi network's password; `None` for an open network.
    pub fn wifi_password(&self) -> Option<&str> {
        set(self.wifi_password.as_str())
    }

    /// The name in the network that was set; `None` for
    /// [`BoardId::host_name`](crate::BoardId::host_name).
    pub fn host_name(&self) -> Option<&str> {
        set(self.host_name.as_str())
    }

    /// The fixed address and the length of its network's prefix; `None` for DHCP.
    pub const fn address(&self) -> Option<(Ipv4Addr, u8)> {
        self.address.0
    }

    /// The router's address, for a fixed address.
    pub const fn gateway(&self) -> Option<Ipv4Addr> {
        self.gateway.0
    }

    /// The name server's address, for a fixed address; `None` for the gateway's.
    pub const fn dns(&self) -> Option<Ipv4Addr> {
        self.dns.0
    }

    /// The name of the board's model; `None` for the usual one.
    pub fn board(&self) -> Option<&str> {
        set(self.board.as_str())
    }

    /// The button's GPIO; `None` for the model's.
    pub const fn button_pin(&self) -> Option<u8> {
        self.button_pin.0
    }

    /// Whether the pressed button gives a low level; `None` for what the model does.
    pub const fn button_active_low(&self) -> Option<bool> {
        match self.button_active_low {
            Choice::Auto => None,
            Choice::On => Some(true),
            Choice::Off => Some(false),
        }
    }

    /// The LED's GPIO; `None` for the model's.
    pub const fn led_pin(&self) -> Option<u8> {
        self.led_pin.0
    }

    /// What the LED is.
    pub const fn led_kind(&self) -> LedKind {
        self.led_kind
    }

    /// How much the console tells.
    pub const fn log_level(&self) -> LogLevel {
        self.log_level
    }

    /// Whether the button can forget all settings.
    pub const fn factory_reset_button(&self) -> bool {
        self.factory_reset_button.0
    }

    /// Where the broker is, as it was set: [`Self::brokers`] takes it apart. `None` while it is not
    /// set.
    pub fn broker(&self) -> Option<&str> {
        set(self.broker.as_str())
    }

    /// The brokers that are set, in the order in which they are tried.
    pub fn brokers(&self) -> impl Iterator<Item = Destination<'_>> {
        Destination::list(self.broker.as_str(), self.port())
    }

    /// The TCP port of a broker that is set without one.
    pub const fn port(&self) -> u16 {
        self.port.get() as u16
    }

    /// The user's name, if the broker wants one.
    pub fn user(&self) -> Option<&str> {
        set(self.user.as_str())
    }

    /// The password, if the broker wants one.
    pub fn password(&self) -> Option<&str> {
        set(self.password.as_str())
    }

    /// The client identifier that was set; `None` for `declic` and the board's id.
    pub fn client_id(&self) -> Option<&str> {
        set(self.client_id.as_str())
    }

    /// The topic between button and light: the setting `topic`, and behind it the pair's name if
    /// there is one.
    pub fn link_topic(&self) -> LinkTopic {
        let mut topic = String::new();
        // Can't be full: the capacity is the sum of the parts'.
        let _ = topic.push_str(self.topic.as_str());
        if !self.pair.as_str().is_empty() {
            let _ = topic.push('/');
            let _ = topic.push_str(self.pair.as_str());
        }
        LinkTopic(topic)
    }

    /// The payload that says ON.
    pub fn payload_on(&self) -> &str {
        self.payload_on.as_str()
    }

    /// The payload that says OFF.
    pub fn payload_off(&self) -> &str {
        self.payload_off.as_str()
    }

    /// The payload for `on`.
    pub fn payload(&self, on: bool) -> &str {
        if on {
            self.payload_on()
        } else {
            self.payload_off()
        }
    }

    /// What the payload of a message on the link topic says: the payloads that are set, in any
    /// case and with blanks around them. `None` for anything else.
    pub fn read_payload(&self, payload: &[u8]) -> Option<bool> {
        if crate::led::is_word(payload, self.payload_on()) {
            Some(true)
        } else if crate::led::is_word(payload, self.payload_off()) {
            Some(false)
        } else {
            None
        }
    }

    /// The QoS of the link and of the button's events.
    pub fn qos(&self) -> QoS {
        QoS::from_u8(self.qos.get() as u8).unwrap_or_default()
    }

    /// Whether the broker keeps the link's state.
    pub const fn retain(&self) -> bool {
        self.retain.0
    }

    /// Which of the board's own topics it publishes.
    pub const fn topics(&self) -> Topics {
        self.topics
    }

    /// How long the button's contact must be quiet.
    pub const fn debounce(&self) -> Duration {
        Duration::from_millis(self.debounce.get() as u64)
    }

    /// How soon a second press makes a double press; zero for never.
    pub const fn double_press(&self) -> Duration {
        Duration::from_millis(self.double_press.get() as u64)
    }

    /// How long the button is held until that is no press any more; zero for never.
    pub const fn hold_press(&self) -> Duration {
        Duration::from_millis(self.hold_press.get() as u64)
    }

    /// What it is to Home Assistant.
    pub const fn home_assistant(&self) -> HomeAssistant {
        self.home_assistant
    }

    /// The beginning of Home Assistant's topics.
    pub fn home_assistant_prefix(&self) -> &str {
        self.home_assistant_prefix.as_str()
    }

    /// What the light is after a restart.
    pub const fn led_restore(&self) -> LedRestore {
        self.led_restore
    }

    /// Whether the LED shows that there is no connection.
    pub const fn led_status(&self) -> bool {
        self.led_status.0
    }

    /// The time between two messages on `declic/<id>/info`; `None` for only when connecting.
    pub const fn info_interval(&self) -> Option<Duration> {
        some_seconds(self.info_interval.get())
    }

    /// How long the board stays awake when there is nothing to do; `None` for always.
    pub const fn sleep(&self) -> Option<Duration> {
        some_seconds(self.sleep.get())
    }

    /// Seconds of keep-alive; 0 for none.
    pub const fn keep_alive(&self) -> u16 {
        self.keep_alive.get() as u16
    }

    /// How long a PINGREQ may stay without answer.
    pub const fn ping_timeout(&self) -> Duration {
        Duration::from_secs(self.ping_timeout.get() as u64)
    }

    /// How long opening the transport may take, and after it the broker's CONNACK.
    pub const fn connect_timeout(&self) -> Duration {
        Duration::from_secs(self.connect_timeout.get() as u64)
    }

    /// Seconds that the broker keeps the session of a lost board (5.0).
    pub const fn session_expiry(&self) -> u32 {
        self.session_expiry.get()
    }

    /// Which version to speak.
    pub const fn mqtt(&self) -> VersionChoice {
        self.mqtt
    }

    /// The longest first wait before a new attempt.
    pub const fn backoff_base(&self) -> Duration {
        Duration::from_millis(self.backoff_base.get() as u64)
    }

    /// The longest wait of all.
    pub const fn backoff_cap(&self) -> Duration {
        Duration::from_secs(self.backoff_cap.get() as u64)
    }

    /// How long a connection must last before the next loss counts as the first again.
    pub const fn stable_uptime(&self) -> Duration {
        Duration::from_secs(self.stable_uptime.get() as u64)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::defaults()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for key in Key::ALL {
            map.entry(
                &format_args!("{key}"),
                &format_args!("{}", self.get_key(*key)),
            );
        }
        map.finish()
    }
}

/// A setting's value for people, from [`Settings::get`]: its `Display` hides passwords.
#[derive(Clone, Copy)]
pub struct Shown<'a> {
    settings: &'a Settings,
    key: Key,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_secret() {
            let set = !self.settings.value(self.key).is_empty();
            f.write_str(if set { "(set)" } else { "(not set)" })
        } else {
            self.settings.write(self.key, f)
        }
    }
}

/// The topic between button and light, always a valid topic name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkTopic(String<LINK_TOPIC_LEN>);

impl LinkTopic {
    /// The topic as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The topic, to publish to it.
    pub fn name(&self) -> TopicName<'_> {
        let Ok(name) = TopicName::new(&self.0) else {
            unreachable!("topic and pair are checked when they are set");
        };
        name
    }

    /// The topic, to subscribe to it.
    pub fn filter(&self) -> TopicFilter<'_> {
        let Ok(filter) = TopicFilter::try_from(self.name()) else {
            unreachable!("topic and pair are checked when they are set");
        };
        filter
    }
}

/// Why a setting was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettingError {
    /// No key has that name (shown shortened).
    UnknownKey(String<SHOWN_LEN>),
    /// It is none of the key's values.
    Value {
        /// The key.
        key: Key,
        /// What was given, shortened; empty for a password.
        value: String<SHOWN_LEN>,
    },
    /// `payload-on` and `payload-off` would be the same.
    SamePayloads,
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKey(name) => write!(f, "there is no setting `{name}`"),
            Self::Value { key, .. } if key.is_secret() => {
                write!(f, "{key} can't be that: it is {}", key.accepts())
            }
            Self::Value { key, value } => {
                write!(f, "{key} can't be `{value}`: it is {}", key.accepts())?;
                match key.unit() {
                    "" => Ok(()),
                    unit => write!(f, " ({unit})"),
                }
            }
            Self::SamePayloads => f.write_str("payload-on and payload-off must differ"),
        }
    }
}

impl core::error::Error for SettingError {}

const fn some_seconds(seconds: u32) -> Option<Duration> {
    match seconds {
        0 => None,
        seconds => Some(Duration::from_secs(seconds as u64)),
    }
}

/// `text`, unless it is empty.
fn set(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

/// The front of `text`, with `...` where something is left out.
pub(crate) fn shortened(text: &str) -> String<SHOWN_LEN> {
    let mut shown = String::new();
    for char in text.chars() {
        if shown.len() + char.len_utf8() > SHOWN_LEN - 3 {
            let _ = shown.push_str("...");
            break;
        }
        // A console must not be told to do things by a name.
        let _ = shown.push(if char.is_control() { '?' } else { char });
    }
    shown
}

/// Bytes of the longest value that a setting can have.
pub const LONGEST_VALUE: usize = 96;

const SHOWN_LEN: usize = 40;
const LINK_TOPIC_LEN: usize = value::TOPIC_LEN + 1 + value::NAME_LEN;

#[cfg(test)]
mod tests;
