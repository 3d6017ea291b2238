//! What becomes of the button's presses.

use declic_mqtt::Instant;

use super::{Board, EVENTS};
use crate::settings::Topics;
use crate::{Change, Notice, PressKind};

impl Board<'_> {
    /// A press, as the button makes one: for a console, or a board without a button.
    pub fn press(&mut self, now: Instant) {
        self.at(now);
        self.count_press(PressKind::Press);
        self.send();
    }

    /// The debounced button changed.
    pub(super) fn handle_change(&mut self, change: Change, now: Instant) {
        self.sleep.progressed(change.at);
        if self.factory_reset.handle_change(change) {
            self.begin_factory_reset();
        } else if let Some(kind) = self.presses.handle_change(change) {
            self.at(now);
            self.count_press(kind);
            self.send();
        }
    }

    /// One press more, of whichever kind.
    pub(super) fn count_press(&mut self, kind: PressKind) {
        self.count = self.count.wrapping_add(1);
        self.sleep.pressed(self.now);
        self.light.is_restoring = false;
        if self.settings.topics() == Topics::All {
            self.unsent.kinds = self.unsent.kinds << 2 | kind.bits();
            if self.unsent.events == EVENTS {
                self.dropped_events = self.dropped_events.saturating_add(1);
            } else {
                self.unsent.events += 1;
            }
        }
        let links = kind == PressKind::Press && self.role().publishes();
        let decided = links && !self.is_undecided();
        self.sleep.undecided ^= links && !decided;
        let sends = decided.then(|| !self.state.unwrap_or(false));
        self.notice(Notice::Pressed {
            count: self.count,
            kind,
            sends,
        });
        if let Some(on) = sends {
            self.change_link(on);
        }
    }

    /// Makes `on` the link's state.
    pub(super) fn change_link(&mut self, on: bool) {
        self.state = Some(on);
        self.unsent.link = true;
        if self.role().subscribes() {
            self.set_light(on);
        }
    }
}
