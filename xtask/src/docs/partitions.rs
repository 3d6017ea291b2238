//! The flash layout, from the firmware's partition table.

use std::error::Error;
use std::fs;
use std::path::Path;

use super::boards::Table;
use super::language::Language;
use super::markdown::{code, table};

pub struct Partition {
    name: String,
    kind: String,
    offset: u32,
    size: u32,
}

pub fn read(root: &Path) -> Result<Vec<Partition>, Box<dyn Error>> {
    let text = fs::read_to_string(root.join(FILE))?;
    text.lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|line| {
            let fields: Vec<_> = line.split(',').map(str::trim).collect();
            let [name, kind, subtype, offset, size, ..] = fields[..] else {
                return Err(format!("{FILE}: five fields are needed: {line}").into());
            };
            Ok(Partition {
                name: name.to_owned(),
                kind: format!("{kind}, {subtype}"),
                offset: number(offset)?,
                size: number(size)?,
            })
        })
        .collect()
}

pub fn page(partitions: &[Partition], boards: &Table, language: &Language) -> String {
    let mut page = language.pick(ENGLISH, FRENCH).to_owned();
    for chip in &boards.chip {
        page += &match language {
            Language::English => format!("- {}: at {:#x}\n", chip.title, chip.bootloader),
            Language::French { .. } => format!("- {} : à {:#x}\n", chip.title, chip.bootloader),
        };
    }
    page.push('\n');
    page += &table(
        language.pick(
            ["Partition", "Type", "Offset", "Size", "What is in it"],
            [
                "Partition",
                "Type",
                "Début",
                "Taille",
                "Ce qu'elle contient",
            ],
        ),
        partitions.iter().map(|partition| {
            [
                code(&partition.name),
                partition.kind.clone(),
                format!("{:#x}", partition.offset),
                format!("{} {}", partition.size / 1024, language.pick("KiB", "Kio")),
                contents(&partition.name, language).to_owned(),
            ]
        }),
    );
    let end = partitions
        .iter()
        .map(|partition| partition.offset + partition.size)
        .max();
    let free = FLASH_SIZE.saturating_sub(end.unwrap_or(0)) / 1024;
    page += &language.pick(
        format!("\nBehind the last one, {free} KiB of the 4 MiB are free.\n"),
        format!("\nAprès la dernière, {free} Kio des 4 Mio restent libres.\n"),
    );
    page
}

fn contents(name: &str, language: &Language) -> &'static str {
    match name {
        "nvs" => language.pick(
            "reserved for Espressif's radio code; empty",
            "réservée au code radio d'Espressif ; vide",
        ),
        "otadata" => language.pick("which application slot starts", "l'emplacement qui démarre"),
        "ota_0" => language.pick("the program", "le programme"),
        "ota_1" => language.pick(
            "room for a second program: updates over the air will need it",
            "la place d'un second programme, pour de futures mises à jour par Wi-Fi",
        ),
        "declic" => language.pick(
            "the [settings](settings.md), one item each",
            "les [réglages](settings.md), un élément pour chacun",
        ),
        _ => "",
    }
}

fn number(text: &str) -> Result<u32, Box<dyn Error>> {
    let hex = text
        .strip_prefix("0x")
        .ok_or_else(|| format!("{FILE}: {text} is not in hex"))?;
    Ok(u32::from_str_radix(hex, 16)?)
}

const FILE: &str = "firmware/esp/partitions.csv";
const FLASH_SIZE: u32 = 4 << 20;

const ENGLISH: &str = "\
# Partitions

<!-- Made by `cargo xtask docs` from firmware/esp/partitions.csv. Don't edit this file. -->

The layout of a board's flash, the same on every chip, for boards with 4 MB or more. A new program
leaves the settings where they are. The table itself lies at 0x8000 (4 KiB), the bootloader before it:

";

const FRENCH: &str = "\
# Partitions

<!-- Écrit par `cargo xtask docs` à partir de firmware/esp/partitions.csv. Ne pas modifier ici. -->

La disposition de la mémoire flash d'une carte, la même sur toutes les puces, à partir de 4 Mo. Un nouveau
programme laisse les réglages où ils sont. La table elle-même est à 0x8000 (4 Kio) ; le chargeur de démarrage
la précède :

";
