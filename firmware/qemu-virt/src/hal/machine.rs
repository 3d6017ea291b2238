//! The `sifive_test` device: ends the machine, or restarts it.

use super::mmio::Mmio;

/// Ends QEMU with exit code 0.
pub fn power_off() -> ! {
    end(0x5555)
}

/// Restarts the machine.
pub fn reset() -> ! {
    end(0x7777)
}

fn end(command: u32) -> ! {
    TEST.write(0, command);
    loop {
        riscv::asm::wfi();
    }
}

// SAFETY: the machine's `sifive_test` device; it touches no memory.
const TEST: Mmio = unsafe { Mmio::new(0x10_0000, 0x1000) };
