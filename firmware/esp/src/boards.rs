//! The chip, its boards and its flash: tables made from `boards.toml` and `partitions.csv`.

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

/// The pins of a board.
#[derive(Clone, Copy)]
pub struct BoardPins {
    pub name: &'static str,
    pub button: u8,
    pub button_active_high: bool,
    pub led: u8,
    pub led_kind: LedKind,
    pub led_active_high: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "not every chip has boards with both")]
pub enum LedKind {
    Plain,
    Ws2812,
}

impl BoardPins {
    /// The board with that name, among those of this chip.
    pub fn find(name: &str) -> Option<Self> {
        BOARDS.iter().copied().find(|board| board.name == name)
    }
}

include!(concat!(env!("OUT_DIR"), "/tables.rs"));
