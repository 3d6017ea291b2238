//! What is printed past the board's console: when there is no board, or no more.

use core::fmt::{self, Write};

use crate::hal::uart;

/// Writes a line to the console.
#[macro_export]
macro_rules! say {
    ($($arg:tt)*) => { $crate::console::line(format_args!($($arg)*)) };
}

/// Writes a line.
pub fn line(text: fmt::Arguments<'_>) {
    // The UART takes everything.
    let _ = Uart.write_fmt(text);
    uart::write(b"\r\n");
}

struct Uart;

impl Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        uart::write(text.as_bytes());
        Ok(())
    }
}
