//! Which interrupt goes where: the interrupt controller (PLIC) and the traps.

use riscv::interrupt::Interrupt;
use riscv::register::{mcause, mtval};
use riscv_rt::TrapFrame;

use super::mmio::Mmio;
use super::{time_driver, uart, virtio};

/// Lets interrupts come. Call it once, at the start.
pub fn enable() {
    for source in [uart::INTERRUPT].into_iter().chain(virtio::INTERRUPTS) {
        PLIC.write(PRIORITY + 4 * source as usize, 1_u32);
    }
    let mask = virtio::INTERRUPTS.fold(1 << uart::INTERRUPT, |mask, source| mask | 1_u32 << source);
    PLIC.write(ENABLE, mask);
    PLIC.write(THRESHOLD, 0_u32);
    // SAFETY: the handlers below are in place, and share with the program only what critical
    // sections protect.
    unsafe {
        riscv::register::mie::set_mext();
        riscv::register::mie::set_mtimer();
        riscv::interrupt::enable();
    }
}

#[riscv_rt::core_interrupt(Interrupt::MachineExternal)]
fn external() {
    loop {
        let source: u32 = PLIC.read(CLAIM);
        if source == 0 {
            return;
        } else if source == uart::INTERRUPT {
            uart::handle_interrupt();
        } else {
            virtio::handle_interrupt(source);
        }
        PLIC.write(CLAIM, source);
    }
}

#[riscv_rt::core_interrupt(Interrupt::MachineTimer)]
fn timer() {
    time_driver::handle_interrupt();
}

#[unsafe(export_name = "ExceptionHandler")]
extern "C" fn exception(frame: &TrapFrame) -> ! {
    panic!(
        "exception {} at {:#010x}, value {:#010x}, called from {:#010x}",
        mcause::read().code(),
        riscv::register::mepc::read(),
        mtval::read(),
        frame.ra
    );
}

// SAFETY: the machine's PLIC; it touches no memory.
const PLIC: Mmio = unsafe { Mmio::new(0x0c00_0000, 0x60_0000) };
const PRIORITY: usize = 0;
// Those of hart 0 in machine mode.
const ENABLE: usize = 0x2000;
const THRESHOLD: usize = 0x20_0000;
const CLAIM: usize = 0x20_0004;
