//! Déclic on an ESP32 chip: the wiring between the hardware and [`declic_board::Board`].
#![no_std]
#![no_main]

mod board_task;
mod boards;
mod button;
mod clock;
mod commands;
mod console;
mod led;
mod net;
mod pins;
mod restart;
mod storage;
mod wake;
mod watchdog;

use declic_board::{Backoff, Board, BoardId, KeySet, Settings, Storage};
use embassy_executor::Spawner;
use embassy_net::StackResources;
use esp_hal::clock::CpuClock;
use esp_hal::efuse::{self, InterfaceMacAddress};
use esp_hal::rng::Rng;
use esp_hal::rtc_cntl::Rtc;
use esp_hal::timer::timg::TimerGroup;
use esp_radio::wifi::{ControllerConfig, Interface, WifiController};
use heapless::Vec;
use static_cell::StaticCell;

use crate::board_task::{Buffers, Owner};
use crate::boards::{BoardPins, CHIP};
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
    esp_alloc::heap_allocator!(size: 36 * 1024);
    esp_rtos::start(TimerGroup::new(p.TIMG0).timer0, p.FROM_CPU_INTR0);
    spawner.spawn(watchdog::run(Rtc::new(p.RTC_TIMER)).expect(ONCE));

    // SAFETY: this is the only place, and no pin is taken from `p`.
    let mut pins = unsafe { Pins::new() };
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

    let mut store = Store::new(p.FLASH).expect("the partition table is right");
    let (settings, stored) = load(&mut store);

    let board = BoardPins::new(&settings);
    let button = board.button;
    match pins.input(button) {
        Some(pin) => button::start(pin, board.button_active_low, p.IO_MUX),
        None => say!("button-pin: GPIO{button} can't be used"),
    }
    let led = match pins.output(board.led) {
        Some(pin) => Led::new(board.led_kind, pin, p.RMT),
        None => {
            say!("led-pin: GPIO{} can't be used", board.led);
            Led::None
        }
    };

    let mac = efuse::interface_mac_address(InterfaceMacAddress::Station);
    let mut id = [0; 6];
    id.copy_from_slice(mac.as_bytes());
    let id = BoardId::new(id);
    say!("id {id}, role {}", settings.role());

    let station = net::station(&settings);
    if station.is_none() || settings.broker().is_none() {
        say!("This board has no settings yet. Type, with your own names:");
        say!("  set wifi-ssid MyNet");
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
    let own_name = id.host_name();
    let addresses = net::addresses(&settings, settings.host_name().unwrap_or(&own_name));
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
        stored,
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

/// The stored settings, with the defaults for what is missing or broken.
fn load(store: &mut Store) -> (Settings, KeySet) {
    let mut settings = Settings::default();
    match store.load(&mut settings) {
        Ok(loaded) => {
            if loaded.unreadable {
                say!("the settings were not readable: all have their defaults");
            }
            for key in loaded.broken.iter() {
                say!("{key}: what was stored is broken, so it has its default");
            }
            (settings, loaded.found)
        }
        Err(error) => {
            say!("{error}: all settings have their defaults");
            (Settings::default(), KeySet::EMPTY)
        }
    }
}

/// Every task is spawned at one place that runs once.
const ONCE: &str = "each task is spawned once";
