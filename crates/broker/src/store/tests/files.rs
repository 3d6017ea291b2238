//! The files of a store: whose they are, what is wrong with them, copies of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use declic_mqtt::Instant;

use super::disk::SimulatedDisk;
use crate::engine::{Batch, Change};
use crate::store::database::Format;
use crate::store::directory::{DirectoryStore, Sizes};
use crate::store::{Durability, Store, StoreConfig, StoreError};

/// A directory that is gone with it.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let name = format!("declic-store-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("a directory");
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn open(directory: &Path) -> Result<DirectoryStore, StoreError> {
    DirectoryStore::open(&StoreConfig {
        directory: directory.into(),
        durability: Durability::Always,
    })
}

fn put(key: &str, value: &str) -> Batch {
    let mut batch = Batch::default();
    batch.push(Change::Put {
        key: key.as_bytes(),
        value: value.as_bytes(),
    });
    batch
}

fn records(store: &mut DirectoryStore) -> BTreeMap<String, String> {
    let mut records = BTreeMap::new();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let loaded = store.load(&mut |key, value| {
        records.insert(text(key), text(value));
        Ok(())
    });
    loaded.expect("what is stored can be read");
    records
}

fn map(records: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    records.iter().map(owned).collect()
}

#[test]
fn what_was_written_is_there_again_with_its_moment() {
    let directory = Directory::new("again");
    let path = directory.0.join("made/when/missing");
    for (number, is_orderly) in [true, false].into_iter().enumerate() {
        let mut store = open(&path).expect("a store");
        let time = Instant::from_millis(5 + number as u64);
        let batch = put(&format!("key{number}"), "value");
        store.write(&batch, time).expect("room");
        if is_orderly {
            store.close().expect("room");
            let log = fs::metadata(path.join("log")).expect("a log");
            assert_eq!(log.len(), 0);
        }
        drop(store);
        assert_eq!(open(&path).expect("a store").last_time(), Some(time));
    }
    let mut store = open(&path).expect("a store");
    assert_eq!(
        records(&mut store),
        map(&[("key0", "value"), ("key1", "value")])
    );
}

#[test]
fn a_store_that_is_in_use_is_refused() {
    let directory = Directory::new("in-use");
    let store = open(&directory.0).expect("a store");
    let error = open(&directory.0).expect_err("it is in use");
    assert!(matches!(error, StoreError::InUse(_)), "{error}");
    assert!(
        error.to_string().contains("is used by another process"),
        "{error}"
    );
    drop(store);
    open(&directory.0).expect("it is free again");
}

#[test]
fn files_of_other_programs_are_refused_and_left_as_they_are() {
    let directory = Directory::new("foreign");
    let file = directory.0.join("state.redb");
    fs::write(&file, "something that is no database".repeat(500)).expect("room");
    let before = fs::read(&file).expect("a file");
    let error = open(&directory.0).expect_err("it is no database");
    assert!(matches!(error, StoreError::Foreign(_)), "{error}");
    assert_eq!(fs::read(&file).expect("a file"), before);
    // A database, but not one of ours.
    fs::remove_file(&file).expect("a file");
    let database = redb::Database::create(&file).expect("room");
    let write = database.begin_write().expect("a transaction");
    let other: redb::TableDefinition<'_, u64, u64> = redb::TableDefinition::new("other");
    write.open_table(other).expect("a table");
    write.commit().expect("room");
    drop(database);
    let error = open(&directory.0).expect_err("it is not ours");
    assert!(matches!(error, StoreError::Foreign(_)), "{error}");
    assert!(
        error.to_string().contains("not written by this program"),
        "{error}"
    );
}

#[test]
fn a_log_of_another_store_is_none() {
    let (one, other) = (Directory::new("one"), Directory::new("other"));
    for directory in [&one, &other] {
        let mut store = open(&directory.0).expect("a store");
        let name = directory.0.display().to_string();
        store.write(&put(&name, ""), Instant::ZERO).expect("room");
    }
    fs::copy(one.0.join("log"), other.0.join("log")).expect("room");
    let mut store = open(&other.0).expect("a store");
    assert_eq!(records(&mut store), map(&[]));
}

#[test]
fn a_directory_that_can_not_be_is_named() {
    let error = open(Path::new("/dev/null/store")).expect_err("no directory");
    assert!(
        error.to_string().starts_with("/dev/null/store: "),
        "{error}"
    );
}

#[test]
fn a_backup_is_a_store_with_what_was_there_when_it_began() {
    let directory = Directory::new("backup");
    let mut store = open(&directory.0.join("store")).expect("a store");
    for number in 0..100 {
        let batch = put(&format!("key{number}"), "value");
        store
            .write(&batch, Instant::from_millis(number))
            .expect("room");
    }
    let before = records_after_reopening(&mut store);
    let copy = directory.0.join("copy");
    let copying = store.backup(&copy).expect("room");
    store
        .write(&put("later", ""), Instant::from_millis(200))
        .expect("room");
    copying().expect("room");
    let mut copied = open(&copy).expect("a store");
    assert_eq!(records(&mut copied), before);
    assert_eq!(copied.last_time(), Some(Instant::from_millis(99)));
    // It never overwrites anything.
    assert!(store.backup(&copy).is_err());
    // Both go on by themselves.
    copied
        .write(&put("other", ""), Instant::from_millis(300))
        .expect("room");
    store.close().expect("room");
}

/// All records: those of the log too.
fn records_after_reopening(store: &mut DirectoryStore) -> BTreeMap<String, String> {
    let directory = Directory::new("reopened");
    let path = directory.0.join("copy");
    store.backup(&path).expect("room")().expect("room");
    records(&mut open(&path).expect("a store"))
}

#[test]
fn a_full_disk_refuses_each_batch_as_a_whole_and_takes_it_when_there_is_room() {
    let disk = SimulatedDisk::new(1);
    let open = || {
        let sizes = Sizes {
            log: 3_000,
            growth: 1_000,
        };
        let disk = Box::new(disk.clone());
        DirectoryStore::on_disk(disk, Durability::Always, sizes, Format::CURRENT, 5)
    };
    let mut store = open().expect("a store");
    store
        .write(&put("before", "1"), Instant::ZERO)
        .expect("room");
    let large = put("large", &"x".repeat(2_000));
    disk.fail(1);
    for _ in 0..5 {
        let error = store.write(&large, Instant::ZERO).expect_err("no room");
        assert!(error.is_full(), "{error}");
    }
    disk.fail(0);
    store.write(&large, Instant::ZERO).expect("room");
    store
        .write(&put("before", "2"), Instant::ZERO)
        .expect("room");
    disk.lose_power();
    drop(store);
    disk.start();
    let records = records(&mut open().expect("a store"));
    assert_eq!(records["before"], "2");
    assert_eq!(records["large"].len(), 2_000);
}
