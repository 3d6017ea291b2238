//! The virtio devices: where they are, their memory and their interrupts.

use core::cell::UnsafeCell;
use core::ops::RangeInclusive;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};

use embassy_sync::waitqueue::AtomicWaker;
use virtio_drivers::transport::mmio::MmioTransport;
use virtio_drivers::transport::{DeviceType, Transport};
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

use super::mmio::Mmio;

/// The numbers of the slots at the interrupt controller; the first slot has the first.
pub const INTERRUPTS: RangeInclusive<u32> = 1..=8;

/// Is woken at each interrupt of any device.
pub static WAKER: AtomicWaker = AtomicWaker::new();

/// The devices of this machine.
pub struct Devices {
    /// The network card, and its registers.
    pub net: Option<(MmioTransport<'static>, Mmio)>,
    /// The disk.
    pub disk: Option<MmioTransport<'static>>,
}

impl Devices {
    /// Looks into every slot.
    ///
    /// # Safety
    /// Called once.
    pub unsafe fn find() -> Self {
        let mut devices = Self {
            net: None,
            disk: None,
        };
        for source in INTERRUPTS {
            let base = slot(source);
            let header = NonNull::new(base as *mut _).expect("not at zero");
            // SAFETY: a virtio slot is there, and by this function's contract no other transport
            // is made for it.
            let Ok(transport) = (unsafe { MmioTransport::new(header, SLOT) }) else {
                continue;
            };
            match transport.device_type() {
                DeviceType::Network => devices.net = Some((transport, registers(source))),
                DeviceType::Block => devices.disk = Some(transport),
                _ => {}
            }
        }
        devices
    }
}

pub(super) fn handle_interrupt(source: u32) {
    let registers = registers(source);
    let status: u32 = registers.read(INTERRUPT_STATUS);
    registers.write(INTERRUPT_ACKNOWLEDGE, status);
    WAKER.wake();
}

/// Memory for the queues, which is never given back.
pub struct Memory;

// SAFETY: physical addresses are addresses here; pages come from an arena, each once, zeroed,
// aligned, and are never freed.
unsafe impl Hal for Memory {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let first = TAKEN.fetch_add(pages, Ordering::Relaxed);
        assert!(first + pages <= PAGES, "the virtio queues need more pages");
        let page = NonNull::from(&ARENA.0[first]).cast();
        (page.as_ptr() as PhysAddr, page)
    }

    unsafe fn dma_dealloc(_: PhysAddr, _: NonNull<u8>, _: usize) -> i32 {
        0
    }

    unsafe fn mmio_phys_to_virt(_: PhysAddr, _: usize) -> NonNull<u8> {
        unreachable!("only for PCI")
    }

    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        buffer.cast::<u8>().as_ptr() as PhysAddr
    }

    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}

fn slot(source: u32) -> usize {
    0x1000_0000 + SLOT * source as usize
}

fn registers(source: u32) -> Mmio {
    // SAFETY: a virtio slot is there. What reaches memory through it are the queues' addresses,
    // which are written by the drivers of `virtio_drivers`.
    unsafe { Mmio::new(slot(source), SLOT) }
}

#[repr(C, align(4096))]
struct Page(UnsafeCell<[u8; PAGE_SIZE]>);

struct Arena([Page; PAGES]);

// SAFETY: each page is handed out once, and not accessed here.
unsafe impl Sync for Arena {}

static ARENA: Arena = Arena([const { Page(UnsafeCell::new([0; PAGE_SIZE])) }; PAGES]);
static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// Two for each queue: the network card has two queues, the disk one.
const PAGES: usize = 6;
const SLOT: usize = 0x1000;
const INTERRUPT_STATUS: usize = 0x60;
const INTERRUPT_ACKNOWLEDGE: usize = 0x64;
