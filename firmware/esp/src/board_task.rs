//! What is particular about the board on a chip.

use declic_board::{Board, Effect, FoundNetwork, Measured};
use declic_glue::{Buffers, Ending, Machine, Owner, clock};
use embassy_embedded_hal::adapter::BlockingAsync;
use embassy_net::Ipv4Address;
use esp_storage::FlashStorage;

use crate::led::Led;
use crate::report::{self, Report};
use crate::watchdog::{self, Part};
use crate::{button, console, net, restart};

/// The chip with what is connected to it.
pub struct Chip {
    led: Led,
    measured: Measured,
    /// Another network is being joined: an address that is there now is not one of it.
    joining: bool,
    /// A report that the board had no room for yet.
    held: Option<Report>,
}

#[embassy_executor::task]
pub async fn run(owner: &'static mut Owner<Chip>, buffers: &'static mut Buffers) -> ! {
    owner.run(buffers).await
}

impl Chip {
    /// With that LED.
    pub fn new(led: Led) -> Self {
        Self {
            led,
            measured: Measured::default(),
            joining: false,
            held: None,
        }
    }

    /// Deals with what another task says; gives it back if the board has no room for it now.
    fn hear(&mut self, board: &mut Board<'static>, report: Report) -> Option<Report> {
        match &report {
            Report::Log(level, text) => board.log(*level, format_args!("{text}"), clock::now()),
            Report::Signal(rssi) => {
                self.measured.rssi = *rssi;
                let measured = self.measure(self.measured.address);
                board.handle_measured(measured, clock::now());
            }
            Report::Network {
                ssid,
                rssi,
                channel,
                security,
            } => {
                let network = FoundNetwork {
                    ssid,
                    rssi: *rssi,
                    channel: *channel,
                    security,
                };
                if !board.handle_network(&network) {
                    return Some(report);
                }
            }
            Report::Joined => self.joining = false,
            Report::Scanned(result) => board.handle_scanned(*result, clock::now()),
        }
        None
    }
}

impl Machine for Chip {
    type Flash = BlockingAsync<FlashStorage<'static>>;

    fn feed(&mut self, board: &mut Board<'static>) {
        watchdog::alive(Part::Board);
        while let Some(edge) = button::take_edge() {
            board.handle_level(edge.closed, edge.at);
        }
        while let Some(report) = self.held.take().or_else(report::take) {
            self.held = self.hear(board, report);
            if self.held.is_some() {
                break;
            }
        }
    }

    fn measure(&mut self, address: Option<Ipv4Address>) -> Measured {
        self.measured.address = address;
        self.measured.free_memory = u32::try_from(esp_alloc::HEAP.free()).ok();
        self.measured
    }

    fn is_joining(&self) -> bool {
        self.joining
    }

    fn typed(&mut self, space: &mut [u8]) -> usize {
        console::typed(space)
    }

    fn print(&mut self, bytes: &[u8]) -> usize {
        console::print(bytes)
    }

    fn is_drained(&self) -> bool {
        console::is_drained()
    }

    fn carry_out(&mut self, board: &mut Board<'static>, effect: Effect) {
        match effect {
            Effect::SetLed(on) => self.led.set(on),
            Effect::Scan => net::scan(),
            Effect::JoinWifi => {
                // The address goes with the board's next turn.
                self.joining = true;
                net::join(net::station(board.edited()));
            }
            _ => {}
        }
    }

    /// A chip is not switched off by its program.
    fn end(&mut self, ending: Ending) -> ! {
        match ending {
            Ending::Sleep(kept) => restart::sleep(&kept),
            Ending::Restart | Ending::PowerOff => restart::restart(),
        }
    }
}
