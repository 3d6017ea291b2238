//! A store in a directory: a log of the newest batches, and a database with all before them.
//!
//! A batch is written to the log, which takes one write and, in the mode
//! [`Durability::Always`], one sync. When the log has grown to a few megabytes, its batches are
//! taken into the database all at once, each record with its last value only: what came and went
//! in between is never written there.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant as SystemInstant};

use declic_mqtt::Instant;
use redb::backends::FileBackend;
use redb::{Database, ReadableDatabase, StorageBackend};

use super::database::{self, Changes, Format, Head};
use super::log::Log;
use super::{Copying, Durability, Each, Store, StoreConfig, StoreError};
use crate::engine::Batch;

/// A store in a directory. Another process that opens the same directory is refused.
pub struct DirectoryStore {
    disk: Box<dyn Disk>,
    durability: Durability,
    sizes: Sizes,
    format: Format,
    /// `None` after the database failed: it has to be opened again.
    database: Option<Database>,
    head: Head,
    log: Log,
    /// The latest moment that was given.
    time: Option<Instant>,
    /// Since when the log has something that is not safe.
    unsafe_since: Option<SystemInstant>,
    /// A sync of the log failed. The next one may say that all is well although it is not, since
    /// the system forgets what it could not write: all of the log has to be written once more,
    /// elsewhere.
    is_suspect: bool,
}

/// Sizes in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// From here on the log is taken into the database.
    pub(super) log: u64,
    /// By how much the log's file grows.
    pub(super) growth: u64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            log: 8 * 1024 * 1024,
            growth: 1024 * 1024,
        }
    }
}

/// Where the files are.
pub(super) trait Disk: Send {
    fn open(&self, file: FileName) -> io::Result<Box<dyn StorageBackend>>;
    fn exists(&self, file: FileName) -> bool;
    /// The new database, complete and safe, takes the place of the database.
    fn keep_new(&self) -> io::Result<()>;
    fn path(&self, file: FileName) -> PathBuf;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FileName {
    Database,
    /// A database that is being made: it may be half-made.
    NewDatabase,
    Log,
}

impl DirectoryStore {
    /// Opens the store in a directory, or makes one.
    ///
    /// # Errors
    /// [`StoreError`] names the file and says what is wrong with it: another process uses it, a
    /// newer version wrote it, something else wrote it, or it can't be read.
    pub fn open(config: &StoreConfig) -> Result<Self, StoreError> {
        let directory = config.directory.clone();
        fs::create_dir_all(&directory).map_err(|source| StoreError::Io {
            path: directory.clone(),
            source,
        })?;
        let disk = Box::new(Directory(directory));
        let (sizes, format) = (Sizes::default(), Format::CURRENT);
        Self::on_disk(disk, config.durability, sizes, format, new_key())
    }

    /// Opens the store on a disk.
    pub(super) fn on_disk(
        disk: Box<dyn Disk>,
        durability: Durability,
        sizes: Sizes,
        format: Format,
        new_key: u128,
    ) -> Result<Self, StoreError> {
        if !disk.exists(FileName::Database) {
            make_database(&*disk, format.version, new_key)?;
        }
        let (database, head) = open_database(&*disk, format.version)?;
        let path = disk.path(FileName::Log);
        let file = disk.open(FileName::Log);
        let log = file.and_then(|file| Log::open(file, head.key, head.last, sizes.growth));
        let mut store = Self {
            log: log.map_err(|source| StoreError::Io { path, source })?,
            disk,
            durability,
            sizes,
            format,
            database: Some(database),
            time: head.time,
            head,
            unsafe_since: None,
            is_suspect: false,
        };
        // The log is as old as the database.
        store.take_in_log(None)?;
        store.upgrade()?;
        Ok(store)
    }

    /// Brings the records of an older version to this one.
    fn upgrade(&mut self) -> Result<(), StoreError> {
        if self.head.version < self.format.version
            && let Some(database) = &self.database
        {
            let path = self.disk.path(FileName::Database);
            self.head = database::upgrade(database, &path, self.format, self.head)?;
        }
        Ok(())
    }

