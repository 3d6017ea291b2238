//! The settings in the machine's flash.

use declic_board::flash::{Loaded, SettingsStore, StoreError};
use declic_board::{Key, Settings};
use embassy_futures::block_on;
use embedded_storage_async::nor_flash::ReadNorFlash as _;

use crate::hal::flash::Flash;

/// The stored settings. Every call takes a little while.
pub struct Store(SettingsStore<Flash>);

impl Store {
    /// All of `flash` for the settings.
    ///
    /// # Errors
    /// It has fewer than two pages.
    pub fn new(flash: Flash) -> Result<Self, StoreError> {
        let partition = 0..flash.capacity() as u32;
        SettingsStore::new(flash, partition).map(Self)
    }

    /// See [`SettingsStore::load`].
    ///
    /// # Errors
    /// The flash can't be read, or holds another format.
    pub fn load(&mut self, settings: &mut Settings) -> Result<Loaded, StoreError> {
        block_on(self.0.load(settings))
    }

    /// See [`SettingsStore::store`].
    ///
    /// # Errors
    /// The flash can't be written.
    pub fn store(&mut self, key: Key, value: &str) -> Result<(), StoreError> {
        block_on(self.0.store(key, value))
    }

    /// See [`SettingsStore::count_boot`].
    ///
    /// # Errors
    /// The flash can't be read or written.
    pub fn count_boot(&mut self) -> Result<u32, StoreError> {
        block_on(self.0.count_boot())
    }

    /// See [`SettingsStore::forget`].
    ///
    /// # Errors
    /// The flash can't be written.
    pub fn forget(&mut self) -> Result<(), StoreError> {
        block_on(self.0.forget())
    }
}
