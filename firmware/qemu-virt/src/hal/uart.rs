//! The 16550 UART, which is QEMU's standard input and output.

use declic_glue::wake;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::pipe::Pipe;

use super::mmio::Mmio;

/// Its number at the interrupt controller.
pub const INTERRUPT: u32 = 10;

/// Lets typed bytes come. Call it once, at the start.
pub fn open() {
    UART.write(FIFO_CONTROL, 1_u8);
    UART.write(INTERRUPT_ENABLE, RECEIVED);
}

/// Writes bytes. It waits while QEMU can't pass them on, which it does not do for long: what nobody
/// reads in time is lost.
pub fn write(bytes: &[u8]) {
    for byte in bytes {
        while UART.read::<u8>(LINE_STATUS) & TRANSMIT_EMPTY == 0 {}
        UART.write(DATA, *byte);
    }
}

/// Takes typed bytes.
pub fn read(buffer: &mut [u8]) -> usize {
    let len = TYPED.try_read(buffer).unwrap_or(0);
    // There is room again for those that wait in the UART, and behind it in QEMU.
    UART.write(INTERRUPT_ENABLE, RECEIVED);
    len
}

/// Takes what came, as much as there is room for.
pub(super) fn handle_interrupt() {
    while UART.read::<u8>(LINE_STATUS) & RECEIVED != 0 {
        if TYPED.is_full() {
            UART.write(INTERRUPT_ENABLE, 0_u8);
            break;
        }
        // Can't fail: there is room.
        let _ = TYPED.try_write(&[UART.read(DATA)]);
    }
    wake::board();
}

static TYPED: Pipe<CriticalSectionRawMutex, 256> = Pipe::new();

// SAFETY: the machine's UART; it touches no memory.
const UART: Mmio = unsafe { Mmio::new(0x1000_0000, 8) };
const DATA: usize = 0;
const INTERRUPT_ENABLE: usize = 1;
const FIFO_CONTROL: usize = 2;
const LINE_STATUS: usize = 5;
/// In both the interrupts and the line's status.
const RECEIVED: u8 = 1;
const TRANSMIT_EMPTY: u8 = 1 << 5;
