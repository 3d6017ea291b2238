//! The settings in flash: one item per key, in the format of `sequential-storage`, as the ESP32
//! firmware keeps them.

use embassy_futures::block_on;
use heapless::String;
use sequential_storage::cache::{Cache, Uncached};
use sequential_storage::map::{MapConfig, MapStorage};

use crate::hal::flash::Flash;

/// Room for the longest name of a setting.
pub type Name = String<24>;

/// The flash could not be read or written.
pub struct StoreError;

pub struct Store {
    map: MapStorage<Name, Flash, Cache<Uncached, Uncached, Uncached, Name>>,
    buffer: [u8; 256],
}

impl Store {
    /// All of `flash`.
    pub fn new(flash: Flash) -> Self {
        use embedded_storage_async::nor_flash::ReadNorFlash as _;

        let range = 0..flash.capacity() as u32;
        Self {
            map: MapStorage::new(flash, MapConfig::new(range), Cache::new_uncached()),
            buffer: [0; 256],
        }
    }

    /// Calls `each` with every stored item. A key may come more than once: the last one counts.
    ///
    /// # Errors
    /// The flash can't be read, or nothing of what is there is understood.
    pub fn load(&mut self, mut each: impl FnMut(&str, &str)) -> Result<(), StoreError> {
        let buffer = &mut self.buffer;
        block_on(async {
            let items = self.map.fetch_all_items(buffer).await;
            let mut items = items.map_err(|_| StoreError)?;
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

    /// Stores `value` under `key`.
    ///
    /// # Errors
    /// The flash can't be written, or is full.
    pub fn save(&mut self, key: &str, value: &str) -> Result<(), StoreError> {
        let name = Name::try_from(key).map_err(|_| StoreError)?;
        let value = value.as_bytes();
        block_on(self.map.store_item(&mut self.buffer, &name, &value)).map_err(|_| StoreError)
    }

    /// Forgets everything.
    ///
    /// # Errors
    /// The flash can't be erased.
    pub fn erase(&mut self) -> Result<(), StoreError> {
        block_on(self.map.erase_all()).map_err(|_| StoreError)
    }
}
