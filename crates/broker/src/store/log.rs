//! The log: batches one behind the other in one file, each written with one write and made safe
//! with one sync.
//!
//! | bytes | |
//! |---|---|
//! | 8 | checksum of all that follows: SipHash-1-3 under the store's own key |
//! | 8 | number of the batch; they count up by one |
//! | 8 | moment, in microseconds |
//! | 4 | length of the batch |
//! | … | the batch |
//!
//! All numbers are little-endian. When the batches of the log have found their way into the
//! database, the next one is written to the beginning of the file again. What is behind it is older
//! and doesn't continue its numbers, so a log ends where the checksum is wrong or the next number
//! is missing. A batch whose writing was interrupted is therefore not there.

use std::hash::Hasher;
use std::io;

use redb::StorageBackend;
use siphasher::sip::SipHasher13;

use declic_mqtt::Instant;

use crate::engine::Batch;

#[derive(Debug)]
pub(super) struct Log {
    file: Box<dyn StorageBackend>,
    key: u128,
    /// Where the next batch goes.
    end: u64,
    /// Length of the file, and by how much it grows.
    len: u64,
    growth: u64,
    /// Number of the last batch.
    last: u64,
    /// What is written in one piece.
    buffer: Vec<u8>,
}

/// A batch from the log.
#[derive(Debug)]
pub(super) struct Logged {
    pub(super) number: u64,
    pub(super) time: Instant,
    pub(super) batch: Batch,
}

impl Log {
    /// Opens a log whose batches up to `last` are in the database.
    pub(super) fn open(
        file: Box<dyn StorageBackend>,
        key: u128,
        last: u64,
        growth: u64,
    ) -> io::Result<Self> {
        let len = file.len()?;
        Ok(Self {
            file,
            key,
            end: 0,
            len,
            growth,
            last,
            buffer: Vec::new(),
        })
    }

    /// Adds a batch. After an error it is as if nothing had been done.
    pub(super) fn append(&mut self, batch: &Batch, time: Instant, sync: bool) -> io::Result<()> {
        let bytes = batch.as_bytes();
        let length = u32::try_from(bytes.len())
            .map_err(|_| io::Error::new(io::ErrorKind::FileTooLarge, "a batch of 4 GiB"))?;
        let number = self.last + 1;
        self.buffer.clear();
        self.buffer.extend([0; 8]);
        self.buffer.extend(number.to_le_bytes());
        self.buffer.extend(time.as_micros().to_le_bytes());
        self.buffer.extend(length.to_le_bytes());
        self.buffer.extend_from_slice(bytes);
        let checksum = checksum(self.key, &self.buffer[8..]);
        self.buffer[..8].copy_from_slice(&checksum.to_le_bytes());
        let end = self.end + self.buffer.len() as u64;
        self.grow(end)?;
        self.file.write(self.end, &self.buffer)?;
        if sync {
            self.file.sync_data()?;
        }
        if self.buffer.capacity() > KEPT_BUFFER {
            self.buffer = Vec::new();
        }
        (self.end, self.last) = (end, number);
        Ok(())
    }

    /// Gives the batches from the beginning of the file on.
    pub(super) fn read(&self, mut each: impl FnMut(Logged)) -> io::Result<u64> {
        let (mut at, mut previous) = (0, None);
        while let Some((logged, next)) = self.read_one(at)? {
            if previous.is_some_and(|previous: u64| logged.number != previous + 1) {
                break;
            }
            previous = Some(logged.number);
            at = next;
            each(logged);
        }
        Ok(at)
    }

    /// Everything up to number `last` is in the database: the next batch goes to the beginning.
    pub(super) const fn rewind(&mut self, last: u64) {
        (self.end, self.last) = (0, last);
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Gives back the room that an empty log takes.
    pub(super) fn truncate(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        (self.end, self.len) = (0, 0);
        Ok(())
    }

    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    /// Makes room in large steps, filled with zeros: writing to room that is there is faster to
    /// make safe than a file that grows.
    fn grow(&mut self, end: u64) -> io::Result<()> {
        if end <= self.len {
            return Ok(());
        }
        let len = end.next_multiple_of(self.growth);
        self.file.set_len(len)?;
        let zeros = vec![0; self.growth as usize];
        let mut at = self.len;
        while at < len {
            let count = (len - at).min(self.growth);
            self.file.write(at, &zeros[..count as usize])?;
            at += count;
        }
        self.len = len;
        Ok(())
    }

    fn read_one(&self, at: u64) -> io::Result<Option<(Logged, u64)>> {
        if at + HEADER as u64 > self.len {
            return Ok(None);
        }
        let mut header = [0; HEADER];
        self.file.read(at, &mut header)?;
        let number = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&header[at..at + 8]);
            u64::from_le_bytes(bytes)
        };
        let (sum, number, time) = (number(0), number(8), number(16));
        let length = u32::from_le_bytes([header[24], header[25], header[26], header[27]]);
        let next = at + HEADER as u64 + u64::from(length);
        if next > self.len {
            return Ok(None);
        }
        let mut record = header[8..].to_vec();
        record.resize(HEADER - 8 + length as usize, 0);
        self.file
            .read(at + HEADER as u64, &mut record[HEADER - 8..])?;
        if checksum(self.key, &record) != sum {
            return Ok(None);
        }
        let bytes = record.split_off(HEADER - 8);
        let batch = Batch::from_bytes(bytes)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let time = Instant::from_micros(time);
        let logged = Logged {
            number,
            time,
            batch,
        };
        Ok(Some((logged, next)))
    }
}

fn checksum(key: u128, bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(key as u64, (key >> 64) as u64);
    hasher.write(bytes);
    hasher.finish()
}

const HEADER: usize = 28;
const KEPT_BUFFER: usize = 1024 * 1024;
