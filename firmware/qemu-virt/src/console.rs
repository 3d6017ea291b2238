//! What is printed past the board's console: when there is no board, or no more.

use core::fmt::{self, Write};

use declic_glue::wake;
use heapless::String;

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

/// Waits until the button is pressed, with nothing else running: until `press` is typed.
pub async fn pressed() {
    line(format_args!("asleep; press wakes the board"));
    let mut typed = String::<8>::new();
    loop {
        let mut byte = [0];
        while uart::read(&mut byte) == 1 {
            match byte[0] {
                b'\r' | b'\n' if typed == "press" => return,
                b'\r' | b'\n' => typed.clear(),
                // Of a line that is too long only the beginning counts: it is another one.
                other => drop(typed.push(other.into())),
            }
        }
        wake::wait().await;
    }
}

struct Uart;

impl Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        uart::write(text.as_bytes());
        Ok(())
    }
}
