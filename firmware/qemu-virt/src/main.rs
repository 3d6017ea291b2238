//! Déclic in QEMU's riscv32 machine `virt`: the wiring between virtual hardware and
//! [`declic_board::Board`].
#![no_std]
#![no_main]

mod board_task;
mod clock;
mod commands;
mod console;
mod hal;
mod net;
mod restart;
mod storage;
mod wake;

use declic_board::{Board, BoardId, Settings, Storage};
use embassy_executor::Spawner;
use embassy_net::StackResources;
use heapless::Vec;
use static_cell::StaticCell;

use crate::board_task::{Buffers, Owner};
use crate::hal::flash::Flash;
use crate::hal::net_device::NetDevice;
use crate::hal::time_driver::{self, Start};
use crate::hal::virtio::Devices;
use crate::hal::{handover, interrupts, uart};
use crate::restart::Reason;
use crate::storage::Store;

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    time_driver::start(clock_start());
    uart::open();
    interrupts::enable();
    say!("Déclic {} on QEMU", env!("CARGO_PKG_VERSION"));
    say!("last restart: {}", Reason::take());

    // SAFETY: this is the only place.
    let devices = unsafe { Devices::find() };
    let net = devices.net;
    let Some(device) =
        net.and_then(|(transport, registers)| NetDevice::start(transport, registers))
    else {
        return say!("there is no network card");
    };
    let flash = devices.disk.and_then(Flash::new);
    let mut store = flash.and_then(|flash| Store::new(flash).ok());
    let settings = load(store.as_mut(), factory_settings());

    let id = BoardId::new(device.mac());
    say!("id {id}, role {}", settings.role());
    if settings.broker().is_none() {
        say!("This board has no settings yet. Type, with your own values:");
        say!("  set broker 10.0.2.2");
        say!("  set role publisher");
        say!("  save");
        say!("  restart");
    }

    static RESOURCES: StaticCell<StackResources<3>> = StaticCell::new();
    let resources = RESOURCES.init(StackResources::new());
    let (stack, runner) = embassy_net::new(device, net::addresses(id), resources, seed(id));
    spawner.spawn(net::run_stack(runner).expect(ONCE));
    spawner.spawn(net::watch_address(stack).expect(ONCE));

    static STORAGE: StaticCell<Storage> = StaticCell::new();
    let memory = STORAGE.init_with(Storage::new).memory();
    static OWNER: StaticCell<Owner> = StaticCell::new();
    let owner = OWNER.init_with(|| Owner {
        board: Board::new(id, settings.clone(), seed(id), memory),
        stored: settings.clone(),
        settings,
        store,
        stack,
        address: None,
        line: Vec::new(),
        open: false,
        close: false,
        ending: None,
        stopped: false,
        published: false,
    });
    static BUFFERS: StaticCell<Buffers> = StaticCell::new();
    let buffers = BUFFERS.init_with(|| Buffers {
        receive: [0; 1536],
        send: [0; 1536],
    });
    spawner.spawn(board_task::run(owner, buffers).expect(ONCE));
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
fn load(store: Option<&mut Store>, factory: Settings) -> Settings {
    let Some(store) = store else {
        say!("there is no flash: settings are not kept");
        return factory;
    };
    let mut settings = factory.clone();
    match store.load(&mut settings) {
        Ok(loaded) => {
            if loaded.unreadable {
                say!("the settings were not readable: all have their defaults");
            }
            for key in loaded.broken.iter() {
                say!("{key}: what was stored is broken, so it has its default");
            }
            settings
        }
        Err(error) => {
            say!("{error}: all settings have their defaults");
            factory
        }
    }
}

/// Where the clock starts, for tests of its wraps, if that was handed over: `clock-start` and
/// `clock-step` in microseconds, `clock-ticks` of the machine's own counter.
fn clock_start() -> Start {
    let mut start = Start {
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
