//! The settings in flash: one item per key, safe against a loss of power at any moment.
//!
//! # The format, version 1
//! The partition is a map of [`sequential-storage`](https://docs.rs/sequential-storage) (the flash
//! layout of its version 8) with words of 4 bytes and pages of 4096. An item's key is a `u16`, its
//! value at most 250 bytes. Each item has a checksum; a newer item replaces an older one of the
//! same key, and pages are used in turn, so that all wear out alike.
//!
//! | key | value |
//! |---|---|
//! | 0 | the version of this format, as text: `1` |
//! | 1 | how often the board has started, as decimal text |
//! | 2 | the inventory: 16 bytes, where bit `n % 8` of byte `n / 8` says that key `n` was stored |
//! | 3 | nothing; while it is there, everything else is to be forgotten |
//! | 4 | whether the light is on: `1` or `0` |
//! | 16 to 127 | a setting: the text that [`Settings::set_key`] takes; the number is [`Key::number`] |
//!
//! What will stay true: a key's number never gets another meaning, and a value never gets another
//! text. A program leaves alone what it does not know, so one may go back to an older program and
//! forth again. Whoever finds another version of the format neither reads nor writes it, except to
//! forget everything.
//!
//! **Passwords are stored as they are typed.** Whoever holds the board can read them out.
//!
//! # What happens when something breaks
//! - The power fails while a setting is stored: it has the old value or the new one, and all the
//!   others have theirs.
//! - The power fails while everything is forgotten: the next [`SettingsStore::load`] finishes that.
//! - A value can't be used, or an item of the inventory is not found: that setting has its
//!   default, and [`Loaded::broken`] names it. Where an older value of it is still in the flash,
//!   it has that one.
//! - The partition holds anything else: it counts as empty, and is erased.

use core::fmt;
use core::fmt::Write as _;
use core::future::Future;
use core::ops::Range;
use core::pin::pin;
use core::str;
use core::task::{Context, Poll, Waker};

use embedded_storage_async::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};
use heapless::String;
use sequential_storage::Error;
use sequential_storage::cache::{Cache, Uncached};
use sequential_storage::map::{MapConfig, MapStorage};

use super::key_set::KeySet;
use super::{Key, Settings};

/// The settings in a partition of a flash.
///
/// Needs 0.3 kB of memory. While it works it waits for the flash: a driver that is not ready at once
/// is asked again until it is.
pub struct SettingsStore<F: NorFlash> {
    map: MapStorage<u16, F, Cache<Uncached, Uncached, Uncached, u16>>,
    /// Whether what a loss of power left half done is finished.
    mended: bool,
    /// Read before the first write.
    inventory: Option<Inventory>,
    buffer: Buffer,
}

/// What [`SettingsStore::load`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Loaded {
    /// The settings that were stored and are as they were.
    pub found: KeySet,
    /// The settings that were stored and can't be used: they have their defaults.
    pub broken: KeySet,
    /// There was something that is no store at all; it is erased now.
    pub unreadable: bool,
}

/// Why the flash could not be read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// The flash reports a failure.
    Flash,
    /// There is no room for more.
    Full,
    /// What is there was written by a program with another format.
    Format,
    /// What is there can't be read.
    Unreadable,
    /// The partition is smaller than two pages, or does not lie on pages.
    Partition,
}

impl<F: NorFlash> SettingsStore<F> {
    /// The store in `partition` of `flash`: at least two whole pages.
    ///
    /// # Errors
    /// The partition does not fit the flash's pages.
    pub fn new(flash: F, partition: Range<u32>) -> Result<Self, StoreError> {
        let Ok(config) = MapConfig::try_new(partition) else {
            return Err(StoreError::Partition);
        };
        Ok(Self {
            map: MapStorage::new(flash, config, Cache::new_uncached()),
            mended: false,
            inventory: None,
            buffer: Buffer([0; BUFFER_LEN]),
        })
    }

    /// Reads the stored settings into `settings`; those that are not stored keep what they have.
    ///
    /// # Errors
    /// The flash can't be read, or has another format. Where it fails halfway, some of `settings`
    /// may have been read.
    pub fn load(&mut self, settings: &mut Settings) -> Result<Loaded, StoreError> {
        match self.read(settings) {
            Err(StoreError::Unreadable) => {
                self.erase()?;
                Ok(Loaded {
                    unreadable: true,
                    ..Loaded::default()
                })
            }
            result => result,
        }
    }

