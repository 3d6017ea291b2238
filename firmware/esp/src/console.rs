//! The serial console: UART0 and, where the chip has it, the USB serial port, both at once.
//!
//! Nothing ever waits for a console. What is printed goes into a buffer, and when that is full it is
//! left out and counted; what is typed waits until the board's task looks for it.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU32, Ordering};

use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::pipe::Pipe;
use embassy_time::{Duration, with_timeout};
use embedded_io_async::{Read, Write as _};
use esp_hal::Async;
use esp_hal::gpio::AnyPin;
use esp_hal::peripherals::UART0;
use esp_hal::uart::{Config, Uart, UartRx, UartTx};
use heapless::String;

use crate::wake;

/// Writes a line to the console.
#[macro_export]
macro_rules! say {
    ($($arg:tt)*) => { $crate::console::line(format_args!($($arg)*)) };
}

/// Writes a line, or leaves it out when there is no room.
pub fn line(text: fmt::Arguments<'_>) {
    let mut line = Line(String::new());
    // A line that is too long is cut.
    let _ = line.write_fmt(text);
    let _ = line.0.push_str(END);
    let left_out = LEFT_OUT.load(Ordering::Relaxed);
    if OUT.free_capacity() < line.0.len() + if left_out > 0 { GAP.len() } else { 0 } {
        LEFT_OUT.store(left_out + 1, Ordering::Relaxed);
        return;
    }
    if left_out > 0 {
        LEFT_OUT.store(0, Ordering::Relaxed);
        let _ = OUT.try_write(GAP);
    }
    let _ = OUT.try_write(line.0.as_bytes());
}

/// Takes typed bytes, from any of the ports.
pub fn typed(buffer: &mut [u8]) -> usize {
    TYPED.try_read(buffer).unwrap_or(0)
}

/// UART0 at 115200 baud; `None` if its pins are taken.
pub fn uart(
    uart: UART0<'static>,
    rx: Option<AnyPin<'static>>,
    tx: Option<AnyPin<'static>>,
) -> Option<(UartRx<'static, Async>, UartTx<'static, Async>)> {
    let uart = Uart::new(uart, Config::default().with_baudrate(115_200)).ok()?;
    Some(uart.with_rx(rx?).with_tx(tx?).into_async().split())
}

#[embassy_executor::task]
pub async fn read_uart(rx: UartRx<'static, Async>) -> ! {
    read(rx).await
}

/// Sends what is printed to the ports.
#[embassy_executor::task]
pub async fn write_out(mut uart: UartTx<'static, Async>, mut usb: Option<usb::Tx>) -> ! {
    let mut chunk = [0; 64];
    let mut usb_listens = true;
    loop {
        let len = OUT.read(&mut chunk).await;
        let _ = uart.write_all(&chunk[..len]).await;
        if let Some(usb) = &mut usb {
            // Without a host that reads, this never ends: then look only now and then.
            let patience = Duration::from_millis(if usb_listens { 50 } else { 1 });
            let written = with_timeout(patience, usb.write_all(&chunk[..len])).await;
            usb_listens = written.is_ok();
        }
    }
}

/// The chip's own USB serial port.
#[cfg(not(feature = "esp32"))]
pub mod usb {
    use esp_hal::Async;
    use esp_hal::peripherals::USB_DEVICE;
    use esp_hal::usb::usb_serial_jtag::{UsbSerialJtag, UsbSerialJtagRx, UsbSerialJtagTx};

    pub type Tx = UsbSerialJtagTx<'static, Async>;
    pub type Rx = UsbSerialJtagRx<'static, Async>;

    pub fn open(device: USB_DEVICE<'static>) -> (Rx, Tx) {
        UsbSerialJtag::new(device).into_async().split()
    }

    #[embassy_executor::task]
    pub async fn read(rx: Rx) -> ! {
        super::read(rx).await
    }
}

/// This chip has no USB serial port of its own.
#[cfg(feature = "esp32")]
pub mod usb {
    pub type Tx = esp_hal::uart::UartTx<'static, esp_hal::Async>;
}

async fn read(mut port: impl Read) -> ! {
    let mut buffer = [0; 32];
    loop {
        // An error is a break or a framing error: noise on the line.
        if let Ok(len) = port.read(&mut buffer).await {
            TYPED.write_all(&buffer[..len]).await;
            wake::board();
        }
    }
}

struct Line(String<LINE>);

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = LINE - END.len() - self.0.len();
        let len = text.floor_char_boundary(room.min(text.len()));
        self.0.push_str(&text[..len]).map_err(|_| fmt::Error)
    }
}

static OUT: Pipe<CriticalSectionRawMutex, 1024> = Pipe::new();
static TYPED: Pipe<CriticalSectionRawMutex, 128> = Pipe::new();
static LEFT_OUT: AtomicU32 = AtomicU32::new(0);
const GAP: &[u8] = b"(some lines were left out)\r\n";
const END: &str = "\r\n";
const LINE: usize = 160;
