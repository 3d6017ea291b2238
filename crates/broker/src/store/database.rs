//! The database behind the log: all records, as they were when the log was taken in last.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;

use declic_mqtt::Instant;
use redb::{
    Database, DatabaseError, Durability, ReadTransaction, ReadableDatabase, ReadableTable,
    StorageBackend, StorageError, TableDefinition, TableHandle, WriteTransaction,
};

use super::{Each, StoreError};
use crate::engine::{Batch, Change, RECORDS_VERSION, upgraded_record};

/// Changes of many batches, each key with its last one.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Done first: what has such a beginning is never put again.
    prefixes: Vec<Box<[u8]>>,
    keys: BTreeMap<Box<[u8]>, Option<Box<[u8]>>>,
}

impl Changes {
    pub(super) fn add(&mut self, batch: &Batch) {
        for change in batch.changes() {
            match change {
                Change::Put { key, value } => {
                    self.keys.insert(key.into(), Some(value.into()));
                }
                Change::Delete { key } => {
                    self.keys.insert(key.into(), None);
                }
                Change::DeletePrefix { prefix } => {
                    let range = (Bound::Included(prefix), upper_bound(prefix));
                    let keys: Vec<_> = self.keys.range::<[u8], _>(bounds(&range)).collect();
                    let keys: Vec<_> = keys.into_iter().map(|(key, _)| key.clone()).collect();
                    for key in keys {
                        self.keys.remove(&key);
                    }
                    self.prefixes.push(prefix.into());
                }
            }
        }
    }
}

/// How records look: their version, and how those of older versions become theirs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Format {
    pub(super) version: u16,
    /// A record of the version given as it looks in this one.
    pub(super) upgrade: fn(u16, &[u8], &[u8]) -> Record,
}

/// A key and its value.
pub(super) type Record = (Vec<u8>, Vec<u8>);

impl Format {
    /// The one that the engine writes.
    pub(super) const CURRENT: Self = Self {
        version: RECORDS_VERSION,
        upgrade: |version, key, value| (key.to_vec(), upgraded_record(version, key, value)),
    };
}

/// What the database says of itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    /// The version of the records.
    pub(super) version: u16,
    /// The store's own key: a log under another one is not its log.
    pub(super) key: u128,
    /// Number of the last batch that is in the database.
    pub(super) last: u64,
    /// Its moment.
    pub(super) time: Option<Instant>,
}

/// Makes a database with the store's key. The file is empty.
pub(super) fn make(
    backend: impl StorageBackend,
    path: &Path,
    version: u16,
    key: u128,
) -> Result<Database, StoreError> {
    let database = create(backend, path)?;
    let head = Head {
        version,
        key,
        last: 0,
        time: None,
    };
    commit(&database, path, |write| {
        write.open_table(STATE)?;
        write_head(write, head)
    })?;
    Ok(database)
}

/// Opens a database that is there, if it is no newer than the version `known`.
pub(super) fn open(
    backend: impl StorageBackend,
    path: &Path,
    known: u16,
) -> Result<(Database, Head), StoreError> {
    let database = create(backend, path)?;
    let read = database.begin_read();
    let head = read_head(&read.map_err(|error| damaged(path, error))?, path)?;
    if head.version > known {
        return Err(StoreError::Newer {
            path: path.into(),
            version: head.version,
            known,
        });
    }
    Ok((database, head))
}

/// Rewrites all records of an older version, all or none.
pub(super) fn upgrade(
    database: &Database,
    path: &Path,
    format: Format,
    head: Head,
) -> Result<Head, StoreError> {
    let mut records = Vec::new();
    let read = database
        .begin_read()
        .map_err(|error| damaged(path, error))?;
    for_each(&read, path, |key, value| {
        records.push((format.upgrade)(head.version, key, value));
        Ok(())
    })?;
    let head = Head {
        version: format.version,
        ..head
    };
    commit(database, path, |write| {
        write.delete_table(STATE)?;
        let mut table = write.open_table(STATE)?;
        for (key, value) in &records {
            table.insert(&**key, &**value)?;
        }
        drop(table);
        write_head(write, head)
    })?;
    Ok(head)
}

/// Makes the changes, all or none.
pub(super) fn apply(
    database: &Database,
    path: &Path,
    changes: Changes,
    head: Head,
) -> Result<(), StoreError> {
    commit(database, path, |write| {
        {
            let mut table = write.open_table(STATE)?;
            for prefix in &changes.prefixes {
                let range = (Bound::Included(&**prefix), upper_bound(prefix));
                table.retain_in::<&[u8], _>(bounds(&range), |_, _| false)?;
            }
            for (key, value) in &changes.keys {
                match value {
                    Some(value) => table.insert(&**key, &**value)?,
                    None => table.remove(&**key)?,
                };
            }
        }
        write_head(write, head)
    })
}

pub(super) fn load(
    database: &Database,
    path: &Path,
    each: &mut Each<'_>,
) -> Result<(), StoreError> {
    let read = database
        .begin_read()
        .map_err(|error| damaged(path, error))?;
    for_each(&read, path, |key, value| {
        each(key, value).map_err(|error| damaged(path, error))
    })
}

