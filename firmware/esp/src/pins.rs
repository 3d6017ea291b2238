//! Pins by number: settings choose them, so no type can say which ones are taken.

use esp_hal::gpio::AnyPin;

use crate::boards::CHIP;

/// Hands out each pin at most once.
pub struct Pins {
    free: u64,
}

impl Pins {
    /// All pins of the chip that may be used.
    ///
    /// # Safety
    /// Called once, and no pin of the chip's table is taken in any other way.
    pub const unsafe fn new() -> Self {
        Self {
            free: CHIP.usable | 1 << CHIP.console_tx | 1 << CHIP.console_rx,
        }
    }

    /// The pin `number` to read from; `None` if it is taken or not to be used.
    pub fn input(&mut self, number: u8) -> Option<AnyPin<'static>> {
        let bit = 1_u64.checked_shl(u32::from(number))?;
        if self.free & bit == 0 {
            return None;
        }
        self.free &= !bit;
        // SAFETY: the pin exists (it is in the chip's table) and is handed out once.
        Some(unsafe { AnyPin::steal(number) })
    }

    /// The pin `number` to drive; `None` if it is taken, not to be used or can only be read.
    pub fn output(&mut self, number: u8) -> Option<AnyPin<'static>> {
        let input_only = CHIP.input_only.checked_shr(u32::from(number))? & 1 == 1;
        if input_only { None } else { self.input(number) }
    }
}
