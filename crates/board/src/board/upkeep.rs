//! What keeps a board in order: its start, its stored settings, its restart.

use core::fmt;
use core::time::Duration;

use declic_mqtt::Instant;

use super::Board;
use crate::console::{Busy, Failure, Job};
use crate::settings::HomeAssistant;
use crate::{
    Change, Connection, Effect, Gesture, Key, KeySet, LogLevel, Measured, RestartReason,
    SettingError, Settings, Start, StoreError, Ticket,
};

/// What is to be done for the board itself.
#[derive(Debug)]
pub(super) struct Upkeep {
    /// The settings as they are typed; the board uses those it was made with.
    pub(super) edited: Settings,
    /// What was typed and not stored yet.
    pub(super) unsaved: KeySet,
    pub(super) to_store: KeySet,
    stored: u32,
    erase: bool,
    pub(super) scan: bool,
    /// What the owner is doing with the flash.
    pending: Option<(Ticket, Pending)>,
    last_ticket: u32,
    restart: Restart,
    /// When a command is given up for which the owner does something.
    pub(super) job_deadline: Option<Instant>,
    /// When to say again which settings are missing.
    hint_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pending {
    Store(Key),
    Light(bool),
    Erase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Restart {
    No,
    /// Wanted; at that time at the latest.
    By(Instant),
    /// The owner was told.
    Told,
}

impl Upkeep {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            edited: settings.clone(),
            unsaved: KeySet::EMPTY,
            to_store: KeySet::EMPTY,
            stored: 0,
            erase: false,
            scan: false,
            pending: None,
            last_ticket: 0,
            restart: Restart::No,
            job_deadline: None,
            hint_at: None,
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let restart = match self.restart {
            Restart::By(at) => Some(at),
            _ => None,
        };
        let times = [restart, self.job_deadline, self.hint_at];
        times.into_iter().flatten().min()
    }

    fn ticket(&mut self, pending: Pending) -> Ticket {
        self.last_ticket = self.last_ticket.wrapping_add(1);
        let ticket = Ticket(self.last_ticket);
        self.pending = Some((ticket, pending));
        ticket
    }
}

impl Board<'_> {
    /// The machine has started: to be called first, on a machine that knows something about it.
    ///
    /// The board logs it, with what was wrong with its settings. As long as settings are missing
    /// without which it can't connect, it says on its console every minute what to type.
    pub fn handle_start(&mut self, start: Start, now: Instant) {
        self.at(now);
        self.started.get_or_insert(self.now);
        self.start = Some(start);
        self.sleep.pressed(self.now);
        self.boot = start.boots.unwrap_or(self.boot);
        if let Some(kept) = start.kept {
            self.wake(kept);
        }
        self.restore_light(start.light);
        let id = self.id();
        let version = env!("CARGO_PKG_VERSION");
        self.put_info(format_args!(
            "Declic {version} on {}, board {id}",
            start.chip
        ));
        let reason = start.reason;
        let level = match reason {
            RestartReason::Panic(_) | RestartReason::Watchdog | RestartReason::BrownOut => {
                LogLevel::Warn
            }
            _ => LogLevel::Info,
        };
        match start.boots {
            Some(boots) => self.put_log(level, format_args!("start {boots}: {reason}")),
            None => self.put_log(level, format_args!("start: {reason}")),
        }
        match start.settings {
            Err(error) => self.put_log(
                LogLevel::Error,
                format_args!("{error}: all settings have their defaults"),
            ),
            Ok(loaded) => {
                if loaded.unreadable {
                    let text = format_args!("the settings were unreadable and are forgotten");
                    self.put_log(LogLevel::Error, text);
                }
                for key in loaded.broken.iter() {
                    let text = format_args!("the stored {key} was broken: it has its default");
                    self.put_log(LogLevel::Warn, text);
                }
            }
        }
        if self.settings.sleep().is_some() && self.sleeps_after().is_none() {
            let text = format_args!("sleep: this board can't, or has a light that follows");
            self.put_log(LogLevel::Warn, text);
        }
        self.hint();
        if start.pressed {
            self.button.begin_pressed();
            let at = self.now;
            self.handle_change(Change { pressed: true, at }, at);
        }
    }

