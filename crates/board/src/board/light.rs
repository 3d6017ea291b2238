//! The light: what it is after a restart, and what the LED shows besides.

use core::time::Duration;

use declic_mqtt::Instant;

use super::Board;
use crate::settings::{LedRestore, Topics};
use crate::{Connection, Notice};

/// The light's state in flash, and whether it counts more than what the broker has.
#[derive(Debug)]
pub(super) struct LightStore {
    restore: LedRestore,
    /// The light is what the setting says, whatever is retained.
    pub(super) is_restoring: bool,
    /// What is in flash, as far as that is known.
    pub(super) stored: Option<bool>,
    /// When the light has been still for long enough.
    settled_at: Option<Instant>,
}

impl LightStore {
    pub(super) fn new(restore: LedRestore) -> Self {
        Self {
            restore,
            is_restoring: matches!(restore, LedRestore::Off | LedRestore::On),
            stored: None,
            settled_at: None,
        }
    }

    pub(super) const fn poll_timeout(&self) -> Option<Instant> {
        self.settled_at
    }

    /// What is to be stored now, of a light that is `on`.
    pub(super) fn poll_store(&mut self, on: bool, now: Instant) -> Option<bool> {
        self.settled_at.take_if(|at| *at <= now)?;
        (self.stored != Some(on)).then_some(on)
    }

    /// Stores now what is still to be stored: nothing else will change the light.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.settled_at = self.settled_at.map(|at| at.min(now));
    }
}

impl Board<'_> {
    pub(super) fn set_light(&mut self, on: bool) {
        if self.led.set(on) {
            self.unsent.led = self.settings.topics() == Topics::All;
            if self.light.restore == LedRestore::Flash {
                self.light.settled_at = Some(self.now + SETTLE_TIME);
            }
            self.notice(Notice::Light(on));
        }
    }

    /// Takes what was in flash when the machine started.
    pub(super) fn restore_light(&mut self, stored: Option<bool>) {
        self.light.stored = stored;
        if self.light.restore == LedRestore::Flash
            && let Some(on) = stored
        {
            self.led.set(on);
        }
    }

    /// What the LED shows instead of the light, and until when: flashes while there is no
    /// connection, and one long one when there is.
    pub(super) fn status_light(&self) -> Option<(bool, Instant)> {
        if !self.settings.led_status() {
            return None;
        }
        let flashes = match self.connection() {
            Connection::Stopped => return None,
            Connection::Connected { since } => {
                let until = since + HELLO_TIME;
                return (self.now < until).then_some((true, until));
            }
            Connection::Down if self.destination().is_some() => 2,
            _ => 1,
        };
        let now = self.now.as_micros();
        let step = (now >> FLASH_BITS) as u32 % FLASHES;
        let is_flashing = step < 2 * flashes;
        let bits = if is_flashing { FLASH_BITS } else { PERIOD_BITS };
        let until = Instant::from_micros(((now >> bits) + 1) << bits);
        Some((is_flashing && step.is_multiple_of(2), until))
    }
}

/// How long the light must be still before its state is stored.
const SETTLE_TIME: Duration = Duration::from_secs(5);

/// How long the LED is lit when the board has connected.
const HELLO_TIME: Duration = Duration::from_secs(1);

/// A flash, and the pause behind it, takes 2^17 microseconds (0.13 s); from one first flash to the
/// next there are 2^21 (2.1 s). Powers of two, since chips have no 64-bit division.
const FLASH_BITS: u32 = 17;
const PERIOD_BITS: u32 = 21;
const FLASHES: u32 = 1 << (PERIOD_BITS - FLASH_BITS);
