//! A board's flash, whose power fails at any byte.

use declic_board::flash::{Loaded, SettingsStore};
use declic_board::{Key, Settings, StoreError};
use embedded_storage_async::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};

/// A flash of two pages, as small as the format allows.
#[derive(Debug, Clone)]
pub(crate) struct Flash {
    bytes: Box<[u8]>,
    /// Bytes that are still written or erased before the power fails; `None` for any number.
    left: Option<usize>,
    worked: u64,
}

impl Flash {
    pub(crate) fn new() -> Self {
        Self {
            bytes: vec![0xff; 2 * PAGE].into_boxed_slice(),
            left: None,
            worked: 0,
        }
    }

    /// The power fails after so many bytes.
    pub(crate) const fn fail_after(&mut self, bytes: usize) {
        self.left = Some(bytes);
    }

    /// Whether the power has failed while something was written.
    pub(crate) fn has_failed(&self) -> bool {
        self.left == Some(0)
    }

    /// The power is back.
    pub(crate) const fn mend(&mut self) {
        self.left = None;
    }

    /// Bytes that were written or erased.
    pub(crate) const fn worked(&self) -> u64 {
        self.worked
    }

    /// Reads what is stored.
    pub(crate) fn load(&mut self, settings: &mut Settings) -> Result<Loaded, StoreError> {
        self.store()?.load(settings)
    }

    /// Counts a start, as the firmware does.
    pub(crate) fn count_boot(&mut self) -> Option<u32> {
        self.store().ok()?.count_boot().ok()
    }

    /// The light's state that was stored.
    pub(crate) fn light(&mut self) -> Option<bool> {
        self.store().ok()?.light().ok().flatten()
    }

    pub(crate) fn store_light(&mut self, on: bool) -> Result<(), StoreError> {
        self.store()?.store_light(on)
    }

    pub(crate) fn store_setting(&mut self, key: Key, value: &str) -> Result<(), StoreError> {
        self.store()?.store(key, value)
    }

    pub(crate) fn forget(&mut self) -> Result<(), StoreError> {
        self.store()?.forget()
    }

    fn store(&mut self) -> Result<SettingsStore<&mut Self>, StoreError> {
        let partition = 0..self.bytes.len() as u32;
        SettingsStore::new(self, partition)
    }

    fn step(&mut self) -> Result<(), NorFlashErrorKind> {
        match &mut self.left {
            Some(0) => return Err(NorFlashErrorKind::Other),
            Some(left) => *left -= 1,
            None => {}
        }
        self.worked += 1;
        Ok(())
    }
}

impl ErrorType for Flash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = WORD;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        let from = offset as usize;
        let stored = self.bytes.get(from..from + bytes.len());
        bytes.copy_from_slice(stored.ok_or(NorFlashErrorKind::OutOfBounds)?);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = PAGE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        for at in from..to {
            self.step()?;
            self.bytes[at as usize] = 0xff;
        }
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        for (at, byte) in (offset as usize..).zip(bytes) {
            self.step()?;
            // Writing takes bits away; only erasing gives them back.
            self.bytes[at] &= byte;
        }
        Ok(())
    }
}

const WORD: usize = 4;
const PAGE: usize = 4_096;
