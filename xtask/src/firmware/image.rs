//! From a program to what is written to a board's flash.

use std::error::Error;
use std::fs;
use std::path::Path;

use espflash::flasher::{FlashData, FlashFrequency, FlashMode, FlashSettings, FlashSize};
use espflash::image_format::idf::IdfBootloaderFormat;

use super::boards::Chip;

/// A file and where it goes.
pub struct Part {
    pub name: &'static str,
    pub offset: u32,
    pub bytes: Vec<u8>,
}

/// All that a new board needs, except its settings.
pub struct Image {
    pub parts: Vec<Part>,
}

impl Image {
    /// The image of the program `elf` with the firmware's partition table.
    pub fn new(root: &Path, chip: &Chip, elf: &[u8]) -> Result<Self, Box<dyn Error>> {
        let kind: espflash::target::Chip = chip.name.parse()?;
        // What every module can do: boards with faster or larger flash work with it as well.
        let settings = FlashSettings::new(
            Some(FlashMode::Dio),
            Some(FlashSize::_4Mb),
            Some(FlashFrequency::_40Mhz),
        );
        let data = FlashData::new(settings, 0, None, kind, kind.default_xtal_frequency());
        let table = root.join("firmware/esp/partitions.csv");
        let format = IdfBootloaderFormat::new(elf, &data, Some(&table), None, None, Some("ota_0"))?;
        let boot = format
            .partition_table()
            .partitions()
            .iter()
            .find(|partition| partition.name() == "otadata")
            .map(|partition| (partition.offset(), partition.size()))
            .ok_or("the partition table has no `otadata`")?;
        let mut parts: Vec<_> = format
            .flash_segments()
            .zip(["bootloader.bin", "partitions.bin", "app.bin"])
            .map(|(segment, name)| Part {
                name,
                offset: segment.addr,
                bytes: segment.data().to_vec(),
            })
            .collect();
        // Empty: the bootloader starts the first slot, whatever was chosen before.
        parts.push(Part {
            name: "otadata.bin",
            offset: boot.0,
            bytes: vec![EMPTY; boot.1 as usize],
        });
        parts.sort_by_key(|part| part.offset);
        if parts[0].offset != chip.bootloader {
            return Err(
                format!("boards.toml: the bootloader of {} is elsewhere", chip.name).into(),
            );
        }
        Ok(Self { parts })
    }

    /// The application alone.
    pub fn app(&self) -> &[u8] {
        let app = self.parts.iter().find(|part| part.name == "app.bin");
        app.map_or(&[], |part| &part.bytes)
    }

    /// Everything in one piece, for offset 0.
    pub fn merged(&self) -> Vec<u8> {
        let mut merged = Vec::new();
        for part in &self.parts {
            merged.resize(part.offset as usize, EMPTY);
            merged.extend_from_slice(&part.bytes);
        }
        merged
    }

    /// Writes the parts and the merged image into `dir`.
    pub fn write(&self, chip: &Chip, dir: &Path) -> Result<(), Box<dyn Error>> {
        fs::create_dir_all(dir)?;
        for part in &self.parts {
            fs::write(dir.join(part.name), &part.bytes)?;
        }
        fs::write(dir.join(format!("declic-{}.bin", chip.name)), self.merged())?;
        Ok(())
    }
}

/// What erased flash reads as.
const EMPTY: u8 = 0xff;
