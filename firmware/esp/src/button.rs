//! The button's pin: an interrupt notes each edge with its time, so nothing the rest of the program
//! does can delay or lose a press.

use core::cell::RefCell;

use critical_section::Mutex;
use declic_mqtt::Instant;
use esp_hal::gpio::{AnyPin, Event, Input, InputConfig, Io, Level, Pull, WakeupConfig};
use esp_hal::peripherals::{IO_MUX, LPWR};
use esp_hal::rtc_cntl::sleep::{LowPower, RtcSleepConfig};
use heapless::Deque;

use declic_glue::{clock, wake};

/// The contact has this state since that time.
#[derive(Clone, Copy)]
pub struct Edge {
    pub closed: bool,
    pub at: Instant,
}

/// Sleeps until the contact on `pin` closes; not at all while it is closed. Deep sleep does not
/// return: the chip starts again. It needs a pin that works without the rest of the chip; with any
/// other it is light sleep, which takes ten to a hundred times the current.
pub fn sleep(pin: AnyPin<'_>, active_low: bool, lpwr: LPWR<'_>) {
    let mut input = input(pin, active_low);
    let low_power = WakeupConfig::default().with_low_power_path(true);
    let can_be_deep = input.apply_wakeup_config(&low_power).is_ok();
    input.listen(if active_low {
        Event::LowLevel
    } else {
        Event::HighLevel
    });
    let mut power = LowPower::new(lpwr);
    // An interrupt that nothing handles would come again and again.
    critical_section::with(|_| {
        if can_be_deep {
            #[cfg_attr(feature = "esp32c6", expect(unused_mut))]
            let mut config = RtcSleepConfig::deep();
            // What the board kept lies there. On the ESP32-C6 it always lasts.
            #[cfg(not(feature = "esp32c6"))]
            config.set_rtc_fastmem_pd_en(false);
            power.sleep_deep_with_rejection(config);
        } else {
            power.sleep_light(RtcSleepConfig::default());
        }
        input.unlisten();
        input.clear_interrupt();
    });
}

fn input(pin: AnyPin<'_>, active_low: bool) -> Input<'_> {
    let pull = if active_low { Pull::Up } else { Pull::Down };
    Input::new(pin, InputConfig::default().with_pull(pull))
}

/// Starts watching `pin`. Call it once.
pub fn start(pin: AnyPin<'static>, active_low: bool, io_mux: IO_MUX<'static>) {
    let input = input(pin, active_low);
    Io::new(io_mux).set_interrupt_handler(on_edge);
    critical_section::with(|cs| {
        let mut contact = Contact {
            input,
            closed_level: Level::from(!active_low),
            edges: Deque::new(),
        };
        // What it is at the start, before any edge.
        contact.note();
        contact.input.listen(Event::AnyEdge);
        *CONTACT.borrow_ref_mut(cs) = Some(contact);
    });
}

/// The oldest edge that was not taken yet.
pub fn take_edge() -> Option<Edge> {
    critical_section::with(|cs| CONTACT.borrow_ref_mut(cs).as_mut()?.edges.pop_front())
}

struct Contact {
    input: Input<'static>,
    closed_level: Level,
    edges: Deque<Edge, 16>,
}

impl Contact {
    fn note(&mut self) {
        let edge = Edge {
            closed: self.input.level() == self.closed_level,
            at: clock::now(),
        };
        if self.edges.push_back(edge).is_err() {
            // More edges than can be kept: the debouncing needs the last level and when it came.
            // Of bouncing in the middle nothing is lost that would count.
            let _ = self.edges.pop_back();
            let _ = self.edges.push_back(edge);
        }
    }
}

#[esp_hal::handler]
fn on_edge() {
    critical_section::with(|cs| {
        if let Some(contact) = CONTACT.borrow_ref_mut(cs).as_mut()
            && contact.input.is_interrupt_set()
        {
            contact.input.clear_interrupt();
            contact.note();
        }
    });
    wake::board();
}

static CONTACT: Mutex<RefCell<Option<Contact>>> = Mutex::new(RefCell::new(None));
