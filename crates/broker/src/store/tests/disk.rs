//! A disk that forgets: what was not synced is lost at random, sector by sector and in any order,
//! writes and syncs fail, and the power goes in the middle of anything.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

use crate::store::directory::{Disk, FileName};

/// A small generator of random numbers (xorshift).
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    pub(super) fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

#[derive(Debug, Clone)]
pub(super) struct SimulatedDisk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    files: BTreeMap<FileName, Contents>,
    random: Random,
    /// One in so many writes and syncs fails; 0 for none.
    failures: u64,
    /// Writes and syncs until the power goes.
    power: Option<u64>,
    is_off: bool,
}

#[derive(Debug, Default, Clone)]
struct Contents {
    /// What a program sees.
    seen: Vec<u8>,
    /// What is there after a loss of power, whatever happens.
    stable: Vec<u8>,
    /// What was done since the last sync.
    pending: Vec<Pending>,
}

#[derive(Debug, Clone)]
enum Pending {
    Write { offset: u64, bytes: Vec<u8> },
    SetLen(u64),
}

impl SimulatedDisk {
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            files: BTreeMap::new(),
            random: Random::new(seed),
            failures: 0,
            power: None,
            is_off: false,
        })))
    }

    /// One in so many writes and syncs fails from now on; 0 for none.
    pub(super) fn fail(&self, failures: u64) {
        self.state().failures = failures;
    }

    /// The power goes after so many more writes and syncs.
    pub(super) fn cut_power_after(&self, count: u64) {
        self.state().power = Some(count);
    }

    pub(super) fn is_off(&self) -> bool {
        self.state().is_off
    }

    /// The process is gone at once; the system goes on.
    pub(super) fn kill(&self) {
        self.state().is_off = true;
    }

    /// The power goes at once, and with it some of what was not synced.
    pub(super) fn lose_power(&self) {
        let mut state = self.state();
        state.is_off = true;
        let State { files, random, .. } = &mut *state;
        for file in files.values_mut() {
            file.forget(random);
        }
    }

    /// A new process may open the files.
    pub(super) fn start(&self) {
        let mut state = self.state();
        (state.is_off, state.power, state.failures) = (false, None, 0);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether a change may be made, and whether it fails half-way.
    fn step(&mut self) -> io::Result<bool> {
        if let Some(power) = &mut self.power {
            self.is_off |= *power == 0;
            *power = power.saturating_sub(1);
        }
        if self.is_off {
            return Err(io::Error::other("the power is off"));
        }
        Ok(self.failures > 0 && self.random.one_in(self.failures))
    }
}

impl Contents {
    /// Every sector of what was not synced is lost or not, and none of it in order.
    fn forget(&mut self, random: &mut Random) {
        let mut pending = std::mem::take(&mut self.pending);
        // Lengths come in order, from the file system's journal; what is behind one is not there.
        let chance = 1 + random.below(4);
        for one in &pending {
            match one {
                Pending::SetLen(len) if random.below(4) < chance => {
                    self.stable.resize(*len as usize, 0);
                }
                Pending::SetLen(_) => break,
                Pending::Write { .. } => {}
            }
        }
        for at in (1..pending.len()).rev() {
            pending.swap(at, random.below(at as u64 + 1) as usize);
        }
        for one in pending {
            if let Pending::Write { offset, bytes } = one {
                for (at, sector) in sectors(offset, &bytes) {
                    let is_there = at as usize + sector.len() <= self.stable.len();
                    if is_there && random.below(4) < chance {
                        write(&mut self.stable, at, sector);
                    }
                }
            }
        }
        self.seen = self.stable.clone();
    }
}

fn write(file: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let end = offset as usize + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[offset as usize..end].copy_from_slice(bytes);
}

/// Parts that lie in one sector each.
fn sectors(offset: u64, bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let (mut parts, mut at, mut rest) = (Vec::new(), offset, bytes);
    while !rest.is_empty() {
        let room = SECTOR - at % SECTOR;
        let (part, behind) = rest.split_at(rest.len().min(room as usize));
        parts.push((at, part));
        at += part.len() as u64;
        rest = behind;
    }
    parts
}

const SECTOR: u64 = 512;

impl Disk for SimulatedDisk {
    fn open(&self, file: FileName) -> io::Result<Box<dyn StorageBackend>> {
        self.state().files.entry(file).or_default();
        Ok(Box::new(SimulatedFile {
            disk: self.clone(),
            name: file,
        }))
    }

    fn exists(&self, file: FileName) -> bool {
        self.state().files.contains_key(&file)
    }

    fn keep_new(&self) -> io::Result<()> {
        let mut state = self.state();
        if state.step()? {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let new = state.files.remove(&FileName::NewDatabase);
        state
            .files
            .insert(FileName::Database, new.unwrap_or_default());
        Ok(())
    }

    fn path(&self, file: FileName) -> PathBuf {
        PathBuf::from(format!("simulated {file:?}"))
    }
}

#[derive(Debug)]
struct SimulatedFile {
    disk: SimulatedDisk,
    name: FileName,
}

impl SimulatedFile {
    fn with<T>(&self, look: impl FnOnce(&mut Contents) -> T) -> T {
        let mut state = self.disk.state();
        look(state.files.entry(self.name).or_default())
    }
}

impl StorageBackend for SimulatedFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.with(|file| file.seen.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if self.disk.is_off() {
            return Err(io::Error::other("the power is off"));
        }
        self.with(|file| {
            let end = offset as usize + out.len();
            let bytes = file.seen.get(offset as usize..end);
            let bytes = bytes.ok_or(io::ErrorKind::UnexpectedEof)?;
            out.copy_from_slice(bytes);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if self.disk.state().step()? {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.with(|file| {
            file.seen.resize(len as usize, 0);
            file.pending.push(Pending::SetLen(len));
        });
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let fails = state.step()?;
        let State { files, random, .. } = &mut *state;
        let file = files.entry(self.name).or_default();
        for one in std::mem::take(&mut file.pending) {
            // What could not be written is forgotten, and the next sync says that all is well.
            match one {
                Pending::SetLen(len) => file.stable.resize(len as usize, 0),
                Pending::Write { .. } if fails && random.one_in(2) => {}
                Pending::Write { offset, bytes } => write(&mut file.stable, offset, &bytes),
            }
        }
        if fails {
            return Err(io::Error::other("the disk failed"));
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        let fails = state.step()?;
        let length = if fails {
            state.random.below(data.len() as u64 + 1) as usize
        } else {
            data.len()
        };
        let file = state.files.entry(self.name).or_default();
        write(&mut file.seen, offset, &data[..length]);
        file.pending.push(Pending::Write {
            offset,
            bytes: data[..length].to_vec(),
        });
        if fails {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}
