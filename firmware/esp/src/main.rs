//! Déclic on an ESP32 chip: the wiring between the hardware and [`declic_board::Board`].
#![no_std]
#![no_main]

mod board_task;
mod boards;
mod button;
mod console;
mod led;
mod net;
mod pins;
mod report;
mod restart;
mod watchdog;

use declic_board::flash::Loaded;
use declic_board::{
    Backoff, Board, BoardId, Key, LogLevel, RestartReason, Settings, SettingsStore, Start, Storage,
    StoreError,
};
use declic_glue::{Buffers, Owner, Wishes, clock};
use embassy_embedded_hal::adapter::BlockingAsync;
use embassy_executor::Spawner;
use embassy_net::{Runner, Stack, StackResources};
use embedded_storage_async::nor_flash::NorFlash;
use esp_hal::clock::CpuClock;
use esp_hal::efuse::{self, InterfaceMacAddress};
use esp_hal::rng::Rng;
use esp_hal::rtc_cntl::Rtc;
use esp_hal::timer::timg::TimerGroup;
use esp_radio::wifi::{ControllerConfig, Interface, WifiController};
use esp_storage::FlashStorage;
use static_cell::StaticCell;

use crate::board_task::Chip;
use crate::boards::{BoardPins, CHIP, SETTINGS_PARTITION};
use crate::led::Led;
use crate::pins::Pins;
use crate::restart::Cause;

esp_bootloader_esp_idf::esp_app_desc!();

#[esp_rtos::main]
async fn main(spawner: Spawner) {
    let p = esp_hal::init(esp_hal::Config::default().with_cpu_clock(CpuClock::max()));
    // The radio's heap: what the bootloader used, which nothing else can have, and a little more.
    esp_alloc::heap_allocator!(#[esp_hal::ram(reclaimed)] size: 64 * 1024);
    esp_alloc::heap_allocator!(size: 36 * 1024);
    // SAFETY: this is the only place, and no pin is taken from `p`.
    let mut pins = unsafe { Pins::new() };
    let flash = FlashStorage::new(p.FLASH);
    // While the flash is written, the other core must not run from it.
    #[cfg(any(feature = "esp32", feature = "esp32s3"))]
    let flash = flash.multicore_auto_park();
    let mut store = SettingsStore::new(BlockingAsync::new(flash), SETTINGS_PARTITION);
    let mut settings = Settings::default();
    let loaded = load(&mut store, &mut settings);
    let mut store = store.ok();
    let model = BoardPins::new(&settings);
    let mut button = pins.input(model.button);
    let (reason, kept) = match restart::take_cause() {
        Cause::Start(reason) => (reason, None),
        Cause::Woken(kept) => (RestartReason::DeepSleep, Some(kept)),
        Cause::Tired(kept) => {
            if let Some(pin) = &mut button {
                restart::fall_asleep(&kept);
                button::sleep(pin.reborrow(), model.button_active_low, p.LPWR);
                restart::wake_up();
            }
            (RestartReason::DeepSleep, Some(kept))
        }
    };
    let start = Start {
        has_wifi: true,
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
        can_sleep: button.is_some(),
        settings: loaded,
        ..Start::new(CHIP.title, reason)
    };

    esp_rtos::start(TimerGroup::new(p.TIMG0).timer0, p.FROM_CPU_INTR0);
    spawner.spawn(watchdog::run(Rtc::new(p.RTC_TIMER)).expect(ONCE));

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

    let led = pins.output(model.led);
    let problems = [
        settings
            .board()
            .filter(|name| BoardPins::find(name).is_none())
            .map(|_| (Key::Board, "no model of that name has this chip")),
        button.is_none().then_some((Key::ButtonPin, UNUSABLE)),
        led.is_none().then_some((Key::LedPin, UNUSABLE)),
    ];
    if let Some(pin) = button {
        button::start(pin, model.button_active_low, p.IO_MUX);
    }
    let led = led.map_or(Led::None, |pin| Led::new(model.led_kind, pin, p.RMT));

    let mut config = ControllerConfig::default();
    let station = net::station(&settings);
    let has_network = station.is_some();
    if let Some(station) = station {
        config = config.with_initial_config(station);
    }
    let controller = WifiController::new(p.WIFI, config).expect("the radio starts");
    // From here on the radio feeds the generator with noise.
    let rng = Rng::new();
    let random = || u64::from(rng.random()) << 32 | u64::from(rng.random());

    let mac = efuse::interface_mac_address(InterfaceMacAddress::Station);
    let mut id = [0; 6];
    id.copy_from_slice(mac.as_bytes());
    let id = BoardId::new(id);

    static RESOURCES: StaticCell<StackResources<3>> = StaticCell::new();
    let resources = RESOURCES.init(StackResources::new());
    let addresses = declic_glue::net::addresses(&settings, id);
    let (stack, runner) = embassy_net::new(Interface::station(), addresses, resources, random());
    let backoff = Backoff::new(settings.backoff_base(), settings.backoff_cap(), random());
    spawner.spawn(run_stack(runner).expect(ONCE));
    spawner.spawn(watch_address(stack).expect(ONCE));
    spawner.spawn(net::supervise_wifi(controller, stack, has_network, backoff).expect(ONCE));

    static STORAGE: StaticCell<Storage> = StaticCell::new();
    let memory = STORAGE.init_with(Storage::new).memory();
    static OWNER: StaticCell<Owner<Chip>> = StaticCell::new();
    let owner = OWNER.init_with(|| Owner {
        board: Board::new(id, settings, random(), memory),
        store,
        stack,
        machine: Chip::new(led),
        wishes: Wishes::default(),
    });
    owner.board.handle_start(start, clock::now());
    for (key, problem) in problems.into_iter().flatten() {
        let text = format_args!("{key}: {problem}");
        owner.board.log(LogLevel::Error, text, clock::now());
    }
    static BUFFERS: StaticCell<Buffers> = StaticCell::new();
    let buffers = BUFFERS.init_with(Buffers::new);
    spawner.spawn(board_task::run(owner, buffers).expect(ONCE));
}

/// Reads the stored settings; says how they were found. `settings` keeps the defaults for what is
/// missing or broken, and all of them when the flash can't be read.
fn load<F: NorFlash>(
    store: &mut Result<SettingsStore<F>, StoreError>,
    settings: &mut Settings,
) -> Result<Loaded, StoreError> {
    let result = match store {
        Ok(store) => store.load(settings),
        Err(error) => Err(*error),
    };
    if result.is_err() {
        *settings = Settings::default();
    }
    result
}

#[embassy_executor::task]
async fn run_stack(mut runner: Runner<'static, Interface>) -> ! {
    runner.run().await
}

#[embassy_executor::task]
async fn watch_address(stack: Stack<'static>) -> ! {
    declic_glue::net::watch_address(stack).await
}

const UNUSABLE: &str = "that pin can't be used for this";

/// Every task is spawned at one place that runs once.
const ONCE: &str = "each task is spawned once";