    /// Takes the batches of the log into the database, and begins the log anew. `end` is where the
    /// log ends, when that is known.
    fn take_in_log(&mut self, end: Option<u64>) -> Result<(), StoreError> {
        let log_path = self.disk.path(FileName::Log);
        let damaged = |problem: &str| StoreError::Damaged {
            path: log_path.clone(),
            problem: problem.to_owned(),
        };
        let mut changes = Changes::default();
        let mut head = self.head;
        let mut first = None;
        let read = self.log.read(|logged| {
            first.get_or_insert(logged.number);
            if logged.number > head.last {
                changes.add(&logged.batch);
                (head.last, head.time) = (logged.number, Some(logged.time));
            }
        });
        let read = read.map_err(|source| StoreError::Io {
            path: log_path.clone(),
            source,
        })?;
        if first.is_some_and(|first| first > self.head.last + 1) {
            return Err(damaged("batches that come before it are missing"));
        }
        if end.is_some_and(|end| read < end) {
            return Err(damaged("what was written to it can't be read again"));
        }
        if head.last > self.head.last {
            let path = self.disk.path(FileName::Database);
            let database = match self.database.take() {
                Some(database) => database,
                None => open_database(&*self.disk, self.format.version)?.0,
            };
            // After an error it is not used again: it might not know what is on the disk.
            database::apply(&database, &path, changes, head)?;
            self.database = Some(database);
            self.head = head;
            self.time = self.time.max(head.time);
        }
        self.log.rewind(head.last);
        self.unsafe_since = None;
        self.is_suspect = false;
        Ok(())
    }

    fn log_error(&self, source: io::Error) -> StoreError {
        StoreError::Io {
            path: self.disk.path(FileName::Log),
            source,
        }
    }

    /// Makes the log safe when it is time.
    fn sync_if_due(&mut self) -> Result<Option<Duration>, StoreError> {
        let (Durability::Interval(interval), Some(since)) = (self.durability, self.unsafe_since)
        else {
            return Ok(None);
        };
        let rest = interval.saturating_sub(since.elapsed());
        if !rest.is_zero() {
            return Ok(Some(rest));
        }
        match self.log.sync() {
            Ok(()) => self.unsafe_since = None,
            Err(_) => {
                self.is_suspect = true;
                self.take_in_log(Some(self.log.end()))?;
            }
        }
        Ok(None)
    }
}

impl Store for DirectoryStore {
    fn load(&mut self, each: &mut Each<'_>) -> Result<(), StoreError> {
        let path = self.disk.path(FileName::Database);
        match &self.database {
            Some(database) => database::load(database, &path, each),
            None => Err(StoreError::Damaged {
                path,
                problem: "it could not be written".to_owned(),
            }),
        }
    }

    fn last_time(&self) -> Option<Instant> {
        self.time
    }

    fn write(&mut self, batch: &Batch, now: Instant) -> Result<(), StoreError> {
        if self.is_suspect {
            self.take_in_log(Some(self.log.end()))?;
        }
        if self.log.end() > self.sizes.log {
            let taken_in = self.take_in_log(Some(self.log.end()));
            if self.log.end() > MAX_LOG_FACTOR * self.sizes.log {
                taken_in?;
            }
        }
        let sync = self.durability == Durability::Always;
        self.log
            .append(batch, now, sync)
            .map_err(|error| self.log_error(error))?;
        self.time = self.time.max(Some(now));
        if !sync {
            self.unsafe_since.get_or_insert_with(SystemInstant::now);
            self.sync_if_due()?;
        }
        Ok(())
    }

    fn tend(&mut self) -> Result<Option<Duration>, StoreError> {
        self.sync_if_due()
    }

