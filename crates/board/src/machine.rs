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
    /// [`SettingsStore::count_boot`](crate::flash::SettingsStore::count_boot) counts. Waking with
    /// [`Self::kept`] is no start, and needs no count. `None` where nothing can count.
    pub boots: Option<u32>,
    /// The light's state that [`Effect::StoreLight`](crate::Effect::StoreLight) had stored.
    pub light: Option<bool>,
    /// What was kept while the machine slept.
    pub kept: Option<Kept>,
    /// Whether the button's contact woke the machine: that is a press, even if the contact is open
    /// again.
    pub pressed: bool,
    /// Whether the owner does what [`Effect::Sleep`](crate::Effect::Sleep) asks for.
    pub can_sleep: bool,
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
            light: None,
            kept: None,
            pressed: false,
            can_sleep: false,
            settings: Ok(Loaded::default()),
        }
    }
}

/// What a board must know after it has slept, from [`Board::kept`](crate::Board::kept).
///
/// For memory that lasts while a machine sleeps, it is eight words with a check of their own:
/// after a loss of power, when they are anything, [`Self::from_words`] says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kept {
    pub(crate) boot: u32,
    pub(crate) presses: u32,
    /// Events that were not sent, and their kinds.
    pub(crate) events: u32,
    pub(crate) kinds: u64,
    pub(crate) dropped_events: u32,
    pub(crate) awake_ms: u32,
    pub(crate) state: Option<bool>,
    /// The link's state is still to be sent.
    pub(crate) unsent: bool,
    /// A press is still to be made of the state that the broker has.
    pub(crate) undecided: bool,
}

impl Kept {
    /// What [`Self::from_words`] takes.
    pub fn to_words(&self) -> [u32; 8] {
        let flags = u32::from(self.state.is_some())
            | u32::from(self.state == Some(true)) << 1
            | u32::from(self.unsent) << 2
            | u32::from(self.undecided) << 3;
        let mut words = [
            self.boot,
            self.presses,
            self.events | flags << 8,
            self.kinds as u32,
            (self.kinds >> 32) as u32,
            self.dropped_events,
            self.awake_ms,
            0,
        ];
        words[7] = Self::check(&words);
        words
    }

    /// What was kept; `None` for anything else.
    pub fn from_words(words: &[u32; 8]) -> Option<Self> {
        if words[7] != Self::check(words) {
            return None;
        }
        let flag = |bit: u32| words[2] >> (8 + bit) & 1 != 0;
        Some(Self {
            boot: words[0],
            presses: words[1],
            events: (words[2] & 0xff).min(crate::board::EVENTS),
            kinds: u64::from(words[3]) | u64::from(words[4]) << 32,
            dropped_events: words[5],
            awake_ms: words[6],
            state: flag(0).then_some(flag(1)),
            unsent: flag(2),
            undecided: flag(3),
        })
    }

    /// FNV-1a, by words.
    fn check(words: &[u32; 8]) -> u32 {
        let start = 0x811c_9dc5;
        words[..7]
            .iter()
            .fold(start, |hash, word| (hash ^ word).wrapping_mul(0x0100_0193))
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_kept_is_read_again_and_other_words_are_not(
            boot: u32, presses: u32, events in 0..=32_u32, kinds: u64, dropped_events: u32,
            awake_ms: u32, state: Option<bool>, unsent: bool, undecided: bool,
            at in 0..8_usize, bit in 0..32_u32,
        ) {
            let kept = Kept {
                boot, presses, events, kinds, dropped_events, awake_ms, state, unsent, undecided,
            };
            let mut words = kept.to_words();
            prop_assert_eq!(Kept::from_words(&words), Some(kept));
            words[at] ^= 1 << bit;
            prop_assert_eq!(Kept::from_words(&words), None);
        }
    }

    #[test]
    fn memory_that_was_never_written_holds_nothing() {
        for word in [0, u32::MAX] {
            assert_eq!(Kept::from_words(&[word; 8]), None);
        }
    }
}
