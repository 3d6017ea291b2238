//! Déclic on an ESP32 chip: the wiring between the hardware and [`declic_board::Board`].
#![no_std]
#![no_main]

mod board_task;
mod boards;
mod button;
mod clock;
mod commands;
mod console;
mod hardware;
mod led;
mod net;
mod pins;
mod restart;
mod storage;
mod wake;
mod watchdog;

use declic_board::{Backoff, Board, BoardId, Settings, Storage};
use embassy_executor::Spawner;
use embassy_net::StackResources;
use esp_hal::clock::CpuClock;
use esp_hal::efuse::{self, InterfaceMacAddress};
use esp_hal::rng::Rng;
use esp_hal::rtc_cntl::Rtc;
use esp_hal::timer::timg::TimerGroup;
use esp_radio::wifi::{ControllerConfig, Interface, WifiController};
use heapless::{String, Vec};
use static_cell::StaticCell;

use crate::board_task::{Buffers, Owner};
use crate::boards::CHIP;
use crate::hardware::Hardware;
use crate::led::Led;
use crate::pins::Pins;
use crate::restart::Reason;
use crate::storage::Store;

esp_bootloader_esp_idf::esp_app_desc!();

#[esp_rtos::main]
async fn main(spawner: Spawner) {
    let p = esp_hal::init(esp_hal::Config::default().with_cpu_clock(CpuClock::max()));
    // The radio's heap: what the bootloader used, which nothing else can have, and a little more.
    esp_alloc::heap_allocator!(#[esp_hal::ram(reclaimed)] size: 64 * 1024);
    esp_alloc::heap_allocator!(size: 24 * 1024);
    esp_rtos::start(TimerGroup::new(p.TIMG0).timer0, p.FROM_CPU_INTR0);
    spawner.spawn(watchdog::run(Rtc::new(p.RTC_TIMER)).expect(ONCE));

    // SAFETY: this is the only place, and no pin is taken from `p`.
    let mut pins = unsafe { Pins::new() };
    console::log_here();
    let (rx, tx) = (pins.input(CHIP.console_rx), pins.output(CHIP.console_tx));
    let usb = {
        #[cfg(not(feature = "esp32"))]
        {
            let (rx, tx) = console::usb::open(p.USB_DEVICE);
            spawner.spawn(console::usb::read(rx).expect(ONCE));
            Some(tx)
        }
        #[cfg(feature = "esp32")]
        None
    };
    if let Some((rx, tx)) = console::uart(p.UART0, rx, tx) {
        spawner.spawn(console::read_uart(rx).expect(ONCE));
        spawner.spawn(console::write_out(tx, usb).expect(ONCE));
    }
    let restart_reason = Reason::take();
    say!("Déclic {} on {}", env!("CARGO_PKG_VERSION"), CHIP.title);
    say!("last restart: {restart_reason}");

    let mut store = Store::new(p.FLASH);
    let (settings, hardware) = load(&mut store);

    let button = hardware.pins.button;
    match pins.input(button) {
        Some(pin) => button::start(pin, hardware.pins.button_active_high, p.IO_MUX),
        None => say!("button-pin: GPIO{button} can't be used"),
    }
    let led = hardware.pins.led;
    let pin = pins.output(led);
    if pin.is_none() {
        say!("led-pin: GPIO{led} can't be used");
    }
    let active_high = hardware.pins.led_active_high;
    let led = Led::new(hardware.pins.led_kind, pin, active_high, p.RMT);

    let mac = efuse::interface_mac_address(InterfaceMacAddress::Station);
    let mut id = [0; 6];
    id.copy_from_slice(mac.as_bytes());
    let id = BoardId::new(id);
    say!("id {id}, role {}", settings.role());

    let station = net::station(&hardware).filter(|_| !hardware.wifi.is_empty());
    if station.is_none() || settings.broker().is_none() {
        say!("This board has no settings yet. Type, with your own names:");
        say!("  set wifi MyNet");
        say!("  set wifi-password secret");
        say!("  set broker 192.168.1.20");
        say!("  set role publisher");
        say!("  save");
        say!("  restart");
    }
    let has_network = station.is_some();
    let mut config = ControllerConfig::default();
    if let Some(station) = station {
        config = config.with_initial_config(station);
    }
    // Without its radio the board still has its console; a restart by the watchdog tries again.
    let Ok(controller) = WifiController::new(p.WIFI, config) else {
        return say!("the radio does not start");
    };
    // From here on the radio feeds the generator with noise.
    let rng = Rng::new();
    let random = || u64::from(rng.random()) << 32 | u64::from(rng.random());

    static RESOURCES: StaticCell<StackResources<3>> = StaticCell::new();
    let resources = RESOURCES.init(StackResources::new());
    let hostname = hostname(id);
    let addresses = net::addresses(&hardware, &hostname);
    let (stack, runner) = embassy_net::new(Interface::station(), addresses, resources, random());
    let backoff = Backoff::new(settings.backoff_base(), settings.backoff_cap(), random());
    spawner.spawn(net::run_stack(runner).expect(ONCE));
    spawner.spawn(net::watch_address(stack).expect(ONCE));
    spawner.spawn(net::supervise_wifi(controller, stack, has_network, backoff).expect(ONCE));

    static STORAGE: StaticCell<Storage> = StaticCell::new();
    let memory = STORAGE.init_with(Storage::new).memory();
    static OWNER: StaticCell<Owner> = StaticCell::new();
    let owner = OWNER.init_with(|| Owner {
        board: Board::new(id, settings.clone(), random(), memory),
        settings,
        hardware,
        store,
        led,
        stack,
        address: None,
        restart_reason,
        line: Vec::new(),
        open: false,
        close: false,
    });
    static BUFFERS: StaticCell<Buffers> = StaticCell::new();
    let buffers = BUFFERS.init_with(|| Buffers {
        receive: [0; 1536],
        send: [0; 1536],
    });
    spawner.spawn(board_task::run(owner, buffers).expect(ONCE));
}

/// The stored settings, and the defaults for what is missing or broken.
fn load(store: &mut Store) -> (Settings, Hardware) {
    let (mut settings, mut hardware) = (Settings::default(), Hardware::default());
    let loaded = store.load(|key, value| {
        if settings.set(key, value).is_err() && hardware.set(key, value).is_none() {
            say!("setting {key}: what is stored can't be used");
        }
    });
    if loaded.is_err() {
        say!("the stored settings can't be read: the defaults are used");
    }
    (settings, hardware)
}

/// `declic-` and the last digits of the id, as the router shows it.
fn hostname(id: BoardId) -> String<16> {
    let mut name = String::new();
    let [.., a, b, c] = id.as_bytes();
    // It has room for that.
    let _ = core::fmt::write(&mut name, format_args!("declic-{a:02x}{b:02x}{c:02x}"));
    name
}

/// Every task is spawned at one place that runs once.
const ONCE: &str = "each task is spawned once";