    fn backup(&mut self, path: &Path) -> Result<Copying, StoreError> {
        self.take_in_log(Some(self.log.end()))?;
        let from = self.disk.path(FileName::Database);
        if self.database.is_none() {
            self.database = Some(open_database(&*self.disk, self.format.version)?.0);
        }
        let Some(database) = &self.database else {
            return Err(StoreError::Foreign(from));
        };
        let read = database
            .begin_read()
            .map_err(|error| database::damaged(&from, error))?;
        let error = |source| StoreError::Io {
            path: path.into(),
            source,
        };
        fs::create_dir(path).map_err(error)?;
        let target = Directory(path.into());
        Ok(Box::new(move || {
            let name = target.path(FileName::NewDatabase);
            let failed = |source| StoreError::Io {
                path: target.0.clone(),
                source,
            };
            let backend = open_file(&name).map_err(failed)?;
            database::copy(&read, &from, backend, &name, new_key())?;
            target.keep_new().map_err(failed)
        }))
    }

    fn close(&mut self) -> Result<(), StoreError> {
        self.take_in_log(Some(self.log.end()))?;
        self.log.truncate().map_err(|error| self.log_error(error))?;
        match self.database.take() {
            Some(database) => database
                .close()
                .map_err(|error| database::damaged(&self.disk.path(FileName::Database), error)),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for DirectoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectoryStore")
            .field("path", &self.disk.path(FileName::Database))
            .field("durability", &self.durability)
            .finish_non_exhaustive()
    }
}

/// A directory of the file system.
struct Directory(PathBuf);

impl Disk for Directory {
    fn open(&self, file: FileName) -> io::Result<Box<dyn StorageBackend>> {
        let path = self.path(file);
        let is_new = !path.exists();
        let backend = open_file(&path)?;
        if is_new {
            // A file is there after a loss of power only if its directory says so.
            sync_directory(&self.0)?;
        }
        Ok(Box::new(backend))
    }

    fn exists(&self, file: FileName) -> bool {
        self.path(file).exists()
    }

    fn keep_new(&self) -> io::Result<()> {
        fs::rename(
            self.path(FileName::NewDatabase),
            self.path(FileName::Database),
        )?;
        sync_directory(&self.0)
    }

    fn path(&self, file: FileName) -> PathBuf {
        self.0.join(match file {
            FileName::Database => "state.redb",
            FileName::NewDatabase => "state.redb.new",
            FileName::Log => "log",
        })
    }
}

/// Makes an empty database. It has its name only when it is complete, so that a loss of power
/// leaves none that can't be opened.
fn make_database(disk: &dyn Disk, version: u16, key: u128) -> Result<(), StoreError> {
    let name = FileName::NewDatabase;
    let path = disk.path(name);
    let error = |source| StoreError::Io {
        path: path.clone(),
        source,
    };
    let backend = disk.open(name).map_err(error)?;
    backend.set_len(0).map_err(error)?;
    let database = database::make(Boxed(backend), &path, version, key)?;
    let closed = database.close();
    closed.map_err(|error| database::damaged(&path, error))?;
    disk.keep_new().map_err(error)
}

fn open_database(disk: &dyn Disk, known: u16) -> Result<(Database, Head), StoreError> {
    let name = FileName::Database;
    let path = disk.path(name);
    let backend = disk.open(name);
    let backend = backend.map_err(|source| StoreError::Io {
        path: path.clone(),
        source,
    })?;
    database::open(Boxed(backend), &path, known)
}

fn open_file(path: &Path) -> io::Result<FileBackend> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    // Messages are nobody else's business.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    FileBackend::new(options.open(path)?).map_err(io::Error::other)
}

#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

fn new_key() -> u128 {
    u128::from(crate::config::random()) << 64 | u128::from(crate::config::random())
}

/// A backend in a box is a backend.
#[derive(Debug)]
struct Boxed(Box<dyn StorageBackend>);

impl StorageBackend for Boxed {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }

    fn try_lock_range(
        &self,
        start: std::ops::Bound<u64>,
        end: std::ops::Bound<u64>,
    ) -> Result<bool, redb::BackendError> {
        self.0.try_lock_range(start, end)
    }

    fn unlock_range(
        &self,
        start: std::ops::Bound<u64>,
        end: std::ops::Bound<u64>,
    ) -> Result<(), redb::BackendError> {
        self.0.unlock_range(start, end)
    }
}

/// By how much more it may grow while that fails.
const MAX_LOG_FACTOR: u64 = 4;
