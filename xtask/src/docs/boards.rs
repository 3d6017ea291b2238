//! `boards.toml`, as the pages need it.

use std::error::Error;
use std::fs;
use std::path::Path;

use serde::Deserialize;

#[derive(Deserialize)]
pub struct Table {
    pub chip: Vec<Chip>,
    pub board: Vec<Board>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Chip {
    pub name: String,
    pub title: String,
    pub pins: String,
    pub input_only: String,
    pub console: Console,
    pub usb_serial: bool,
    pub bootloader: u32,
}

#[derive(Deserialize)]
pub struct Console {
    pub tx: u8,
    pub rx: u8,
}

#[derive(Deserialize)]
pub struct Board {
    pub name: String,
    pub title: String,
    pub chip: String,
    pub flash: String,
    pub button: Button,
    pub led: Led,
    pub source: String,
    pub checked: Checked,
    pub note: Option<String>,
}

#[derive(Deserialize)]
pub struct Button {
    pub pin: u8,
    pub active: Active,
}

#[derive(Deserialize)]
pub struct Led {
    pub kind: LedKind,
    pub pin: u8,
    pub active: Active,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub enum Active {
    Low,
    High,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub enum LedKind {
    Plain,
    Ws2812,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
pub enum Checked {
    Vendor,
    ThirdParty,
}

impl Table {
    pub fn read(root: &Path) -> Result<Self, Box<dyn Error>> {
        Ok(toml::from_str(&fs::read_to_string(
            root.join("boards.toml"),
        )?)?)
    }

    pub fn chip_title<'a>(&'a self, name: &'a str) -> &'a str {
        let chip = self.chip.iter().find(|chip| chip.name == name);
        chip.map_or(name, |chip| &chip.title)
    }
}
