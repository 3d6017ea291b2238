//! Who looks at a run and says what is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Outcome;
use crate::{BoardIndex, Fact, World};

/// How often a board may ask for a transport within a minute, whatever goes wrong, unless its
/// network comes or it starts.
pub const ATTEMPTS_IN_A_MINUTE: usize = 20;

/// How long it may take until all is well after everything was repaired.
pub const RECOVERY: Duration = Duration::from_secs(300);

/// How long nothing happens before all must be quiet.
pub(super) const QUIET: Duration = Duration::from_secs(120);

/// Knows what was pressed, what the broker accepted, and what a listener was given.
pub(super) struct Judge {
    witness: BoardIndex,
    listener: BoardIndex,
    cases: Vec<Case>,
    /// Events that the broker has accepted, and keeps for the listener.
    undelivered: BTreeSet<(usize, u32, u32)>,
    /// Whether the broker has a session of the listener with its subscriptions, or, of a broker
    /// that has forgotten all, its connection.
    listening: bool,
    is_back: bool,
    /// The state of the link that the broker accepted last, and whether it still knows.
    accepted: Option<bool>,
    is_known: bool,
    outcome: Outcome,
}

/// What is known of a board.
struct Case {
    board: BoardIndex,
    /// The topic of its events.
    topic: String,
    boot: u32,
    now: Boot,
    /// Starts that are over, as far as something of them may still be under way.
    before: BTreeMap<u32, Boot>,
    /// The broker can't tell it the state that it missed.
    is_excused: bool,
}

/// The presses of one start.
#[derive(Default)]
struct Boot {
    pressed: u32,
    /// Not accepted by the broker.
    pending: BTreeSet<u32>,
    /// The newest that was accepted.
    newest: u32,
}

impl Judge {
    pub(super) fn new(witness: BoardIndex, listener: BoardIndex, boards: &[BoardIndex]) -> Self {
        let case = |board: &BoardIndex| Case {
            board: *board,
            topic: String::new(),
            boot: 0,
            now: Boot::default(),
            before: BTreeMap::new(),
            is_excused: false,
        };
        Self {
            witness,
            listener,
            cases: boards.iter().map(case).collect(),
            undelivered: BTreeSet::new(),
            listening: false,
            is_back: true,
            accepted: None,
            is_known: false,
            outcome: Outcome::default(),
        }
    }

    /// What must hold at any time.
    pub(super) fn look(&mut self, world: &mut World<'_>) -> Result<(), String> {
        while let Some(record) = world.poll_record() {
            let at = record.at.as_micros();
            self.take(world, record.what).map_err(|what| {
                format!("{what} (at {}.{:06} s)", at / 1_000_000, at % 1_000_000)
            })?;
        }
        for case in &self.cases {
            let name = world.name(case.board);
            let attempts = world.counters(case.board).most_attempts_in_a_minute;
            if attempts > ATTEMPTS_IN_A_MINUTE {
                return Err(format!("{name} made {attempts} attempts within a minute"));
            }
            if !world.is_on(case.board) {
                continue;
            }
            let board = world.board(case.board);
            let (pending, dropped) = (case.now.pending.len(), board.dropped_events() as usize);
            if pending > dropped + QUEUE {
                return Err(format!("{name} has a queue of {pending} events"));
            }
            if !board.has_unsent() && pending != dropped {
                return Err(format!(
                    "{name} has nothing more to send, but {pending} of its events did not arrive, \
                     of which it gave {dropped} up"
                ));
            }
        }
        Ok(())
    }

