//! A firmware image: one file that has all parts at their places in flash.

use std::fmt;
use std::ops::Range;

use sha2::{Digest as _, Sha256};

use super::catalog::{Catalog, Chip};

/// All that a new board needs, except its settings.
#[derive(Debug)]
pub struct Image<'a> {
    pub chip: &'a Chip,
    /// In the order of their places.
    pub parts: Vec<Part>,
    /// Where the settings lie.
    pub settings: Range<u32>,
    /// Bytes of flash that the partition table needs.
    pub flash_size: u32,
}

/// Bytes and where they go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub name: &'static str,
    pub offset: u32,
    pub bytes: Vec<u8>,
}

/// Why bytes are no image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageError {
    /// A program as the compiler makes it.
    Elf,
    /// Nothing that a chip could start.
    NoBootloader,
    /// For a chip that is not in the table.
    UnknownChip(u16),
    /// It has no partition table: only a part of an image.
    NoTable,
    /// The partition table lacks what the firmware needs.
    NoPartition(&'static str),
    /// A part ends too early or is not what its checksum says.
    Damaged(&'static str),
}

impl<'a> Image<'a> {
    /// Reads an image for offset 0, as `cargo xtask firmware` makes it, and checks all of it.
    ///
    /// # Errors
    /// It is something else, or damaged.
    pub fn parse(bytes: &[u8], catalog: &'a Catalog) -> Result<Self, ImageError> {
        if bytes.starts_with(b"\x7fELF") {
            return Err(ImageError::Elf);
        }
        let mut places: Vec<_> = catalog.chips.iter().map(|chip| chip.bootloader).collect();
        places.sort_unstable();
        let start = places
            .into_iter()
            .find(|place| at(bytes, *place).first() == Some(&APP_MAGIC))
            .ok_or(ImageError::NoBootloader)?;
        let id = chip_id(at(bytes, start)).ok_or(ImageError::NoBootloader)?;
        let chip = CHIP_IDS
            .iter()
            .find(|(number, _)| *number == id)
            .and_then(|(_, name)| catalog.chip(name))
            .filter(|chip| chip.bootloader == start)
            .ok_or(ImageError::UnknownChip(id))?;
        let bootloader = program(at(bytes, start)).ok_or(ImageError::Damaged("bootloader"))?;
        let table = Table::parse(at(bytes, TABLE_OFFSET)).ok_or(ImageError::NoTable)?;
        let app = table.find("ota_0")?;
        let app_bytes = at(bytes, app.start);
        if chip_id(app_bytes) != Some(id) {
            return Err(ImageError::Damaged("application"));
        }
        let app_bytes = program(app_bytes).ok_or(ImageError::Damaged("application"))?;
        let boot_choice = table.find("otadata")?;
        let settings = table.find("declic")?;
        let parts = vec![
            Part {
                name: "bootloader",
                offset: start,
                bytes: bootloader.to_vec(),
            },
            Part {
                name: "partition table",
                offset: TABLE_OFFSET,
                bytes: table.bytes,
            },
            Part {
                name: "boot selection",
                // Empty: the bootloader starts the first slot, whatever was chosen before.
                bytes: vec![EMPTY; boot_choice.len()],
                offset: boot_choice.start,
            },
            Part {
                name: "application",
                offset: app.start,
                bytes: app_bytes.to_vec(),
            },
        ];
        let end = |part: &Part| u64::from(part.offset) + part.bytes.len() as u64;
        let overlap = parts
            .windows(2)
            .find(|pair| end(&pair[0]) > u64::from(pair[1].offset));
        if let Some([part, _]) = overlap {
            return Err(ImageError::Damaged(part.name));
        }
        Ok(Self {
            chip,
            parts,
            settings,
            flash_size: table.end,
        })
    }
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elf => f.write_str("it is a program as the compiler makes it, not an image"),
            Self::NoBootloader => f.write_str("it is no firmware image"),
            Self::UnknownChip(id) => write!(f, "it is for a chip that is not known (id {id})"),
            Self::NoTable => f.write_str("it has no partition table: it is only a part"),
            Self::NoPartition(name) => write!(f, "its partition table has no `{name}`"),
            Self::Damaged(part) => write!(f, "its {part} is damaged or cut off"),
        }
    }
}

/// The partition table.
struct Table {
    bytes: Vec<u8>,
    partitions: Vec<(String, Range<u32>)>,
    end: u32,
}

impl Table {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut partitions = Vec::new();
        let mut length = 0;
        for entry in bytes.get(..TABLE_LEN)?.chunks_exact(ENTRY_LEN) {
            if !entry.starts_with(&ENTRY_MAGIC) {
                break;
            }
            length += ENTRY_LEN;
            let number = |at: usize| Some(u32::from_le_bytes(*entry.get(at..)?.first_chunk()?));
            let (offset, size) = (number(4)?, number(8)?);
            let label = entry.get(12..28)?.split(|byte| *byte == 0).next()?;
            let label = String::from_utf8_lossy(label).into_owned();
            partitions.push((label, offset..offset.checked_add(size)?));
        }
        let end = partitions.iter().map(|(_, range)| range.end).max()?;
        // What follows is its checksum, and then nothing up to the end of the sector.
        let sum = bytes.get(length..length + ENTRY_LEN)?;
        if sum.starts_with(&SUM_MAGIC) {
            length += ENTRY_LEN;
        }
        let mut bytes = bytes.get(..length)?.to_vec();
        bytes.resize(TABLE_LEN, EMPTY);
        Some(Self {
            bytes,
            partitions,
            end,
        })
    }

    fn find(&self, name: &'static str) -> Result<Range<u32>, ImageError> {
        let found = self.partitions.iter().find(|(label, _)| label == name);
        found
            .map(|(_, range)| range.clone())
            .ok_or(ImageError::NoPartition(name))
    }
}

