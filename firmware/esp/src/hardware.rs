//! Settings that only a board of silicon has: network, pins. They are typed, stored and shown like
//! those of [`declic_board::Settings`], and belong there as soon as it has them.

use core::fmt::{self, Display};
use core::net::Ipv4Addr;

use heapless::String;

use crate::boards::{BOARDS, BoardPins, LedKind};

pub struct Hardware {
    pub wifi: String<32>,
    pub wifi_password: String<64>,
    pub address: Option<(Ipv4Addr, u8)>,
    pub gateway: Option<Ipv4Addr>,
    pub dns: Option<Ipv4Addr>,
    pub pins: BoardPins,
}

impl Default for Hardware {
    fn default() -> Self {
        Self {
            wifi: String::new(),
            wifi_password: String::new(),
            address: None,
            gateway: None,
            dns: None,
            pins: BOARDS[0],
        }
    }
}

impl Hardware {
    /// In the order in which they are shown and stored: the board comes before its pins.
    pub const KEYS: [&'static str; 11] = [
        "wifi",
        "wifi-password",
        "address",
        "gateway",
        "dns",
        "board",
        "button-pin",
        "button-active",
        "led-pin",
        "led-kind",
        "led-active",
    ];

    /// Sets the setting named `key`; `None` if there is no such key or it can't have that value.
    pub fn set(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "wifi" => self.wifi = value.try_into().ok()?,
            "wifi-password" => self.wifi_password = value.try_into().ok()?,
            "address" => self.address = optional(value, address)?,
            "gateway" => self.gateway = optional(value, |text| text.parse().ok())?,
            "dns" => self.dns = optional(value, |text| text.parse().ok())?,
            "board" => self.pins = BoardPins::find(value)?,
            "button-pin" => self.pins.button = value.parse().ok()?,
            "button-active" => self.pins.button_active_high = high(value)?,
            "led-pin" => self.pins.led = value.parse().ok()?,
            "led-kind" => {
                self.pins.led_kind = match value {
                    "plain" => LedKind::Plain,
                    "ws2812" => LedKind::Ws2812,
                    _ => return None,
                }
            }
            "led-active" => self.pins.led_active_high = high(value)?,
            _ => return None,
        }
        Some(())
    }

    /// Writes the value of `key` as [`Self::set`] takes it, passwords included.
    pub fn write(&self, key: &str, out: &mut dyn fmt::Write) -> fmt::Result {
        let level = |high| if high { "high" } else { "low" };
        match key {
            "wifi" => out.write_str(&self.wifi),
            "wifi-password" => out.write_str(&self.wifi_password),
            "address" => self.address.map_or(Ok(()), |(address, prefix)| {
                write!(out, "{address}/{prefix}")
            }),
            "gateway" => write_optional(self.gateway, out),
            "dns" => write_optional(self.dns, out),
            "board" => out.write_str(self.pins.name),
            "button-pin" => write!(out, "{}", self.pins.button),
            "button-active" => out.write_str(level(self.pins.button_active_high)),
            "led-pin" => write!(out, "{}", self.pins.led),
            "led-kind" => out.write_str(match self.pins.led_kind {
                LedKind::Plain => "plain",
                LedKind::Ws2812 => "ws2812",
            }),
            "led-active" => out.write_str(level(self.pins.led_active_high)),
            _ => Ok(()),
        }
    }
}

fn optional<T>(text: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<Option<T>> {
    if text.is_empty() {
        Some(None)
    } else {
        parse(text).map(Some)
    }
}

fn write_optional(value: Option<impl Display>, out: &mut dyn fmt::Write) -> fmt::Result {
    value.map_or(Ok(()), |value| write!(out, "{value}"))
}

/// `192.168.1.7/24`.
fn address(text: &str) -> Option<(Ipv4Addr, u8)> {
    let (address, prefix) = text.split_once('/')?;
    let prefix = prefix.parse().ok().filter(|prefix| *prefix <= 32)?;
    Some((address.parse().ok()?, prefix))
}

fn high(text: &str) -> Option<bool> {
    match text {
        "high" => Some(true),
        "low" => Some(false),
        _ => None,
    }
}