    /// Stores the value of `key`, given as the text that sets it.
    ///
    /// Takes a few milliseconds on a chip, and some tens of them now and then when a page is
    /// erased.
    ///
    /// # Errors
    /// The flash can't be written or is full; the old value is still there.
    pub fn store(&mut self, key: Key, value: &str) -> Result<(), StoreError> {
        let mut inventory = self.inventory()?;
        self.put(key.number(), value.as_bytes())?;
        // In this order: what was never stored can't be lost.
        if inventory.insert(key.number()) {
            self.put(INVENTORY, &inventory.0)?;
            self.inventory = Some(inventory);
        }
        Ok(())
    }

    /// Stores whether the light is on.
    ///
    /// Of the flash, that takes 12 bytes. A partition of 64 KiB is written round 100,000 times
    /// before it wears out: 500 million times, or for 80 years every five seconds.
    ///
    /// # Errors
    /// The flash can't be written or is full; the old value is still there.
    pub fn store_light(&mut self, on: bool) -> Result<(), StoreError> {
        self.inventory()?;
        self.put(LIGHT, if on { b"1" } else { b"0" })
    }

    /// What [`Self::store_light`] has stored; `None` where that is nothing.
    ///
    /// # Errors
    /// The flash can't be read, or has another format.
    pub fn light(&mut self) -> Result<Option<bool>, StoreError> {
        self.mend()?;
        self.format()?;
        Ok(self.fetch(LIGHT)?.map(|value| value == b"1"))
    }

    /// Counts a start of the board, and returns how many there were with this one.
    ///
    /// The count is kept when the settings are forgotten.
    ///
    /// # Errors
    /// The flash can't be read or written.
    pub fn count_boot(&mut self) -> Result<u32, StoreError> {
        let boots = self.boots()?.saturating_add(1);
        self.inventory()?;
        self.put_boots(boots)?;
        Ok(boots)
    }

    /// Forgets all settings, also those of other programs and formats. Takes up to a second.
    ///
    /// # Errors
    /// The flash can't be written.
    pub fn forget(&mut self) -> Result<(), StoreError> {
        let boots = self.boots().unwrap_or(0);
        // From here on they count as forgotten. A flash that is full needs no mark.
        let _ = self.put(FORGET, &[]);
        self.erase()?;
        if boots > 0 {
            self.inventory()?;
            self.put_boots(boots)?;
        }
        Ok(())
    }

    /// The flash.
    pub const fn flash(&mut self) -> &mut F {
        self.map.flash()
    }

    fn read(&mut self, settings: &mut Settings) -> Result<Loaded, StoreError> {
        self.mend()?;
        self.format()?;
        let mut loaded = Loaded::default();
        let buffer = &mut self.buffer.0;
        let mut inventory = Inventory::default();
        let mut items = ready(self.map.fetch_all_items(buffer))?;
        loop {
            let (number, value) = match ready(items.next::<&[u8]>(buffer)) {
                Ok(None) => break,
                Ok(Some(item)) => item,
                Err(Error::Storage { .. }) => return Err(StoreError::Flash),
                // Not ours: longer than anything that we write.
                Err(_) => continue,
            };
            if number == INVENTORY {
                inventory = Inventory::from_bytes(value);
            }
            let Some(key) = Key::from_number(number) else {
                continue;
            };
            // Of several items of a key, the last one counts.
            let text = str::from_utf8(value).ok();
            if text.is_some_and(|text| settings.read(key, text)) {
                loaded.found.insert(key);
                loaded.broken.remove(key);
            } else {
                loaded.broken.insert(key);
                loaded.found.remove(key);
            }
        }
        for key in Key::ALL {
            if inventory.contains(key.number()) && !loaded.found.contains(*key) {
                loaded.broken.insert(*key);
            }
        }
        if settings.has_same_payloads() {
            for key in [Key::PayloadOn, Key::PayloadOff] {
                loaded.broken.insert(key);
                loaded.found.remove(key);
            }
        }
        loaded.broken.iter().for_each(|key| settings.reset(key));
        Ok(loaded)
    }