/// Copies all records of a moment to a new database.
pub(super) fn copy(
    read: &ReadTransaction,
    from: &Path,
    backend: impl StorageBackend,
    to: &Path,
    key: u128,
) -> Result<(), StoreError> {
    let head = read_head(read, from)?;
    let database = make(backend, to, head.version, key)?;
    let write = database.begin_write().map_err(|error| damaged(to, error))?;
    {
        let table = write.open_table(STATE);
        let mut table = table.map_err(|error| damaged(to, error))?;
        for_each(read, from, |key, value| {
            let inserted = table.insert(key, value);
            inserted.map(drop).map_err(|error| damaged(to, error))
        })?;
    }
    write_head(&write, Head { key, ..head }).map_err(|error| damaged(to, error))?;
    write.commit().map_err(|error| damaged(to, error))?;
    database.close().map_err(|error| damaged(to, error))
}

/// An error of the database, with its file.
pub(super) fn damaged(path: &Path, error: impl Into<DatabaseProblem>) -> StoreError {
    match error.into() {
        DatabaseProblem::Redb(error) => match error {
            redb::Error::Io(source) => StoreError::Io {
                path: path.into(),
                source,
            },
            redb::Error::PreviousIo => StoreError::Io {
                path: path.into(),
                source: std::io::Error::other("reading or writing failed before"),
            },
            error => StoreError::Damaged {
                path: path.into(),
                problem: error.to_string(),
            },
        },
        DatabaseProblem::Text(problem) => StoreError::Damaged {
            path: path.into(),
            problem,
        },
    }
}

/// What can be wrong with a database.
pub(super) enum DatabaseProblem {
    Redb(redb::Error),
    Text(String),
}

macro_rules! problems {
    ($($error:ty),*) => {
        $(impl From<$error> for DatabaseProblem {
            fn from(error: $error) -> Self {
                Self::Redb(error.into())
            }
        })*
    };
}

problems!(
    DatabaseError,
    StorageError,
    redb::TransactionError,
    redb::TableError,
    redb::CommitError,
    redb::Error
);

impl From<crate::engine::InvalidRecord> for DatabaseProblem {
    fn from(error: crate::engine::InvalidRecord) -> Self {
        Self::Text(error.to_string())
    }
}

fn create(backend: impl StorageBackend, path: &Path) -> Result<Database, StoreError> {
    let mut builder = Database::builder();
    let opened = builder.set_cache_size(CACHE_SIZE);
    opened
        .create_with_backend(backend)
        .map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(path.into()),
            DatabaseError::UpgradeRequired(_) => StoreError::Foreign(path.into()),
            DatabaseError::Storage(StorageError::Io(error))
                if error.kind() == std::io::ErrorKind::InvalidData =>
            {
                StoreError::Foreign(path.into())
            }
            error => damaged(path, error),
        })
}

fn commit(
    database: &Database,
    path: &Path,
    change: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
) -> Result<(), StoreError> {
    let error = |error: redb::Error| damaged(path, error);
    let mut write = database.begin_write().map_err(|one| error(one.into()))?;
    write
        .set_durability(Durability::Immediate)
        .map_err(|one| error(one.into()))?;
    // Opening after a crash must not read all of it.
    write.set_quick_repair(true);
    change(&write).map_err(error)?;
    write.commit().map_err(|one| error(one.into()))
}

fn read_head(read: &ReadTransaction, path: &Path) -> Result<Head, StoreError> {
    let foreign = || StoreError::Foreign(path.into());
    let mut tables = read.list_tables().map_err(|error| damaged(path, error))?;
    if !tables.any(|table| table.name() == HEAD.name()) {
        return Err(foreign());
    }
    let table = read.open_table(HEAD).map_err(|_| foreign())?;
    let value = |name: &str| -> Result<Option<u128>, StoreError> {
        let value = table.get(name).map_err(|error| damaged(path, error))?;
        Ok(value.map(|value| value.value()))
    };
    let version = value("version")?.ok_or_else(foreign)?;
    Ok(Head {
        version: u16::try_from(version).unwrap_or(u16::MAX),
        key: value("key")?.ok_or_else(foreign)?,
        last: value("last")?.unwrap_or(0) as u64,
        time: value("time")?.map(|time| Instant::from_micros(time as u64)),
    })
}

fn write_head(write: &WriteTransaction, head: Head) -> Result<(), redb::Error> {
    let mut table = write.open_table(HEAD)?;
    table.insert("version", u128::from(head.version))?;
    table.insert("key", head.key)?;
    table.insert("last", u128::from(head.last))?;
    if let Some(time) = head.time {
        table.insert("time", u128::from(time.as_micros()))?;
    }
    Ok(())
}

fn for_each(
    read: &ReadTransaction,
    path: &Path,
    mut each: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let table = read
        .open_table(STATE)
        .map_err(|error| damaged(path, error))?;
    for record in table.iter().map_err(|error| damaged(path, error))? {
        let (key, value) = record.map_err(|error| damaged(path, error))?;
        each(key.value(), value.value())?;
    }
    Ok(())
}

/// The end of all keys that begin with `prefix`.
fn upper_bound(prefix: &[u8]) -> Bound<Vec<u8>> {
    let Some(last) = prefix.iter().rposition(|byte| *byte != u8::MAX) else {
        return Bound::Unbounded;
    };
    let mut bound = prefix[..=last].to_vec();
    bound[last] += 1;
    Bound::Excluded(bound)
}

fn bounds<'a>(range: &'a (Bound<&'a [u8]>, Bound<Vec<u8>>)) -> (Bound<&'a [u8]>, Bound<&'a [u8]>) {
    (range.0, range.1.as_ref().map(Vec::as_slice))
}

/// Its name is how a file is known to be ours.
const HEAD: TableDefinition<'_, &str, u128> = TableDefinition::new("declic-broker");
const STATE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("state");
/// All records are in the engine's memory too.
const CACHE_SIZE: usize = 32 * 1024 * 1024;
