//! Déclic in QEMU's riscv32 machine `virt`: the wiring between virtual hardware and
//! [`declic_board::Board`].
#![no_std]
#![no_main]

mod board_task;
mod console;
mod hal;
mod restart;

use declic_board::flash::Loaded;
use declic_board::{Board, BoardId, Settings, SettingsStore, Start, Storage, StoreError};
use declic_glue::{Buffers, Owner, Wishes, clock, net};
use embassy_executor::Spawner;
use embassy_net::{Runner, Stack, StackResources};
use embedded_storage_async::nor_flash::ReadNorFlash as _;
use static_cell::StaticCell;

use crate::board_task::Virt;
use crate::hal::flash::Flash;
use crate::hal::net_device::NetDevice;
use crate::hal::time_driver::{self, ClockStart};
use crate::hal::virtio::Devices;
use crate::hal::{handover, interrupts, uart};

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    time_driver::start(clock_start());
    uart::open();
    interrupts::enable();
    let (reason, kept) = restart::reason();
    if kept.is_some() {
        console::pressed().await;
    }

    // SAFETY: this is the only place.
    let devices = unsafe { Devices::find() };
    let net = devices.net;
    let Some(device) =
        net.and_then(|(transport, registers)| NetDevice::start(transport, registers))
    else {
        return say!("there is no network card");
    };
    let flash = devices.disk.and_then(Flash::new);
    // All of it is for the settings.
    let mut store = flash.and_then(|flash| {
        let partition = 0..flash.capacity() as u32;
        SettingsStore::new(flash, partition).ok()
    });
    let (settings, loaded) = load(store.as_mut(), factory_settings());
    let start = Start {
        // Waking is no start.
        boots: store
            .as_mut()
            .filter(|_| kept.is_none())
            .and_then(|store| store.count_boot().ok()),
        light: store
            .as_mut()
            .and_then(|store| store.light().ok().flatten()),
        pressed: kept.is_some(),
        kept,
        can_sleep: true,
        settings: loaded,
        ..Start::new("QEMU riscv32", reason)
    };

    let id = BoardId::new(device.mac());
    static RESOURCES: StaticCell<StackResources<3>> = StaticCell::new();
    let resources = RESOURCES.init(StackResources::new());
    let addresses = net::addresses(&settings, id);
    let (stack, runner) = embassy_net::new(device, addresses, resources, seed(id));
    spawner.spawn(run_stack(runner).expect(ONCE));
    spawner.spawn(watch_address(stack).expect(ONCE));

    static STORAGE: StaticCell<Storage> = StaticCell::new();
    let memory = STORAGE.init_with(Storage::new).memory();
    static OWNER: StaticCell<Owner<Virt>> = StaticCell::new();
    let owner = OWNER.init_with(|| Owner {
        board: Board::new(id, settings, seed(id), memory),
        store,
        stack,
        machine: Virt::default(),
        wishes: Wishes::default(),
    });
    owner.board.handle_start(start, clock::now());
    static BUFFERS: StaticCell<Buffers> = StaticCell::new();
    let buffers = BUFFERS.init_with(Buffers::new);
    spawner.spawn(board_task::run(owner, buffers).expect(ONCE));
}

#[embassy_executor::task]
async fn run_stack(mut runner: Runner<'static, NetDevice>) -> ! {
    runner.run().await
}

#[embassy_executor::task]
async fn watch_address(stack: Stack<'static>) -> ! {
    net::watch_address(stack).await
}

/// The defaults, and over them what was handed over.
fn factory_settings() -> Settings {
    let mut settings = Settings::default();
    for (key, value) in handed_over().filter(|(key, _)| !key.starts_with(CLOCK)) {
        if let Err(error) = settings.set(key, value) {
            say!("{error}");
        }
    }
    settings
}

/// The stored settings, and those that are given for what is missing or broken.
fn load(
    store: Option<&mut SettingsStore<Flash>>,
    factory: Settings,
) -> (Settings, Result<Loaded, StoreError>) {
    let mut settings = factory.clone();
    match store.map(|store| store.load(&mut settings)) {
        Some(Err(error)) => (factory, Err(error)),
        Some(Ok(loaded)) => (settings, Ok(loaded)),
        None => (factory, Ok(Loaded::default())),
    }
}

/// Where the clock starts, for tests of its wraps, if that was handed over: `clock-start` and
/// `clock-step` in microseconds, `clock-ticks` of the machine's own counter.
fn clock_start() -> ClockStart {
    let mut start = ClockStart {
        micros: 0,
        micros_per_step: 1,
        ticks: None,
    };
    for (key, value) in handed_over() {
        match (key.strip_prefix(CLOCK), value.parse()) {
            (Some("start"), Ok(value)) => start.micros = value,
            (Some("step"), Ok(1000)) => start.micros_per_step = 1000,
            (Some("ticks"), Ok(value)) => start.ticks = Some(value),
            _ => {}
        }
    }
    start
}

/// What QEMU's command line hands over: a line `KEY VALUE` for each thing.
fn handed_over() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = handover::text().lines().filter(|line| !line.is_empty());
    lines.map(|line| line.split_once(' ').unwrap_or((line, "")))
}

/// The machine has no source of random numbers: who it is and when it came so far must do.
fn seed(id: BoardId) -> u64 {
    let mac = id.as_bytes().iter();
    mac.fold(time_driver::uptime().as_nanos() as u64, |seed, byte| {
        (seed ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

const CLOCK: &str = "clock-";

/// Every task is spawned at one place that runs once.
const ONCE: &str = "each task is spawned once";
