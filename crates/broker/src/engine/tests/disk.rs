//! A store for tests: prompt, slow or failing, and compared with the engine's state.

use std::collections::BTreeMap;
use std::fmt::Write;

use declic_mqtt::{Instant, QoS};

use crate::engine::batch::{Batch, Change};
use crate::engine::{Engine, Limits};

/// Keeps what an engine stores.
#[derive(Default)]
pub(in crate::engine) struct Disk {
    pub(super) records: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Whether batches stay out until [`Self::store`].
    pub(super) is_slow: bool,
    /// Whether the next batches can't be stored.
    pub(super) is_full: bool,
    /// Decides at random which batches take their time, or fail.
    random: Option<u64>,
    /// The batch that is out, and the state when it was made.
    out: Option<(Batch, String)>,
    /// The state of the batch that failed.
    failed: Option<String>,
    pub(super) batches: usize,
}

impl Disk {
    pub(super) fn random(seed: u64) -> Self {
        Self {
            random: Some(seed | 1),
            ..Self::default()
        }
    }

    /// Batches are stored at once from now on.
    pub(super) fn heal(&mut self) {
        (self.random, self.is_slow, self.is_full) = (None, false, false);
    }

    /// Takes the next batch, or gives back the one that is out. Returns whether anything happened.
    pub(super) fn turn(&mut self, engine: &mut Engine, now: Instant) -> bool {
        if self.out.is_none() {
            let Some(batch) = engine.poll_batch() else {
                return false;
            };
            let state = match self.failed.take() {
                Some(state) => state,
                None => state(engine, &|session| {
                    engine.sessions[session as usize].conn.is_some()
                }),
            };
            self.out = Some((batch, state));
            self.batches += 1;
        }
        let (is_later, fails) = match &mut self.random {
            None => (self.is_slow, self.is_full),
            Some(random) => {
                *random ^= *random << 13;
                *random ^= *random >> 7;
                *random ^= *random << 17;
                (*random % 4 < 2, *random % 16 == 3)
            }
        };
        if !is_later {
            self.store(engine, !fails, now);
        }
        !is_later
    }

    /// Stores the batch that is out, or fails to.
    pub(super) fn store(&mut self, engine: &mut Engine, is_stored: bool, now: Instant) {
        let Some((batch, state)) = self.out.take() else {
            return;
        };
        if is_stored {
            self.apply(&batch);
            assert_eq!(self.state(), state);
        } else {
            self.failed = Some(state);
        }
        engine.handle_stored(batch, is_stored, now);
    }

    /// What is stored comes back as a state in which all counts are right.
    pub(super) fn check(&self) {
        self.restored(Instant::ZERO).check();
    }

    /// An engine that goes on with what is stored.
    pub(super) fn restored(&self, now: Instant) -> Engine {
        let mut engine = Engine::new(Limits::default(), 99).with_store();
        let mut restore = engine.restore(now);
        for (key, value) in &self.records {
            restore.record(key, value).expect("a valid record");
        }
        restore.finish();
        engine
    }

    fn apply(&mut self, batch: &Batch) {
        for change in batch.changes() {
            match change {
                Change::Put { key, value } => {
                    self.records.insert(key.to_vec(), value.to_vec());
                }
                Change::Delete { key } => {
                    let was_there = self.records.remove(key).is_some();
                    // A retained message and a subscription may come and go in between.
                    let may_miss = key[0] == b'r' || key.get(9) == Some(&b'f');
                    assert!(was_there || may_miss, "{}", key.escape_ascii());
                }
                Change::DeletePrefix { prefix } => {
                    let before = self.records.len();
                    self.records.retain(|key, _| !key.starts_with(prefix));
                    assert!(self.records.len() < before, "{}", prefix.escape_ascii());
                }
            }
        }
    }

    /// The state that is stored.
    fn state(&self) -> String {
        let mut engine = Engine::new(Limits::default(), 99).with_store();
        let mut restore = engine.restore(Instant::ZERO);
        for (key, value) in &self.records {
            restore.record(key, value).expect("a valid record");
        }
        restore.end_session();
        state(restore.engine, &|session| {
            restore.connected.contains(&session)
        })
    }
}

/// All that outlives a broker, as text.
fn state(engine: &Engine, is_connected: &dyn Fn(u32) -> bool) -> String {
    let mut lines = Vec::new();
    for (topic, kept) in engine.retained.iter_with_topics() {
        if !topic.starts_with("$SYS/") {
            let message = engine.messages.get(&kept.message);
            let content = (message.expires(), kept.qos, message.bytes());
            lines.push(format!("retained {topic:?} {content:?}"));
        }
    }
    let journal = engine.journal.as_ref().expect("an engine with a store");
    for (index, session) in &engine.sessions {
        let index = index as u32;
        let Some(durable) = journal.durable(index) else {
            continue;
        };
        let (client_id, owner) = (&session.client_id, &session.identity);
        let mut line = format!("session {client_id:?} of {owner:?} {}", session.expiry);
        let lost_at = (!is_connected(index)).then_some(session.lost_at);
        let _ = write!(line, " {lost_at:?}");
        if let Some(will) = &session.will {
            let bytes = engine.messages.get(&will.message).bytes();
            let how = (will.qos, will.retain, will.delay, will.expiry, bytes);
            let _ = write!(line, "\n  will {how:?}");
        }
        if durable.will_only {
            lines.push(line);
            continue;
        }
        let mut subscriptions = Vec::new();
        for place in &session.subscriptions {
            let subscriber = engine.tree.subscriber(*place, index);
            let how = subscriber.map(|one| (one.options(), one.id));
            let mut replays = session.replays.iter().flat_map(|replays| &replays.0);
            let replay = replays.find(|one| one.place == *place);
            let replay = replay.map(|one| (one.until, &one.after));
            let filter = engine.tree.filter(*place);
            subscriptions.push(format!("\n  subscription {filter:?} {how:?} {replay:?}"));
        }
        subscriptions.sort();
        line += &subscriptions.concat();
        let ids = |ids| match crate::engine::session::SubscriptionIds::single(ids) {
            Some(id) => vec![id],
            None => engine.lists.get(ids).to_vec(),
        };
        for entry in &session.queue {
            if entry.qos != QoS::AtMostOnce {
                let message = engine.messages.get(&entry.message);
                let ids = (ids(entry.ids), entry.ids.is_shared());
                let how = (entry.qos, entry.retain, ids, message.expires());
                let _ = write!(line, "\n  queued {how:?} {:?}", message.bytes());
            }
        }
        for sent in &session.in_flight {
            let message = sent.message.as_ref();
            let bytes = message.map(|message| engine.messages.get(message).bytes());
            let ids = (ids(sent.ids), sent.ids.is_shared());
            let how = (sent.packet_id, sent.qos, sent.retain, ids);
            let _ = write!(line, "\n  in flight {how:?} {bytes:?}");
        }
        let _ = write!(line, "\n  received {:?}", session.received);
        lines.push(line);
    }
    lines.sort();
    lines.join("\n")
}
