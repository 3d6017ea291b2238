//! The network card as a driver for embassy-net.

use core::cell::RefCell;
use core::task::Context;

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
use heapless::Vec;
use static_cell::ConstStaticCell;
use virtio_drivers::device::net::VirtIONetRaw;
use virtio_drivers::transport::mmio::MmioTransport;

use super::mmio::Mmio;
use super::virtio::{Memory, WAKER};

/// The network card.
pub struct NetDevice {
    mac: [u8; 6],
    registers: Mmio,
    queues: RefCell<Queues>,
}

impl NetDevice {
    /// Starts the card; `None` if it does not start, or was started before.
    pub fn start(transport: MmioTransport<'static>, registers: Mmio) -> Option<Self> {
        static FRAMES: ConstStaticCell<[Frame; RECEIVE + TRANSMIT]> =
            ConstStaticCell::new([const { Frame([0; _]) }; RECEIVE + TRANSMIT]);

        let card = VirtIONetRaw::new(transport).ok()?;
        let mac = card.mac_address();
        let mut queues = Queues {
            card,
            receiving: [const { None }; QUEUE],
            free: Vec::new(),
            transmitting: [const { None }; QUEUE],
        };
        let (receive, transmit) = FRAMES.try_take()?.split_at_mut(RECEIVE);
        queues.free.extend(transmit);
        receive
            .iter_mut()
            .for_each(|frame| queues.give_for_receiving(frame));
        queues.card.enable_interrupts();
        Some(Self {
            mac,
            registers,
            queues: RefCell::new(queues),
        })
    }

    /// The card's address.
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }
}

/// The card and its frames. A frame is either free, or with the card under the number that the card
/// gave it.
struct Queues {
    card: VirtIONetRaw<Memory, MmioTransport<'static>, QUEUE>,
    receiving: [Option<&'static mut Frame>; QUEUE],
    free: Vec<&'static mut Frame, TRANSMIT>,
    /// With the length that is sent.
    transmitting: [Option<(&'static mut Frame, usize)>; QUEUE],
}

impl Queues {
    fn give_for_receiving(&mut self, frame: &'static mut Frame) {
        // SAFETY: the frame lives for ever, and nobody looks at it before `received` takes it out.
        let token = unsafe { self.card.receive_begin(&mut frame.0) };
        let token = token.expect("the queue has room for every frame");
        self.receiving[usize::from(token)] = Some(frame);
    }

    /// Takes a received frame out of the queue, and says where its packet is.
    fn received(&mut self, token: u16) -> (&'static mut Frame, core::ops::Range<usize>) {
        let frame = self.receiving[usize::from(token)].take().expect(OURS);
        // SAFETY: it is the frame that was given under this token.
        let lens = unsafe { self.card.receive_complete(token, &mut frame.0) };
        let (header, len) = lens.unwrap_or((0, 0));
        (frame, header..header + len)
    }

    /// Takes back the frames that are sent.
    fn reclaim(&mut self) {
        while let Some(token) = self.card.poll_transmit() {
            let sent = self.transmitting[usize::from(token)].take();
            let (frame, len) = sent.expect(OURS);
            // SAFETY: it is the slice that was given under this token.
            let _ = unsafe { self.card.transmit_complete(token, &frame.0[..len]) };
            // There is room: it was taken from here.
            let _ = self.free.push(frame);
        }
    }

    fn transmit<R>(&mut self, len: usize, fill: impl FnOnce(&mut [u8]) -> R) -> R {
        let frame = self.free.pop().expect("there is one for each token");
        let header = self.card.fill_buffer_header(&mut frame.0);
        let header = header.expect("a frame is longer than a header");
        let end = header + len;
        let result = fill(&mut frame.0[header..end]);
        // SAFETY: the frame lives for ever, and nobody looks at it before `reclaim` takes it out.
        match unsafe { self.card.transmit_begin(&frame.0[..end]) } {
            Ok(token) => self.transmitting[usize::from(token)] = Some((frame, end)),
            // Lost, as a packet can be.
            Err(_) => drop(self.free.push(frame)),
        }
        result
    }
}

impl Driver for NetDevice {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Transmit<'a>;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Received<'_>, Transmit<'_>)> {
        WAKER.register(cx.waker());
        let queues = self.queues.get_mut();
        queues.reclaim();
        let token = queues.card.poll_receive()?;
        let ready = !queues.free.is_empty();
        let queues = &self.queues;
        ready.then_some((Received { queues, token }, Transmit { queues }))
    }

    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<Transmit<'_>> {
        WAKER.register(cx.waker());
        let queues = self.queues.get_mut();
        queues.reclaim();
        let ready = !queues.free.is_empty();
        ready.then_some(Transmit {
            queues: &self.queues,
        })
    }

    fn link_state(&mut self, cx: &mut Context<'_>) -> LinkState {
        WAKER.register(cx.waker());
        let status: u16 = self.registers.read(STATUS);
        if status & LINK_UP == 0 {
            LinkState::Down
        } else {
            LinkState::Up
        }
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = 1514;
        capabilities.max_burst_size = Some(1);
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.mac)
    }
}

/// A received packet.
pub struct Received<'a> {
    queues: &'a RefCell<Queues>,
    token: u16,
}

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, take: F) -> R {
        let (frame, packet) = self.queues.borrow_mut().received(self.token);
        let result = take(frame.0.get_mut(packet).unwrap_or_default());
        self.queues.borrow_mut().give_for_receiving(frame);
        result
    }
}

/// Room to send a packet.
pub struct Transmit<'a> {
    queues: &'a RefCell<Queues>,
}

impl TxToken for Transmit<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        self.queues.borrow_mut().transmit(len, fill)
    }
}

/// A packet behind the card's own header.
struct Frame([u8; 1536]);

const RECEIVE: usize = 4;
const TRANSMIT: usize = 4;
const QUEUE: usize = 8;
/// In the card's configuration, behind its address.
const STATUS: usize = 0x106;
const LINK_UP: u16 = 1;
const OURS: &str = "the card gives back what it was given";
