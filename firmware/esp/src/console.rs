//! The serial console's wires: UART0 and, where the chip has it, the USB serial port, both at once.
//!
//! What they mean is the board's business. It puts whole pieces in here when there is room, and takes
//! what was typed when it can; so nothing ever waits for a console.

use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::pipe::Pipe;
use embassy_time::{Duration, with_timeout};
use embedded_io_async::{Read, Write};
use esp_hal::Async;
use esp_hal::gpio::AnyPin;
use esp_hal::peripherals::UART0;
use esp_hal::uart::{Config, Uart, UartRx, UartTx};

use declic_glue::wake;

/// Prints as much as there is room for; returns how many bytes that were. The board is woken when
/// there is room again.
pub fn print(bytes: &[u8]) -> usize {
    OUT.try_write(bytes).unwrap_or(0)
}

/// Whether all that was printed is on its way.
pub fn is_drained() -> bool {
    OUT.is_empty()
}

/// Takes typed bytes, from any of the ports; returns how many.
pub fn typed(space: &mut [u8]) -> usize {
    if space.is_empty() {
        return 0;
    }
    TYPED.try_read(space).unwrap_or(0)
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
        wake::board();
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
            let mut bytes = &buffer[..len];
            while !bytes.is_empty() {
                let taken = TYPED.write(bytes).await;
                bytes = &bytes[taken..];
                wake::board();
            }
        }
    }
}

static OUT: Pipe<CriticalSectionRawMutex, 256> = Pipe::new();
static TYPED: Pipe<CriticalSectionRawMutex, 64> = Pipe::new();
