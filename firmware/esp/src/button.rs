//! The button's pin: an interrupt notes each edge with its time, so nothing the rest of the program
//! does can delay or lose a press.

use core::cell::RefCell;

use critical_section::Mutex;
use declic_mqtt::Instant;
use esp_hal::gpio::{AnyPin, Event, Input, InputConfig, Io, Level, Pull};
use esp_hal::peripherals::IO_MUX;
use heapless::Deque;

use declic_glue::{clock, wake};

/// The contact has this state since that time.
#[derive(Clone, Copy)]
pub struct Edge {
    pub closed: bool,
    pub at: Instant,
}

/// Starts watching `pin`. Call it once.
pub fn start(pin: AnyPin<'static>, active_low: bool, io_mux: IO_MUX<'static>) {
    let pull = if active_low { Pull::Up } else { Pull::Down };
    let input = Input::new(pin, InputConfig::default().with_pull(pull));
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
