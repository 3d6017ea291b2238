//! `boards.toml`: what this program needs of it.

use std::error::Error;
use std::fs;
use std::path::Path;

use serde::Deserialize;

/// A chip that the firmware is built for.
#[derive(Debug, Deserialize)]
pub struct Chip {
    /// As the firmware's cargo feature is called.
    pub name: String,
    /// As people write it.
    pub title: String,
    /// The compiler's target.
    pub target: String,
    /// Where the second-stage bootloader lies in flash.
    pub bootloader: u32,
}

impl Chip {
    /// All chips of the file.
    pub fn all(root: &Path) -> Result<Vec<Self>, Box<dyn Error>> {
        #[derive(Deserialize)]
        struct Table {
            chip: Vec<Chip>,
        }
        let text = fs::read_to_string(root.join("boards.toml"))?;
        Ok(toml::from_str::<Table>(&text)?.chip)
    }

    /// Whether Espressif's toolchain is needed.
    pub fn is_xtensa(&self) -> bool {
        self.target.starts_with("xtensa")
    }
}