/// The bytes from `offset` on; none beyond the end.
fn at(bytes: &[u8], offset: u32) -> &[u8] {
    bytes.get(offset as usize..).unwrap_or_default()
}

fn chip_id(program: &[u8]) -> Option<u16> {
    let id = program.get(12..)?.first_chunk()?;
    (program.first() == Some(&APP_MAGIC)).then(|| u16::from_le_bytes(*id))
}

/// The program at the beginning of `bytes`, if it is whole: ESP-IDF's "App Image Format".
fn program(bytes: &[u8]) -> Option<&[u8]> {
    let header: &[u8; HEADER_LEN] = bytes.first_chunk()?;
    let segments = header[1];
    let has_hash = header[23] == 1;
    let mut end = HEADER_LEN;
    let mut checksum = CHECKSUM_SEED;
    for _ in 0..segments {
        let length = u32::from_le_bytes(*bytes.get(end + 4..)?.first_chunk()?) as usize;
        let data = bytes.get(end + 8..)?.get(..length)?;
        checksum = data.iter().fold(checksum, |sum, byte| sum ^ byte);
        end += 8 + length;
    }
    // The checksum is the last byte of a block of 16.
    end += 16 - end % 16;
    if *bytes.get(end - 1)? != checksum {
        return None;
    }
    if has_hash {
        let hash = bytes.get(end..end + HASH_LEN)?;
        if *Sha256::digest(&bytes[..end]) != *hash {
            return None;
        }
        end += HASH_LEN;
    }
    // Written in words.
    bytes.get(..end)
}

/// The numbers of chips in programs' headers.
const CHIP_IDS: &[(u16, &str)] = &[
    (0, "esp32"),
    (5, "esp32c3"),
    (9, "esp32s3"),
    (13, "esp32c6"),
];
const APP_MAGIC: u8 = 0xe9;
const CHECKSUM_SEED: u8 = 0xef;
const HEADER_LEN: usize = 24;
const HASH_LEN: usize = 32;

const TABLE_OFFSET: u32 = 0x8000;
const TABLE_LEN: usize = 0xc00;
const ENTRY_LEN: usize = 32;
const ENTRY_MAGIC: [u8; 2] = [0xaa, 0x50];
const SUM_MAGIC: [u8; 2] = [0xeb, 0xeb];
/// What erased flash reads as.
const EMPTY: u8 = 0xff;

#[cfg(test)]
#[path = "../../tests/small_image/mod.rs"]
mod small_image;

#[cfg(test)]
mod tests {
    use super::small_image::{small_image, small_program};
    use super::*;

    #[test]
    fn an_image_is_taken_apart() {
        let catalog = Catalog::new();
        for (id, bootloader, name) in [(5, 0, "esp32c3"), (13, 0, "esp32c6"), (0, 0x1000, "esp32")]
        {
            let image = Image::parse(&small_image(id, bootloader), &catalog).expect("an image");
            assert_eq!(image.chip.name, name);
            assert_eq!(image.settings, 0x3d0000..0x3e0000);
            assert_eq!(image.flash_size, 0x3e0000);
            let places: Vec<_> = image
                .parts
                .iter()
                .map(|part| part.offset as usize)
                .collect();
            assert_eq!(places, [bootloader, 0x8000, 0xe000, 0x10000]);
            assert_eq!(image.parts[2].bytes, [EMPTY; 0x2000]);
        }
    }

    #[test]
    fn what_is_no_whole_image_is_refused() {
        let catalog = Catalog::new();
        let refused = |bytes: &[u8]| Image::parse(bytes, &catalog).expect_err("no image");
        assert_eq!(refused(b""), ImageError::NoBootloader);
        assert_eq!(refused(b"\x7fELF\x01"), ImageError::Elf);
        assert_eq!(refused(&small_image(2, 0)), ImageError::UnknownChip(2));
        // The bootloader of a C3 at the place of an ESP32's.
        assert_eq!(refused(&small_image(5, 0x1000)), ImageError::UnknownChip(5));
        assert_eq!(refused(&small_program(5, b"app")), ImageError::NoTable);
        let whole = small_image(5, 0);
        for cut in [0x10000, 0x10010, whole.len() - 1] {
            assert_eq!(
                refused(&whole[..cut]),
                ImageError::Damaged("application"),
                "{cut}"
            );
        }
        let mut damaged = whole.clone();
        damaged[0x10030] ^= 1;
        assert_eq!(refused(&damaged), ImageError::Damaged("application"));
        let mut damaged = whole.clone();
        damaged[30] ^= 1;
        assert_eq!(refused(&damaged), ImageError::Damaged("bootloader"));
        let mut other = whole;
        let label = TABLE_OFFSET as usize + 3 * ENTRY_LEN + 12;
        other[label] = b'x';
        assert_eq!(refused(&other), ImageError::NoPartition("declic"));
    }

    #[test]
    fn any_byte_may_be_wrong_without_a_panic() {
        let catalog = Catalog::new();
        let whole = small_image(5, 0);
        for at in (0..40).chain(0x8000..0x8020).chain(0x10000..0x10028) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0xff;
            let _ = Image::parse(&bytes, &catalog);
        }
    }
}