    /// The inventory, read and checked before the first write.
    fn inventory(&mut self) -> Result<Inventory, StoreError> {
        if let Some(inventory) = self.inventory {
            return Ok(inventory);
        }
        self.mend()?;
        if !self.format()? {
            self.put(FORMAT, VERSION)?;
        }
        let stored = self.fetch(INVENTORY)?;
        let inventory = stored.map_or(Inventory::default(), Inventory::from_bytes);
        self.inventory = Some(inventory);
        Ok(inventory)
    }

    /// Whether the format is there. It is an error if it is another one.
    fn format(&mut self) -> Result<bool, StoreError> {
        match self.fetch(FORMAT)? {
            Some(VERSION) => Ok(true),
            Some(_) => Err(StoreError::Format),
            None => Ok(false),
        }
    }

    fn boots(&mut self) -> Result<u32, StoreError> {
        let stored = self.fetch(BOOTS)?;
        let text = stored.and_then(|value| str::from_utf8(value).ok());
        Ok(text.and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    fn put_boots(&mut self, boots: u32) -> Result<(), StoreError> {
        let mut text = String::<10>::new();
        let _ = write!(text.as_mut_view(), "{boots}");
        self.put(BOOTS, text.as_bytes())
    }

    fn fetch(&mut self, number: u16) -> Result<Option<&[u8]>, StoreError> {
        Ok(ready(self.map.fetch_item(&mut self.buffer.0, &number))?)
    }

    fn put(&mut self, number: u16, value: &[u8]) -> Result<(), StoreError> {
        let buffer = &mut self.buffer.0;
        Ok(ready(self.map.store_item(buffer, &number, &value))?)
    }

    /// Finishes what a loss of power left half done, once.
    fn mend(&mut self) -> Result<(), StoreError> {
        if self.mended {
            return Ok(());
        }
        // A page whose erasing was cut off looks empty at its ends. What is left in between would
        // be taken for items, or spoil them, as soon as the page is used again.
        for page in self.pages() {
            if self.has_blank_ends(page)? == (true, true) && !self.is_blank(page)? {
                self.erase_page(page)?;
            }
        }
        if let Some(_mark) = self.fetch(FORGET)? {
            self.erase()?;
        }
        self.mended = true;
        Ok(())
    }

    /// Erases all pages; the one with the newest items, and the mark among them, as the last.
    fn erase(&mut self) -> Result<(), StoreError> {
        self.inventory = None;
        let mut newest = None;
        for page in self.pages() {
            if self.has_blank_ends(page)? == (false, true) {
                newest = Some(page);
            } else {
                self.erase_page(page)?;
            }
        }
        match newest {
            Some(page) => self.erase_page(page),
            None => Ok(()),
        }
    }

    /// Whether the first and the last word of a page are blank: that is where the map marks pages
    /// as begun and as full.
    fn has_blank_ends(&mut self, page: u32) -> Result<(bool, bool), StoreError> {
        let last = page + (F::ERASE_SIZE - WORD) as u32;
        let first_blank = self.read_blank(page, WORD)?;
        Ok((first_blank, self.read_blank(last, WORD)?))
    }

    /// Whether a whole page is blank.
    fn is_blank(&mut self, page: u32) -> Result<bool, StoreError> {
        for at in (0..F::ERASE_SIZE).step_by(CHUNK) {
            let len = CHUNK.min(F::ERASE_SIZE - at);
            if !self.read_blank(page + at as u32, len)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn read_blank(&mut self, at: u32, len: usize) -> Result<bool, StoreError> {
        let words = &mut self.buffer.0[..len];
        let read = ready(self.map.flash().read(at, words));
        read.map_err(|_| StoreError::Flash)?;
        Ok(words.iter().all(|byte| *byte == 0xff))
    }

    fn erase_page(&mut self, page: u32) -> Result<(), StoreError> {
        let end = page + F::ERASE_SIZE as u32;
        let erased = ready(self.map.flash().erase(page, end));
        erased.map_err(|_| StoreError::Flash)
    }

    fn pages(&self) -> impl Iterator<Item = u32> + use<F> {
        self.map.flash_range().step_by(F::ERASE_SIZE)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flash => "the flash does not work",
            Self::Full => "the flash is full",
            Self::Format => "the flash holds settings of another version",
            Self::Unreadable => "the flash holds something else",
            Self::Partition => "the partition has the wrong size",
        })
    }
}

impl core::error::Error for StoreError {}

impl<E> From<Error<E>> for StoreError {
    fn from(error: Error<E>) -> Self {
        match error {
            Error::FullStorage | Error::ItemTooBig => Self::Full,
            Error::Corrupted { .. } => Self::Unreadable,
            _ => Self::Flash,
        }
    }
}

/// Fills `image` with a whole partition that holds `settings`, as far as they differ from the
/// defaults.
///
/// # Errors
/// `image` is smaller than two pages, or has not a whole number of them.
pub fn write_image(settings: &Settings, image: &mut [u8]) -> Result<(), StoreError> {
    image.fill(0xff);
    let defaults = Settings::default();
    let mut store = open_image(image)?;
    for key in Key::ALL {
        if !settings.agrees(&defaults, *key) {
            store.store(*key, &settings.value(*key))?;
        }
    }
    Ok(())
}

/// Reads a whole partition, as a board does when it starts.
///
/// It is not changed, except where something was cut off and is finished now.
///
/// # Errors
/// Those of [`SettingsStore::load`] and [`write_image`].
pub fn read_image(image: &mut [u8], settings: &mut Settings) -> Result<Loaded, StoreError> {
    let mut store = open_image(image)?;
    store.load(settings)
}

fn open_image(image: &mut [u8]) -> Result<SettingsStore<MemoryFlash<'_>>, StoreError> {
    let len = u32::try_from(image.len()).map_err(|_| StoreError::Partition)?;
    SettingsStore::new(MemoryFlash(image), 0..len)
}

/// The result of a future that waits for nothing but the flash.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            return result;
        }
    }
}