    /// Lets time pass until all is well.
    pub(super) fn wait_for_quiet(&mut self, world: &mut World<'_>) -> Result<(), String> {
        let boards: Vec<_> = self.cases.iter().map(|case| case.board).collect();
        let start = world.now();
        world.run_until(RECOVERY, |world| {
            boards.iter().all(|board| {
                let board = world.board(*board);
                board.is_subscribed() && !board.has_unsent()
            })
        });
        self.outcome.recovery = world.now().since(start);
        for board in boards {
            let name = world.name(board).to_owned();
            let board = world.board(board);
            if !board.is_subscribed() || board.has_unsent() {
                return Err(format!(
                    "{name} is not well {RECOVERY:?} after everything was repaired: {:?}, \
                     subscribed: {}, something to send: {}",
                    board.connection(),
                    board.is_subscribed(),
                    board.has_unsent()
                ));
            }
        }
        Ok(())
    }

    /// What must hold when nothing has happened for a while.
    pub(super) fn look_when_quiet(&mut self, world: &World<'_>) -> Result<(), String> {
        for case in &self.cases {
            let name = world.name(case.board);
            let board = world.board(case.board);
            if !board.is_subscribed() || board.has_unsent() {
                return Err(format!("{name} did not stay well"));
            }
            if case.is_excused {
                continue;
            }
            let role = board.role();
            let light = world.led(case.board);
            if role.subscribes() && light != self.accepted.unwrap_or(false) {
                let accepted = self.accepted;
                return Err(format!("the light of {name} is {light}, not {accepted:?}"));
            }
            if self.is_known && board.link_state() != self.accepted {
                let state = board.link_state();
                let accepted = self.accepted;
                return Err(format!(
                    "{name} takes {state:?} for the state, not {accepted:?}"
                ));
            }
        }
        if let Some((place, boot, count)) = self.undelivered.first() {
            return Err(format!(
                "event {count} of start {boot} of board {place} did not reach the listener"
            ));
        }
        self.look_at_broker(world)
    }

    pub(super) fn outcome(&self) -> Outcome {
        let pending = |case: &Case| {
            let boots = case.before.values();
            boots.map(|boot| boot.pending.len() as u64).sum::<u64>()
        };
        Outcome {
            lost_with_power: self.cases.iter().map(pending).sum(),
            dropped: self
                .cases
                .iter()
                .map(|case| case.now.pending.len() as u64)
                .sum(),
            ..self.outcome
        }
    }

    /// The broker has what belongs to the clients that are there, and nothing else.
    fn look_at_broker(&self, world: &World<'_>) -> Result<(), String> {
        let clients = self.cases.len() + 2;
        let Some(engine) = world.broker() else {
            return Err("the broker does not run".into());
        };
        let stats = engine.stats();
        let retained = 1 + self.cases.len() * RETAINED_OF_A_BOARD;
        // Those that are retained, and the boards' wills.
        let messages = stats.retained + self.cases.len();
        for (what, is, may_be) in [
            ("connections", stats.connections, clients..=clients),
            ("sessions", stats.sessions, clients..=clients),
            ("retained messages", stats.retained, 0..=retained),
            ("messages", stats.messages, 0..=messages),
            ("wires", world.open_connections(), clients..=clients),
        ] {
            if !may_be.contains(&is) {
                return Err(format!("there are {is} {what}, not {may_be:?}"));
            }
        }
        Ok(())
    }

