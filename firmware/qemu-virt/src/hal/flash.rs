//! The disk as NOR flash: pages of 4 kB that are erased to ones, words in which bits are cleared.
//!
//! Its image is what an ESP32 has in its settings' partition, byte for byte.

use embedded_storage_async::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use virtio_drivers::device::blk::{SECTOR_SIZE, VirtIOBlk};
use virtio_drivers::transport::mmio::MmioTransport;

use super::virtio::Memory;

/// The flash.
pub struct Flash {
    disk: VirtIOBlk<Memory, MmioTransport<'static>>,
    /// The sector that was read or written last: settings are read in pieces of a few bytes.
    sector: [u8; SECTOR_SIZE],
    /// Which one that is.
    number: Option<usize>,
}

/// Why the flash was not read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlashError {
    /// Outside of the flash.
    OutOfBounds,
    /// Not whole words, or not whole pages.
    NotAligned,
    /// The disk failed.
    Disk,
}

impl Flash {
    /// The flash on that disk; `None` if the disk does not start.
    pub fn new(transport: MmioTransport<'static>) -> Option<Self> {
        let disk = VirtIOBlk::new(transport).ok()?;
        Some(Self {
            disk,
            sector: [0; SECTOR_SIZE],
            number: None,
        })
    }

    /// Whether `offset..offset + len` is inside, in whole units.
    fn check(&self, offset: u32, len: usize, unit: usize) -> Result<(), FlashError> {
        let offset = offset as usize;
        if offset
            .checked_add(len)
            .is_none_or(|end| end > self.capacity())
        {
            Err(FlashError::OutOfBounds)
        } else if !offset.is_multiple_of(unit) || !len.is_multiple_of(unit) {
            Err(FlashError::NotAligned)
        } else {
            Ok(())
        }
    }

    /// Has the sector with that number in `self.sector`.
    fn read_sector(&mut self, number: usize) -> Result<(), FlashError> {
        if self.number != Some(number) {
            self.number = None;
            let read = self.disk.read_blocks(number, &mut self.sector);
            read.map_err(|_| FlashError::Disk)?;
            self.number = Some(number);
        }
        Ok(())
    }

    /// Writes `self.sector` as the sector with that number.
    fn write_sector(&mut self, number: usize) -> Result<(), FlashError> {
        self.number = None;
        let written = self.disk.write_blocks(number, &self.sector);
        written.map_err(|_| FlashError::Disk)?;
        self.number = Some(number);
        Ok(())
    }
}

impl ErrorType for Flash {
    type Error = FlashError;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 4;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        self.check(offset, bytes.len(), Self::READ_SIZE)?;
        let mut at = offset as usize;
        let mut left = bytes;
        while !left.is_empty() {
            self.read_sector(at / SECTOR_SIZE)?;
            let from = &self.sector[at % SECTOR_SIZE..];
            let len = from.len().min(left.len());
            let (part, rest) = left.split_at_mut(len);
            part.copy_from_slice(&from[..len]);
            left = rest;
            at += len;
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.disk.capacity() as usize * SECTOR_SIZE / Self::ERASE_SIZE * Self::ERASE_SIZE
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 4096;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        let len = to.checked_sub(from).ok_or(FlashError::OutOfBounds)? as usize;
        self.check(from, len, Self::ERASE_SIZE)?;
        let sectors = from as usize / SECTOR_SIZE..to as usize / SECTOR_SIZE;
        self.number = None;
        self.sector = [0xff; SECTOR_SIZE];
        for number in sectors {
            self.write_sector(number)?;
        }
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.check(offset, bytes.len(), Self::WRITE_SIZE)?;
        let mut at = offset as usize;
        let mut left = bytes;
        while !left.is_empty() {
            self.read_sector(at / SECTOR_SIZE)?;
            let into = &mut self.sector[at % SECTOR_SIZE..];
            let (part, rest) = left.split_at(into.len().min(left.len()));
            for (bits, clear) in into.iter_mut().zip(part) {
                *bits &= clear;
            }
            self.write_sector(at / SECTOR_SIZE)?;
            left = rest;
            at += part.len();
        }
        Ok(())
    }
}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::OutOfBounds => NorFlashErrorKind::OutOfBounds,
            Self::NotAligned => NorFlashErrorKind::NotAligned,
            Self::Disk => NorFlashErrorKind::Other,
        }
    }
}
