//! The chip, its boards and its flash: tables made from `boards.toml` and `partitions.csv`.

use declic_board::{LedKind, Settings};

/// What differs between chips.
pub struct Chip {
    pub title: &'static str,
    pub console_tx: u8,
    pub console_rx: u8,
    /// Pins for a button or an LED, one bit each.
    pub usable: u64,
    /// Of these, the ones that can't drive anything.
    pub input_only: u64,
}

/// Where a board has its button and its LED.
#[derive(Clone, Copy)]
pub struct BoardPins {
    pub name: &'static str,
    pub button: u8,
    pub button_active_low: bool,
    pub led: u8,
    pub led_kind: LedKind,
}

impl BoardPins {
    /// What the settings say, and for the rest what the board's model has.
    pub fn new(settings: &Settings) -> Self {
        let model = settings.board().and_then(Self::find).unwrap_or(&BOARDS[0]);
        Self {
            name: model.name,
            button: settings.button_pin().unwrap_or(model.button),
            button_active_low: settings
                .button_active_low()
                .unwrap_or(model.button_active_low),
            led: settings.led_pin().unwrap_or(model.led),
            led_kind: match settings.led_kind() {
                LedKind::Auto => model.led_kind,
                kind => kind,
            },
        }
    }

    /// The model of that name, among those with this chip.
    pub fn find(name: &str) -> Option<&'static Self> {
        BOARDS.iter().find(|board| board.name == name)
    }
}

include!(concat!(env!("OUT_DIR"), "/tables.rs"));
