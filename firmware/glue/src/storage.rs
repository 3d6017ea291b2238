//! The settings' partition of a flash, for a task that may wait for it.

use declic_board::flash::{Loaded, SettingsStore, StoreError};
use declic_board::{Key, Settings};
use embassy_futures::block_on;
use embedded_storage_async::nor_flash::NorFlash;

/// The stored settings. On a chip every call takes some milliseconds, and some tens when a page is
/// erased: while the flash is written, no program can run from it.
pub struct Store<F: NorFlash>(SettingsStore<F>);

impl<F: NorFlash> Store<F> {
    /// The store in `partition` of `flash`, see [`SettingsStore::new`].
    ///
    /// # Errors
    /// The partition does not fit the flash's pages.
    pub fn new(flash: F, partition: core::ops::Range<u32>) -> Result<Self, StoreError> {
        SettingsStore::new(flash, partition).map(Self)
    }

    /// See [`SettingsStore::load`].
    ///
    /// # Errors
    /// The flash can't be read, or holds another format.
    pub fn load(&mut self, settings: &mut Settings) -> Result<Loaded, StoreError> {
        block_on(self.0.load(settings))
    }

    /// See [`SettingsStore::count_boot`].
    ///
    /// # Errors
    /// The flash can't be read or written.
    pub fn count_boot(&mut self) -> Result<u32, StoreError> {
        block_on(self.0.count_boot())
    }

    /// See [`SettingsStore::store`].
    ///
    /// # Errors
    /// The flash can't be written.
    pub fn store(&mut self, key: Key, value: &str) -> Result<(), StoreError> {
        block_on(self.0.store(key, value))
    }

    /// See [`SettingsStore::store_light`].
    ///
    /// # Errors
    /// The flash can't be written.
    pub fn store_light(&mut self, on: bool) -> Result<(), StoreError> {
        block_on(self.0.store_light(on))
    }

    /// See [`SettingsStore::light`]; `None` also where the flash can't be read.
    pub fn light(&mut self) -> Option<bool> {
        block_on(self.0.light()).ok().flatten()
    }

    /// See [`SettingsStore::forget`].
    ///
    /// # Errors
    /// The flash can't be written.
    pub fn forget(&mut self) -> Result<(), StoreError> {
        block_on(self.0.forget())
    }
}