    fn take(&mut self, world: &World<'_>, fact: Fact) -> Result<(), String> {
        match fact {
            Fact::Pressed { board, count, .. } => {
                if let Some(case) = self.case(board) {
                    case.now.pressed = count;
                    case.now.pending.insert(count);
                    self.outcome.presses += 1;
                }
            }
            Fact::PowerLost { board } => {
                let mut cuts = 0;
                if let Some(case) = self.case(board) {
                    cuts = u64::from(case.boot > 0);
                    let boot = std::mem::take(&mut case.now);
                    case.before.insert(case.boot, boot);
                    case.boot = 0;
                }
                self.outcome.power_cuts += cuts;
            }
            Fact::Started { board, boots } => {
                let is_known = self.is_known;
                if let Some(case) = self.case(board) {
                    case.topic = format!("declic/{}/button", world.board(board).id());
                    case.boot = boots.ok_or("the count of starts can't be read")?;
                    if case.before.contains_key(&case.boot) {
                        return Err(format!("there are two starts {}", case.boot));
                    }
                    case.is_excused |= !is_known;
                }
            }
            Fact::Accepted {
                client_id,
                twice: true,
                ..
            } => return Err(format!("{client_id} has two connections")),
            Fact::Accepted { client_id, .. } => {
                self.is_back |= *client_id == *world.client_id(self.listener);
            }
            // What was still under way when the broker forgot it says nothing.
            Fact::Subscribed { listener } if listener == self.listener => {
                self.listening |= self.is_back;
            }
            Fact::Subscribed { .. } => {}
            Fact::Forgot => {
                self.listening = false;
                self.is_back = false;
                self.outcome.lost_with_broker += self.undelivered.len() as u64;
                self.undelivered.clear();
                self.is_known = false;
                for case in &mut self.cases {
                    // Nobody can tell it any more.
                    case.is_excused |= world_differs(world, case.board, self.accepted);
                }
            }
            Fact::Heard {
                listener,
                topic,
                payload,
                retain,
            } => return self.hear(listener, &topic, &payload, retain),
        }
        Ok(())
    }

    fn hear(
        &mut self,
        listener: BoardIndex,
        topic: &str,
        payload: &[u8],
        retain: bool,
    ) -> Result<(), String> {
        let text = String::from_utf8_lossy(payload);
        let Some(place) = self.cases.iter().position(|case| case.topic == topic) else {
            if listener == self.witness {
                self.accepted = Some(text == "ON");
                self.is_known = true;
                self.cases
                    .iter_mut()
                    .for_each(|case| case.is_excused = false);
            }
            return Ok(());
        };
        if retain {
            return Err(format!("an event is retained: {text}"));
        }
        let case = &mut self.cases[place];
        let count = number(&text, "count").ok_or_else(|| format!("not an event: {text}"))?;
        let boot = number(&text, "boot").ok_or_else(|| format!("no start in {text}"))?;
        let event = (place, boot, count);
        if listener == self.listener {
            self.undelivered.remove(&event);
            return Ok(());
        }
        let known = match case.boot == boot {
            true => &mut case.now,
            false => case
                .before
                .get_mut(&boot)
                .ok_or_else(|| format!("an event of a start that never was: {text}"))?,
        };
        if count == 0 || count > known.pressed {
            return Err(format!("an event that nobody pressed: {text}"));
        }
        if !known.pending.remove(&count) {
            self.outcome.duplicates += 1;
            return Ok(());
        }
        if count < known.newest {
            let newest = known.newest;
            return Err(format!("event {count} came after event {newest}"));
        }
        known.newest = count;
        self.outcome.accepted += 1;
        if self.listening {
            self.undelivered.insert(event);
        }
        Ok(())
    }

    fn case(&mut self, board: BoardIndex) -> Option<&mut Case> {
        self.cases.iter_mut().find(|case| case.board == board)
    }
}

/// Whether a board does not show, or know, the state of the link.
fn world_differs(world: &World<'_>, board: BoardIndex, accepted: Option<bool>) -> bool {
    let role = world.board(board).role();
    !world.is_on(board) || role.subscribes() && world.led(board) != accepted.unwrap_or(false)
}

/// The number behind `"name":` in a JSON object.
pub(crate) fn number(json: &str, name: &str) -> Option<u32> {
    let (_, rest) = json.split_once(&format!("\"{name}\":"))?;
    let end = rest.find(|char: char| !char.is_ascii_digit())?;
    rest[..end].parse().ok()
}

/// Events that a board keeps at most: 32 that are not sent, and its slots for those in flight.
const QUEUE: usize = 32 + 16;
/// Retained messages on topics of its own.
const RETAINED_OF_A_BOARD: usize = 8;
