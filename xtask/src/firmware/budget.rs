//! `firmware/esp/budget.toml`: what the firmware may take.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::size::Size;

/// The limits of one chip, in bytes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Budget {
    /// The application's image, at most.
    image: u64,
    /// Code in RAM and variables, at most.
    ram: u64,
    /// What is left for the stack, at least.
    stack: u64,
    /// Flash beyond the bare stack, at most.
    flash_over_bare: u64,
    /// RAM beyond the bare stack, at most.
    ram_over_bare: u64,
}

impl Budget {
    /// The budgets by the chips' names.
    pub fn all(root: &Path) -> Result<BTreeMap<String, Self>, Box<dyn Error>> {
        let text = fs::read_to_string(root.join("firmware/esp/budget.toml"))?;
        Ok(toml::from_str(&text)?)
    }

    /// What `size` (and, compared with `bare`, our own part of it) takes too much: a line each.
    pub fn exceeded(&self, size: &Size, bare: Option<&Size>) -> Vec<String> {
        let mut checks = vec![
            ("image", size.image, self.image, true),
            ("ram", size.ram(), self.ram, true),
            ("stack", size.stack, self.stack, false),
        ];
        if let Some(bare) = bare {
            let flash = size.flash().saturating_sub(bare.flash());
            let ram = size.ram().saturating_sub(bare.ram());
            checks.push(("flash-over-bare", flash, self.flash_over_bare, true));
            checks.push(("ram-over-bare", ram, self.ram_over_bare, true));
        }
        checks
            .into_iter()
            .filter(|(_, is, limit, at_most)| (is > limit) == *at_most && is != limit)
            .map(|(what, is, limit, at_most)| {
                let bound = if at_most { "at most" } else { "at least" };
                format!("{what} is {is}, budget {bound} {limit}")
            })
            .collect()
    }
}
