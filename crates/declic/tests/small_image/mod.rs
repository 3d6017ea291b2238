//! A firmware image like those of `cargo xtask firmware`, with programs that are none.

use sha2::{Digest as _, Sha256};

/// A program of one segment with a right checksum and hash.
pub fn small_program(chip: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![APP_MAGIC, 1, 2, 0x20];
    bytes.resize(HEADER_LEN, 0);
    bytes[12..14].copy_from_slice(&chip.to_le_bytes());
    bytes[23] = 1;
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&u32::try_from(data.len()).expect("small").to_le_bytes());
    bytes.extend_from_slice(data);
    let end = bytes.len() + 16 - bytes.len() % 16;
    bytes.resize(end, 0);
    bytes[end - 1] = data.iter().fold(CHECKSUM_SEED, |sum, byte| sum ^ byte);
    let hash = Sha256::digest(&bytes);
    bytes.extend_from_slice(&hash);
    bytes
}

/// An image like those of `cargo xtask firmware`, with a program that is not one.
pub fn small_image(chip: u16, bootloader: usize) -> Vec<u8> {
    let mut bytes = vec![EMPTY; 0x10000];
    let boot = small_program(chip, b"boot");
    bytes[bootloader..bootloader + boot.len()].copy_from_slice(&boot);
    let partitions: [(&str, u32, u32); 4] = [
        ("otadata", 0xe000, 0x2000),
        ("ota_0", 0x10000, 0x1e0000),
        ("ota_1", 0x1f0000, 0x1e0000),
        ("declic", 0x3d0000, 0x10000),
    ];
    for (index, (name, offset, size)) in partitions.into_iter().enumerate() {
        let mut entry = [0; ENTRY_LEN];
        entry[..2].copy_from_slice(&ENTRY_MAGIC);
        entry[4..8].copy_from_slice(&offset.to_le_bytes());
        entry[8..12].copy_from_slice(&size.to_le_bytes());
        entry[12..12 + name.len()].copy_from_slice(name.as_bytes());
        let at = TABLE_OFFSET as usize + index * ENTRY_LEN;
        bytes[at..at + ENTRY_LEN].copy_from_slice(&entry);
    }
    bytes.extend_from_slice(&small_program(chip, b"the application"));
    bytes
}

const APP_MAGIC: u8 = 0xe9;
const CHECKSUM_SEED: u8 = 0xef;
const HEADER_LEN: usize = 24;
const TABLE_OFFSET: u32 = 0x8000;
const ENTRY_LEN: usize = 32;
const ENTRY_MAGIC: [u8; 2] = [0xaa, 0x50];
const EMPTY: u8 = 0xff;
