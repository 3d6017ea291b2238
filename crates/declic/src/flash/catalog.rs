//! `boards.toml`: the chips that the firmware runs on and the boards that people have.

use declic_board::{Key, Settings};
use serde::Deserialize;

use crate::error::Error;
use crate::exit_code::ExitCode;

/// The table.
#[derive(Debug, Deserialize)]
pub struct Catalog {
    #[serde(rename = "chip")]
    pub chips: Vec<Chip>,
    #[serde(rename = "board")]
    pub boards: Vec<Board>,
}

/// A chip that there is firmware for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Chip {
    /// As on the command line: `esp32c3`.
    pub name: String,
    /// As people write it: `ESP32-C3`.
    pub title: String,
    target: String,
    pins: String,
    input_only: String,
    /// Where the second-stage bootloader lies in flash.
    pub bootloader: u32,
}

/// A board that people have.
#[derive(Debug, Deserialize)]
pub struct Board {
    pub name: String,
    pub title: String,
    pub chip: String,
    pub button: Button,
    pub led: Led,
    pub note: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Button {
    pub pin: u8,
    pub active: String,
}

#[derive(Debug, Deserialize)]
pub struct Led {
    pub kind: String,
    pub pin: u8,
    pub active: String,
}

impl Catalog {
    /// The table that is built in.
    pub fn new() -> Self {
        toml::from_str(BOARDS).expect("a test reads the table")
    }

    /// The chip with that name, however it is written: `esp32c3`, `ESP32-C3`.
    pub fn chip(&self, name: &str) -> Option<&Chip> {
        let plain = name.to_ascii_lowercase().replace(['-', '_'], "");
        self.chips.iter().find(|chip| chip.name == plain)
    }

    /// [`Self::chip`] for what a user wrote.
    ///
    /// # Errors
    /// There is no such chip.
    pub fn wanted_chip(&self, name: &str) -> Result<&Chip, Error> {
        self.chip(name).ok_or_else(|| {
            let names: Vec<_> = self.chips.iter().map(|chip| chip.name.as_str()).collect();
            Error::new(ExitCode::Usage, format!("there is no chip `{name}`"))
                .remedy(format!("There are {}.", names.join(", ")))
        })
    }

    /// Checks what `settings` say of the board's pins against what it has. Without a chip, the
    /// model says which one it is, if there is one.
    ///
    /// # Errors
    /// There is no such model, it has another chip, or the chip has no such pin.
    pub fn check<'a>(
        &'a self,
        settings: &Settings,
        chip: Option<&'a Chip>,
    ) -> Result<Option<&'a Chip>, Error> {
        let usage = |what: String| Error::new(ExitCode::Usage, what);
        let mut chip = chip;
        if let Some(name) = settings.board() {
            let board = self.boards.iter().find(|board| board.name == name);
            let board = board.ok_or_else(|| {
                usage(format!("there is no board `{name}`"))
                    .remedy("`declic boards` lists them; without one, the chip's usual one counts.")
            })?;
            match chip {
                Some(chip) if chip.name != board.chip => {
                    return Err(usage(format!("{} has no {}", board.title, chip.title))
                        .remedy("Give the other board, or leave --board out."));
                }
                Some(_) => {}
                None => chip = self.chip(&board.chip),
            }
        }
        let Some(chip) = chip else {
            return Ok(None);
        };
        let pins = [
            (Key::ButtonPin, settings.button_pin(), false),
            (Key::LedPin, settings.led_pin(), true),
        ];
        for (key, pin, drives) in pins {
            let Some(pin) = pin else { continue };
            if !in_list(&chip.pins, pin) {
                return Err(usage(format!("{key} can't be {pin} on {}", chip.title))
                    .remedy(format!("Pins to use are {}.", chip.pins)));
            }
            if drives && in_list(&chip.input_only, pin) {
                return Err(usage(format!("{key} can't be {pin} on {}", chip.title))
                    .because(format!("pins {} can only be read", chip.input_only)));
            }
        }
        Ok(Some(chip))
    }
}

impl Chip {
    /// Whether building for it needs Espressif's own toolchain.
    pub fn is_xtensa(&self) -> bool {
        self.target.starts_with("xtensa")
    }
}

/// Whether `pin` is in a list like `0-10,21`.
fn in_list(list: &str, pin: u8) -> bool {
    list.split(',').any(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let range = first.parse().ok().zip(last.parse().ok());
        range.is_some_and(|(first, last): (u8, u8)| (first..=last).contains(&pin))
    })
}

const BOARDS: &str = include_str!("../../../../boards.toml");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_board_of_the_table_is_as_its_chip_allows() {
        let catalog = Catalog::new();
        for board in &catalog.boards {
            let mut settings = Settings::default();
            settings.set_key(Key::Board, &board.name).expect("a name");
            let (button, led) = (board.button.pin.to_string(), board.led.pin.to_string());
            settings.set_key(Key::ButtonPin, &button).expect("a pin");
            settings.set_key(Key::LedPin, &led).expect("a pin");
            let chip = catalog.check(&settings, None).expect("they agree");
            assert_eq!(chip.expect("known").name, board.chip);
        }
    }

    #[test]
    fn chips_are_found_however_they_are_written() {
        let catalog = Catalog::new();
        for name in ["esp32c3", "ESP32-C3", "esp32-c3"] {
            assert_eq!(catalog.chip(name).expect(name).title, "ESP32-C3");
        }
        let error = catalog
            .wanted_chip("esp8266")
            .expect_err("none")
            .to_string();
        assert!(error.contains("There are esp32, esp32s3"), "{error}");
    }

    #[test]
    fn what_the_board_does_not_have_is_refused() {
        let catalog = Catalog::new();
        let refused = |chip: &str, key, value: &str| {
            let mut settings = Settings::default();
            settings.set_key(key, value).expect("a value");
            let chip = catalog.chip(chip);
            catalog.check(&settings, chip).expect_err(value).to_string()
        };
        assert!(refused("esp32c3", Key::Board, "nonesuch").starts_with("there is no board"));
        assert!(refused("esp32c3", Key::Board, "esp32-devkit").contains("has no ESP32-C3"));
        assert_eq!(
            refused("esp32c3", Key::ButtonPin, "18"),
            "button-pin can't be 18 on ESP32-C3. Pins to use are 0-10."
        );
        assert!(refused("esp32", Key::LedPin, "34").contains("can only be read"));
    }
}
