//! The settings' partition in flash: one item per key, in the format of `sequential-storage`.
//!
//! An item's key is the setting's name and its value the text that sets it, so an older or newer
//! program keeps what it does not know. Each item has a checksum, and a write that is cut off by a
//! loss of power leaves the old value.

use embassy_embedded_hal::adapter::BlockingAsync;
use embassy_futures::block_on;
use esp_hal::peripherals::FLASH;
use esp_storage::FlashStorage;
use heapless::String;
use sequential_storage::cache::{Cache, Uncached};
use sequential_storage::map::{MapConfig, MapStorage};

use crate::boards::SETTINGS_PARTITION;

/// Room for the longest name of a setting.
pub type Name = String<24>;

/// The flash could not be read or written.
pub struct StoreError;

type Flash = BlockingAsync<FlashStorage<'static>>;

pub struct Store {
    map: MapStorage<Name, Flash, Cache<Uncached, Uncached, Uncached, Name>>,
    buffer: Buffer,
}

impl Store {
    pub fn new(flash: FLASH<'static>) -> Self {
        let flash = FlashStorage::new(flash);
        // While the flash is written, the other core must not run from it.
        #[cfg(any(feature = "esp32", feature = "esp32s3"))]
        let flash = flash.multicore_auto_park();
        Self {
            map: MapStorage::new(
                BlockingAsync::new(flash),
                const { MapConfig::new(SETTINGS_PARTITION) },
                Cache::new_uncached(),
            ),
            buffer: Buffer([0; 256]),
        }
    }

    /// Calls `each` with every stored item. A key may come more than once: the last one counts.
    ///
    /// # Errors
    /// The flash can't be read, or nothing of what is there is understood.
    pub fn load(&mut self, mut each: impl FnMut(&str, &str)) -> Result<(), StoreError> {
        let buffer = &mut self.buffer.0;
        block_on(async {
            let mut items = self
                .map
                .fetch_all_items(buffer)
                .await
                .map_err(|_| StoreError)?;
            while let Some((key, value)) =
                items.next::<&[u8]>(buffer).await.map_err(|_| StoreError)?
            {
                if let Ok(value) = core::str::from_utf8(value) {
                    each(&key, value);
                }
            }
            Ok(())
        })
    }

    /// Stores `value` under `key`. Takes some milliseconds, and some tens when a page is erased.
    ///
    /// # Errors
    /// The flash can't be written, or is full.
    pub fn save(&mut self, key: &str, value: &str) -> Result<(), StoreError> {
        let name = Name::try_from(key).map_err(|_| StoreError)?;
        let value = value.as_bytes();
        block_on(self.map.store_item(&mut self.buffer.0, &name, &value)).map_err(|_| StoreError)
    }

    /// Forgets everything.
    ///
    /// # Errors
    /// The flash can't be erased.
    pub fn erase(&mut self) -> Result<(), StoreError> {
        block_on(self.map.erase_all()).map_err(|_| StoreError)
    }
}

/// The flash is read and written in words: with any other alignment the driver would copy each
/// piece through 4 kB of stack.
#[repr(align(4))]
struct Buffer([u8; 256]);