    /// Something was measured, for `status` and for `declic/<id>/info`. Call it when something
    /// changed, with an address before [`Self::handle_link`].
    pub fn handle_measured(&mut self, measured: Measured, now: Instant) {
        self.at(now);
        if let Some(address) = measured.address
            && self.measured.address != measured.address
        {
            self.put_info(format_args!("the board's address is {address}"));
        }
        self.measured = measured;
    }

    /// What [`Effect::Store`], [`Effect::StoreLight`] or [`Effect::EraseSettings`] asked for is
    /// done, or not.
    pub fn handle_stored(&mut self, ticket: Ticket, result: Result<(), StoreError>, now: Instant) {
        self.at(now);
        let upkeep = &mut self.upkeep;
        let Some((_, pending)) = upkeep.pending.take_if(|(pending, _)| *pending == ticket) else {
            return;
        };
        match (pending, result) {
            (Pending::Store(key), Ok(())) => {
                upkeep.to_store.remove(key);
                upkeep.unsaved.remove(key);
                upkeep.stored += 1;
                if upkeep.to_store.is_empty() {
                    let stored = upkeep.stored;
                    self.finish_job(Job::Save, Ok(stored));
                    self.improv_stored(Ok(()));
                }
            }
            (Pending::Store(_), Err(error)) => {
                upkeep.to_store = KeySet::EMPTY;
                self.finish_job(Job::Save, Err(Failure::Store(error)));
                self.improv_stored(Err(error));
            }
            (Pending::Light(on), Ok(())) => self.light.stored = Some(on),
            (Pending::Light(_), Err(error)) => {
                let text = format_args!("the light's state could not be stored: {error}");
                self.put_log(LogLevel::Warn, text);
            }
            (Pending::Erase, Ok(())) => {
                // Nothing is stored behind that.
                self.light.stored = Some(self.led.is_on());
                self.put_log(LogLevel::Warn, format_args!("all settings are forgotten"));
                self.finish_job(Job::FactoryReset, Ok(0));
                self.forget_discovery();
                self.begin_restart();
            }
            (Pending::Erase, Err(error)) => {
                let text = format_args!("the settings could not be forgotten: {error}");
                self.put_log(LogLevel::Error, text);
                self.finish_job(Job::FactoryReset, Err(Failure::Store(error)));
            }
        }
        self.pump();
    }

    /// The settings as they are typed on the console: those of [`Self::settings`] and the changes
    /// since, which a restart makes effective.
    pub const fn edited(&self) -> &Settings {
        &self.upkeep.edited
    }

    /// Settings that were changed and not stored.
    pub const fn unsaved(&self) -> KeySet {
        self.upkeep.unsaved
    }

    /// Whether the LED blinks because the button was held, and a press would forget all settings.
    pub fn is_confirming_reset(&self) -> bool {
        self.factory_reset.blink(self.now).is_some()
    }

    /// Changes a setting as the console's `set` does.
    ///
    /// # Errors
    /// `value` is none of the key's values.
    pub fn set(&mut self, key: Key, value: &str) -> Result<(), SettingError> {
        // It has to be taken back first, which may take until the next connection.
        let is_announced = self.settings.home_assistant() != HomeAssistant::Off;
        let value = match (key, value) {
            (Key::HomeAssistant, "off") if is_announced => HomeAssistant::Leaving.as_str(),
            _ => value,
        };
        self.upkeep.edited.set_key(key, value)?;
        self.upkeep.unsaved.insert(key);
        if key == Key::LogLevel {
            self.console.level = self.upkeep.edited.log_level();
        }
        Ok(())
    }

    /// Stores what was changed. Returns false when there is nothing to store.
    pub(super) fn save(&mut self) -> bool {
        let upkeep = &mut self.upkeep;
        upkeep.to_store = upkeep.unsaved;
        upkeep.stored = 0;
        !upkeep.to_store.is_empty()
    }

    pub(super) fn begin_factory_reset(&mut self) {
        self.put_log(LogLevel::Warn, format_args!("factory reset"));
        self.upkeep.to_store = KeySet::EMPTY;
        self.upkeep.erase = true;
    }

