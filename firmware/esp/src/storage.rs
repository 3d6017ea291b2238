//! The settings' partition of the chip's flash.

use declic_board::flash::{Loaded, SettingsStore, StoreError};
use declic_board::{Key, Settings};
use embassy_embedded_hal::adapter::BlockingAsync;
use embassy_futures::block_on;
use esp_hal::peripherals::FLASH;
use esp_storage::FlashStorage;

use crate::boards::SETTINGS_PARTITION;

/// The stored settings. Every call takes some milliseconds, and some tens when a page is erased:
/// while the flash is written, no program can run from it.
pub struct Store(SettingsStore<BlockingAsync<FlashStorage<'static>>>);

impl Store {
    /// # Errors
    /// The partition does not fit the flash: the table was changed and is wrong.
    pub fn new(flash: FLASH<'static>) -> Result<Self, StoreError> {
        let flash = FlashStorage::new(flash);
        // While the flash is written, the other core must not run from it.
        #[cfg(any(feature = "esp32", feature = "esp32s3"))]
        let flash = flash.multicore_auto_park();
        SettingsStore::new(BlockingAsync::new(flash), SETTINGS_PARTITION).map(Self)
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

    /// See [`SettingsStore::forget`].
    ///
    /// # Errors
    /// The flash can't be written.
    pub fn forget(&mut self) -> Result<(), StoreError> {
        block_on(self.0.forget())
    }
}
