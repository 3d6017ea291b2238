//! Whatever the disk does: what was acknowledged is there, and nothing that never was.

use std::collections::BTreeMap;
use std::time::Duration;

use declic_mqtt::Instant;

use super::disk::{Random, SimulatedDisk};
use crate::engine::{Batch, Change};
use crate::store::database::Format;
use crate::store::directory::{DirectoryStore, Sizes};
use crate::store::{Durability, Store};

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// As many seeds as `DECLIC_SEEDS` says, from `DECLIC_SEED` on.
fn seeds(default: u64) -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    let first = number("DECLIC_SEED").unwrap_or(0);
    first..first + number("DECLIC_SEEDS").unwrap_or(default)
}

#[test]
fn what_was_acknowledged_survives_every_loss_of_power_and_nothing_else_appears() {
    for seed in seeds(200) {
        Run::new(seed, Durability::Always).go();
    }
}

#[test]
fn with_an_interval_what_survives_is_the_state_of_one_moment() {
    for seed in seeds(100) {
        Run::new(seed, Durability::Interval(Duration::ZERO)).go();
        Run::new(seed, Durability::Interval(Duration::from_secs(3_600))).go();
    }
}

#[test]
fn without_syncs_what_survives_is_the_state_of_one_moment() {
    for seed in seeds(100) {
        Run::new(seed, Durability::Never).go();
    }
}

struct Run {
    seed: u64,
    random: Random,
    disk: SimulatedDisk,
    durability: Durability,
    /// The state after each batch that was acknowledged, since the oldest that may come back.
    history: Vec<Records>,
    /// The batch that could not be stored, and the state with it.
    failed: Option<(Batch, Records)>,
    time: u64,
}

impl Run {
    fn new(seed: u64, durability: Durability) -> Self {
        Self {
            seed,
            random: Random::new(seed ^ 0x5eed),
            disk: SimulatedDisk::new(seed),
            durability,
            history: vec![Records::new()],
            failed: None,
            time: 0,
        }
    }

    fn go(mut self) {
        for _ in 0..1 + self.random.below(6) {
            self.disk.start();
            // It may go while the store is opened, too.
            if self.random.one_in(4) {
                self.disk.cut_power_after(self.random.below(30));
            }
            match self.open() {
                Ok(store) => self.live(store),
                Err(error) if self.disk.is_off() => drop(error),
                Err(error) => panic!("seed {}: it can't be opened: {error}", self.seed),
            }
        }
        self.disk.start();
        let mut store = self.open().expect("a store");
        self.look(&mut store);
    }

    fn open(&self) -> Result<DirectoryStore, crate::StoreError> {
        let sizes = Sizes {
            log: 2_000,
            growth: 1_500,
        };
        let disk = Box::new(self.disk.clone());
        DirectoryStore::on_disk(disk, self.durability, sizes, Format::CURRENT, 77)
    }

    /// One process, from its start to its end.
    fn live(&mut self, mut store: DirectoryStore) {
        if self.disk.is_off() {
            return;
        }
        self.look(&mut store);
        if self.random.one_in(2) {
            self.disk.cut_power_after(self.random.below(200));
        }
        for _ in 0..self.random.below(60) {
            let failures = [0, 0, 3, 20][self.random.below(4) as usize];
            self.disk.fail(failures);
            let (batch, after) = match self.failed.take() {
                Some(failed) => failed,
                None => self.batch(),
            };
            self.time += 1;
            match store.write(&batch, Instant::from_micros(self.time)) {
                Ok(()) => self.history.push(after),
                Err(_) => self.failed = Some((batch, after)),
            }
            if self.random.one_in(10) {
                let _ = store.tend();
            }
            if self.disk.is_off() {
                break;
            }
        }
        match self.random.below(4) {
            0 if !self.disk.is_off() => {
                self.disk.start();
                store.close().expect("a disk that works");
                self.keep_only_last();
            }
            1 => self.disk.kill(),
            _ => {
                self.disk.lose_power();
                return;
            }
        }
        drop(store);
        // A process that is killed loses nothing, even if the disk was never asked to sync.
        if self.random.one_in(2) {
            self.keep_only_last();
            self.disk.start();
            let mut store = self.open().expect("a store");
            self.look(&mut store);
            self.disk.kill();
        } else {
            self.disk.lose_power();
        }
    }

    /// What is stored is one of the states that it may be; the run goes on from it.
    fn look(&mut self, store: &mut DirectoryStore) {
        let mut records = Records::new();
        let loaded = store.load(&mut |key, value| {
            records.insert(key.to_vec(), value.to_vec());
            Ok(())
        });
        loaded.expect("what is stored can be read");
        if self.is_safe_at_once() {
            self.keep_only_last();
        }
        let failed = self.failed.take().map(|(_, after)| after);
        let known = self
            .history
            .iter()
            .rev()
            .chain(&failed)
            .any(|one| *one == records);
        assert!(
            known,
            "seed {} with {:?}: {:?} is none of {:?} or {:?}",
            self.seed,
            self.durability,
            brief(&records),
            self.history.iter().map(brief).collect::<Vec<_>>(),
            failed.as_ref().map(brief)
        );
        // It was taken into the database, with a sync.
        self.history = vec![records];
    }

    fn is_safe_at_once(&self) -> bool {
        matches!(
            self.durability,
            Durability::Always | Durability::Interval(Duration::ZERO)
        )
    }

    fn keep_only_last(&mut self) {
        self.history.drain(..self.history.len() - 1);
    }

    fn batch(&mut self) -> (Batch, Records) {
        let mut records = self.history.last().cloned().unwrap_or_default();
        let mut batch = Batch::default();
        for _ in 0..1 + self.random.below(5) {
            let group = [b's', self.random.below(3) as u8];
            let key = [&group[..], &[self.random.below(6) as u8]].concat();
            match self.random.below(8) {
                0 => {
                    batch.push(Change::DeletePrefix { prefix: &group });
                    records.retain(|key, _| !key.starts_with(&group));
                    // What had such a beginning is never put again within the same log.
                    break;
                }
                1 | 2 => {
                    batch.push(Change::Delete { key: &key });
                    records.remove(&key);
                }
                _ => {
                    let value = vec![self.time as u8; self.random.below(300) as usize];
                    batch.push(Change::Put {
                        key: &key,
                        value: &value,
                    });
                    records.insert(key, value);
                }
            }
        }
        (batch, records)
    }
}

/// Keys with the moment and the length of their values.
fn brief(records: &Records) -> Vec<(&[u8], Option<u8>, usize)> {
    records
        .iter()
        .map(|(key, value)| (&key[1..], value.first().copied(), value.len()))
        .collect()
}