/// A flash that is memory, with the sizes of an ESP32's: for images, and for boards that have no
/// flash.
#[derive(Debug)]
pub struct MemoryFlash<'a>(pub &'a mut [u8]);

impl MemoryFlash<'_> {
    fn part(&mut self, from: u32, len: usize, unit: usize) -> Result<&mut [u8], NorFlashErrorKind> {
        let from = from as usize;
        if !from.is_multiple_of(unit) || !len.is_multiple_of(unit) {
            return Err(NorFlashErrorKind::NotAligned);
        }
        let end = from.checked_add(len);
        end.and_then(|end| self.0.get_mut(from..end))
            .ok_or(NorFlashErrorKind::OutOfBounds)
    }
}

impl ErrorType for MemoryFlash<'_> {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for MemoryFlash<'_> {
    const READ_SIZE: usize = WORD;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        bytes.copy_from_slice(self.part(offset, bytes.len(), WORD)?);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.len()
    }
}

impl NorFlash for MemoryFlash<'_> {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = 4096;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        let len = to.saturating_sub(from) as usize;
        self.part(from, len, Self::ERASE_SIZE)?.fill(0xff);
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        let part = self.part(offset, bytes.len(), WORD)?;
        // Writing takes bits away; only erasing gives them back.
        part.iter_mut()
            .zip(bytes)
            .for_each(|(old, new)| *old &= new);
        Ok(())
    }
}

/// Which numbers were ever stored.
#[derive(Debug, Clone, Copy, Default)]
struct Inventory([u8; 16]);

impl Inventory {
    fn from_bytes(bytes: &[u8]) -> Self {
        bytes.try_into().map_or(Self::default(), Self)
    }

    /// Returns whether it was new. Numbers from 128 on have no place.
    fn insert(&mut self, number: u16) -> bool {
        let Some(byte) = self.0.get_mut(usize::from(number / 8)) else {
            return false;
        };
        let before = *byte;
        *byte |= 1 << (number % 8);
        *byte != before
    }

    fn contains(&self, number: u16) -> bool {
        let byte = self.0.get(usize::from(number / 8));
        byte.is_some_and(|byte| byte >> (number % 8) & 1 != 0)
    }
}

/// The flash is read and written in words: with any other alignment, a driver may copy.
#[repr(align(4))]
struct Buffer([u8; BUFFER_LEN]);

/// The longest item: 250 bytes of value and its key, in whole words.
const BUFFER_LEN: usize = 252;
/// So much is read at a time.
const CHUNK: usize = 128;
const WORD: usize = 4;

const FORMAT: u16 = 0;
const BOOTS: u16 = 1;
const INVENTORY: u16 = 2;
const FORGET: u16 = 3;
const LIGHT: u16 = 4;
const VERSION: &[u8] = b"1";

#[cfg(test)]
mod tests;