    /// Says goodbye, and has the machine restarted.
    pub(super) fn begin_restart(&mut self) {
        self.put_info(format_args!("restarting"));
        self.light.hurry(self.now);
        self.upkeep.restart = Restart::By(self.now + GOODBYE_TIME);
        self.shut_down(self.now);
    }

    pub(super) fn poll_upkeep(&mut self) -> Option<Effect> {
        let status = self.status_light().map(|(on, _)| on);
        self.led
            .signal(self.factory_reset.blink(self.now).or(status));
        if let Some(on) = self.led.poll_level() {
            return Some(Effect::SetLed(on));
        }
        let upkeep = &mut self.upkeep;
        if upkeep.pending.is_none() {
            if core::mem::take(&mut upkeep.erase) {
                let ticket = upkeep.ticket(Pending::Erase);
                return Some(Effect::EraseSettings { ticket });
            }
            if let Some(key) = upkeep.to_store.first() {
                let ticket = upkeep.ticket(Pending::Store(key));
                return Some(Effect::Store { ticket, key });
            }
            if let Some(on) = self.light.poll_store(self.led.is_on(), self.now) {
                let ticket = upkeep.ticket(Pending::Light(on));
                return Some(Effect::StoreLight { ticket, on });
            }
        }
        if core::mem::take(&mut upkeep.scan) {
            return Some(Effect::Scan);
        }
        if self.poll_join() {
            return Some(Effect::JoinWifi);
        }
        if let Restart::By(at) = self.upkeep.restart {
            let stopped = self.link.connection() == Connection::Stopped;
            if at <= self.now || stopped {
                self.upkeep.restart = Restart::Told;
                return Some(Effect::Restart);
            }
        }
        None
    }

    pub(super) fn handle_upkeep_timeout(&mut self) {
        match self.factory_reset.handle_timeout(self.now) {
            Some(Gesture::Held) => self.put_log(
                LogLevel::Warn,
                format_args!("press the button again within 5 s to forget all settings"),
            ),
            Some(Gesture::Over) => self.put_info(format_args!("nothing is forgotten")),
            None => {}
        }
        let upkeep = &mut self.upkeep;
        if upkeep.job_deadline.take_if(|at| *at <= self.now).is_some()
            && let Busy::Waiting(job) = self.console.busy
        {
            self.console.finish(job, Err(Failure::NoAnswer));
        }
        self.handle_improv_timeout();
        if self.upkeep.hint_at.is_some_and(|at| at <= self.now) {
            self.hint();
        }
        self.pump();
    }

    /// Says what to type, where settings are missing without which nothing works.
    pub(super) fn hint(&mut self) {
        self.upkeep.hint_at = None;
        let edited = &self.upkeep.edited;
        let wifi = self.start.is_some_and(|start| start.has_wifi);
        let (no_wifi, no_broker) = (
            wifi && edited.wifi_ssid().is_none(),
            edited.broker().is_none(),
        );
        if self.start.is_none() || !(no_wifi || no_broker) {
            return;
        }
        let lines = [
            (
                true,
                "This board needs settings. Type these lines, with your own words:",
            ),
            (no_wifi, "  set wifi-ssid NAME-OF-YOUR-WIFI"),
            (no_wifi, "  set wifi-password PASSWORD-OF-YOUR-WIFI"),
            (no_broker, "  set broker ADDRESS-OF-YOUR-COMPUTER"),
            (no_broker, "  set role publisher"),
            (true, "  save"),
            (true, "  restart"),
        ];
        for (_, text) in lines.into_iter().filter(|(shown, _)| *shown) {
            // Whatever the log level is: without these lines the board is of no use.
            let output = &mut self.console.output;
            output.log(self.now, LogLevel::Info, format_args!("{text}"));
        }
        self.upkeep.hint_at = Some(self.now + HINT_TIME);
    }

    fn finish_job(&mut self, job: Job, result: Result<u32, Failure>) {
        self.upkeep.job_deadline = None;
        self.console.finish(job, result);
    }

    pub(super) fn put_info(&mut self, text: fmt::Arguments<'_>) {
        self.put_log(LogLevel::Info, text);
    }
}

/// How long the goodbye may take before a restart.
const GOODBYE_TIME: Duration = Duration::from_secs(1);
const HINT_TIME: Duration = Duration::from_secs(60);
