//! What the machine around a board tells it.

use core::fmt;
use core::net::Ipv4Addr;

use crate::StoreError;
use crate::settings::flash::Loaded;

/// What is known when the machine has started, for
/// [`Board::handle_start`](crate::Board::handle_start).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The chip, or what stands for it.
    pub chip: &'static str,
    /// Whether there is Wi-Fi, which needs settings.
    pub has_wifi: bool,
    /// Why it started.
    pub reason: RestartReason,
    /// How often it has started, with this one;
    /// [`SettingsStore::count_boot`](crate::flash::SettingsStore::count_boot) counts.
    pub boots: Option<u32>,
    /// How the stored settings were found.
    pub settings: Result<Loaded, StoreError>,
}

impl Start {
    /// A start of which nothing more is known.
    pub fn new(chip: &'static str, reason: RestartReason) -> Self {
        Self {
            chip,
            has_wifi: false,
            reason,
            boots: None,
            settings: Ok(Loaded::default()),
        }
    }
}

/// Why a machine started. Its `Display` is a phrase for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RestartReason {
    /// Nobody knows.
    #[default]
    Unknown,
    /// The power came.
    PowerOn,
    /// The program wanted it.
    Requested,
    /// The program panicked, at this place.
    Panic(&'static str),
    /// The program was stuck.
    Watchdog,
    /// The supply voltage was too low.
    BrownOut,
    /// It slept.
    DeepSleep,
    /// Over USB, by a tool that flashes for example.
    Usb,
    /// The reset pin.
    Pin,
    /// The chip's own number for any other reason.
    Other(u32),
}

impl fmt::Display for RestartReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "unknown",
            Self::PowerOn => "power on",
            Self::Requested => "restart by the program",
            Self::Panic(place) => return write!(f, "panic at {place}"),
            Self::Watchdog => "watchdog",
            Self::BrownOut => "brown-out: the supply voltage fell",
            Self::DeepSleep => "deep sleep",
            Self::Usb => "restart over USB",
            Self::Pin => "reset pin",
            Self::Other(code) => return write!(f, "reset reason {code:#04x}"),
        })
    }
}

/// What can be measured now and then, for
/// [`Board::handle_measured`](crate::Board::handle_measured). `None` is for what is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Measured {
    /// The board's address in its network.
    pub address: Option<Ipv4Addr>,
    /// How strongly the Wi-Fi network is received, in dBm.
    pub rssi: Option<i8>,
    /// Free bytes of the heap.
    pub free_memory: Option<u32>,
}

/// A Wi-Fi network that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundNetwork<'a> {
    /// Its name; what is no UTF-8 in it is up to the owner.
    pub ssid: &'a str,
    /// How strongly it is received, in dBm.
    pub rssi: i8,
    /// Its channel.
    pub channel: u8,
    /// How it is protected, in a word: `open`, `wpa2`, `wpa3`.
    pub security: &'static str,
}

/// Why no networks could be searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScanError {
    /// The machine has no Wi-Fi.
    NoWifi,
    /// The radio reports a failure.
    Radio,
}

impl fmt::Display for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoWifi => "this board has no Wi-Fi",
            Self::Radio => "the radio could not scan",
        })
    }
}
