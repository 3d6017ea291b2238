//! What is particular about the board in QEMU: its pins are lines on the console.

use declic_board::improv::{Parser, Taken};
use declic_board::{Board, Effect, LogLevel, Measured, Notice, ScanError};
use declic_glue::{Buffers, Ending, Machine, Owner, clock};
use embassy_net::Ipv4Address;

use crate::hal::flash::Flash;
use crate::hal::{machine, time_driver, uart};
use crate::restart;

/// QEMU's machine.
#[derive(Default)]
pub struct Virt {
    /// Whether Ctrl-D was typed.
    leaving: Leaving,
    /// Tells what is typed from frames of Improv Wi-Fi, which may hold any byte.
    frames: Parser<0>,
    /// Whether the first publish was logged.
    published: bool,
    /// Whether the board knows that the contact is open, which may have woken it.
    is_open: bool,
}

#[derive(Default, PartialEq, Eq)]
enum Leaving {
    #[default]
    No,
    /// The board is to be told.
    Asked,
    /// What follows when the board has stopped.
    Told,
}

#[embassy_executor::task]
pub async fn run(owner: &'static mut Owner<Virt>, buffers: &'static mut Buffers) -> ! {
    owner.run(buffers).await
}

impl Machine for Virt {
    type Flash = Flash;

    fn feed(&mut self, board: &mut Board<'static>) {
        if !self.is_open {
            self.is_open = true;
            board.handle_level(false, clock::now());
        }
        if self.leaving == Leaving::Asked {
            self.leaving = Leaving::Told;
            board.shut_down(clock::now());
        }
    }

    fn measure(&mut self, address: Option<Ipv4Address>) -> Measured {
        Measured {
            address,
            ..Measured::default()
        }
    }

    fn typed(&mut self, space: &mut [u8]) -> usize {
        let len = uart::read(space);
        for byte in &space[..len] {
            if self.frames.take(*byte) == Taken::Text && *byte == CTRL_D {
                self.leaving = Leaving::Asked;
            }
        }
        len
    }

    fn print(&mut self, bytes: &[u8]) -> usize {
        uart::write(bytes);
        bytes.len()
    }

    fn is_drained(&self) -> bool {
        true
    }

    fn carry_out(&mut self, board: &mut Board<'static>, effect: Effect) {
        match effect {
            Effect::SetLed(on) => {
                let text = format_args!("led {}", if on { "ON" } else { "OFF" });
                board.log(LogLevel::Info, text, clock::now());
            }
            Effect::Scan => board.handle_scanned(Err(ScanError::NoWifi), clock::now()),
            _ => {}
        }
    }

    fn notice(&mut self, notice: Notice) -> Option<Ending> {
        (notice == Notice::Stopped && self.leaving == Leaving::Told).then_some(Ending::PowerOff)
    }

    fn transmitted(&mut self, board: &mut Board<'static>) {
        if board.is_connected() && !self.published {
            self.published = true;
            let uptime = time_driver::uptime().as_millis();
            let text = format_args!("first publish {uptime} ms after the start");
            board.log(LogLevel::Info, text, clock::now());
        }
    }

    fn end(&mut self, ending: Ending) -> ! {
        match ending {
            Ending::Restart => restart::restart(),
            Ending::PowerOff => machine::power_off(),
            Ending::Sleep(kept) => restart::sleep(&kept),
        }
    }
}

/// Ends the machine, when the board has said goodbye.
const CTRL_D: u8 = 0x04;
