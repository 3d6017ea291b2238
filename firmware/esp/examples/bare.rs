//! The bare stack that the firmware's own size is measured against: Wi-Fi, DHCP, a TCP connection, a
//! button by interrupt and a plain LED, and not a line of ours. `cargo xtask firmware --bare`.
#![no_std]
#![no_main]

use core::net::Ipv4Addr;

use embassy_executor::Spawner;
use embassy_net::tcp::TcpSocket;
use embassy_net::{Config, Runner, Stack, StackResources};
use embassy_time::Timer;
use esp_hal::clock::CpuClock;
use esp_hal::gpio::{AnyPin, Input, InputConfig, Level, Output, OutputConfig, Pull};
use esp_hal::timer::timg::TimerGroup;
use esp_println::println;
use esp_radio::wifi::sta::StationConfig;
use esp_radio::wifi::{AuthenticationMethodConfig, ControllerConfig, Interface, WifiController};
use static_cell::StaticCell;

esp_bootloader_esp_idf::esp_app_desc!();

#[panic_handler]
fn on_panic(info: &core::panic::PanicInfo<'_>) -> ! {
    println!("{info}");
    esp_hal::system::software_reset()
}

#[esp_rtos::main]
async fn main(spawner: Spawner) {
    let p = esp_hal::init(esp_hal::Config::default().with_cpu_clock(CpuClock::max()));
    esp_alloc::heap_allocator!(#[esp_hal::ram(reclaimed)] size: 64 * 1024);
    esp_alloc::heap_allocator!(size: 36 * 1024);
    esp_rtos::start(TimerGroup::new(p.TIMG0).timer0, p.FROM_CPU_INTR0);

    let station = StationConfig::default()
        .with_ssid("network".try_into().unwrap())
        .with_authentication(AuthenticationMethodConfig::Wpa2Personal(
            "password".try_into().unwrap(),
        ));
    let station = esp_radio::wifi::Config::Station(station);
    let config = ControllerConfig::default().with_initial_config(station);
    let controller = WifiController::new(p.WIFI, config).unwrap();

    static RESOURCES: StaticCell<StackResources<3>> = StaticCell::new();
    let resources = RESOURCES.init(StackResources::new());
    let addresses = Config::dhcpv4(Default::default());
    let (stack, runner) = embassy_net::new(Interface::station(), addresses, resources, 1);
    spawner.spawn(run_stack(runner).unwrap());
    spawner.spawn(stay_joined(controller).unwrap());
    spawner.spawn(press_and_light(stack).unwrap());
}

#[embassy_executor::task]
async fn run_stack(mut runner: Runner<'static, Interface>) -> ! {
    runner.run().await
}

#[embassy_executor::task]
async fn stay_joined(mut controller: WifiController<'static>) -> ! {
    loop {
        if controller.connect_async().await.is_ok() {
            let _ = controller.wait_for_disconnect_async().await;
        }
        Timer::after_secs(1).await;
    }
}

#[embassy_executor::task]
async fn press_and_light(stack: Stack<'static>) -> ! {
    // SAFETY: each pin is taken once.
    let (button, led) = unsafe { (AnyPin::steal(9), AnyPin::steal(8)) };
    let mut button = Input::new(button, InputConfig::default().with_pull(Pull::Up));
    let mut led = Output::new(led, Level::Low, OutputConfig::default());
    static RECEIVE: StaticCell<[u8; 1536]> = StaticCell::new();
    static SEND: StaticCell<[u8; 1536]> = StaticCell::new();
    let (receive, send) = (RECEIVE.init([0; 1536]), SEND.init([0; 1536]));
    let mut socket = TcpSocket::new(stack, receive, send);
    loop {
        stack.wait_config_up().await;
        println!("{:?}", stack.config_v4().map(|config| config.address));
        if socket
            .connect((Ipv4Addr::new(192, 168, 1, 20), 1883))
            .await
            .is_ok()
        {
            loop {
                button.wait_for_falling_edge().await;
                let mut answer = [0; 16];
                if socket.write(b"press").await.is_err() || socket.read(&mut answer).await.is_err()
                {
                    break;
                }
                led.toggle();
            }
        }
        socket.abort();
        let _ = socket.flush().await;
        Timer::after_secs(1).await;
    }
}
