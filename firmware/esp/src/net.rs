//! Wi-Fi and TCP/IP: stays in the network for as long as the chip runs.

use core::future::poll_fn;
use core::net::Ipv4Addr;
use core::pin::pin;

use declic_board::{Backoff, LogLevel, ScanError, Settings};
use embassy_futures::select::select;
use embassy_net::dns::DnsQueryType;
use embassy_net::tcp::{State, TcpSocket};
use embassy_net::{
    Config, DhcpConfig, IpAddress, Ipv4Address, Ipv4Cidr, Runner, Stack, StaticConfigV4,
};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::{Duration, Instant, Timer, with_timeout};
use esp_radio::wifi::scan::ScanConfig;
use esp_radio::wifi::sta::StationConfig;
use esp_radio::wifi::{
    AuthenticationMethod, AuthenticationMethodConfig, ConnectionError, DisconnectReason, Interface,
    WifiController,
};

use crate::report::{self, Report};
use crate::wake;
use crate::watchdog::{self, Part};

/// How long joining may take.
const JOIN_LIMIT: Duration = Duration::from_secs(20);

/// How long the network may leave the board without an address before it joins again.
const ADDRESS_LIMIT: Duration = Duration::from_secs(60);

/// How often the strength of the signal is looked up.
const SIGNAL_TIME: Duration = Duration::from_secs(30);

/// Asks the Wi-Fi task for the networks it can hear; it reports them.
pub fn scan() {
    SCAN.signal(());
}

/// The station's settings for the driver; `None` while no network is set.
pub fn station(settings: &Settings) -> Option<esp_radio::wifi::Config> {
    let authentication = match settings.wifi_password() {
        None => AuthenticationMethodConfig::Open,
        // The least that is accepted. The driver joins networks with WPA2 and WPA3 by WPA2; it can
        // do no WPA3 yet.
        Some(password) => AuthenticationMethodConfig::Wpa2Personal(password.try_into().ok()?),
    };
    let station = StationConfig::default()
        .with_ssid(settings.wifi_ssid()?.try_into().ok()?)
        .with_authentication(authentication);
    Some(esp_radio::wifi::Config::Station(station))
}

/// How the board gets its address.
pub fn addresses(settings: &Settings, host_name: &str) -> Config {
    match settings.address() {
        Some((address, prefix)) => {
            let mut dns_servers = heapless::Vec::new();
            let dns = settings.dns().or(settings.gateway());
            // There is room for three.
            let _ = dns.map(|dns| dns_servers.push(dns));
            Config::ipv4_static(StaticConfigV4 {
                address: Ipv4Cidr::new(address, prefix),
                gateway: settings.gateway(),
                dns_servers,
            })
        }
        None => {
            let mut dhcp = DhcpConfig::default();
            dhcp.hostname = host_name.try_into().ok();
            Config::dhcpv4(dhcp)
        }
    }
}

/// The board's address, while it has one.
pub fn address(stack: Stack<'_>) -> Option<Ipv4Address> {
    // A fixed address is there without a network, too.
    let config = stack.config_v4().filter(|_| stack.is_link_up())?;
    Some(config.address.address())
}

#[embassy_executor::task]
pub async fn run_stack(mut runner: Runner<'static, Interface>) -> ! {
    runner.run().await
}

/// Wakes the board when its address comes, goes or changes.
#[embassy_executor::task]
pub async fn watch_address(stack: Stack<'static>) -> ! {
    let mut last = None;
    loop {
        if last.is_some() {
            // A renewed lease may bring another address without the old one going away.
            select(stack.wait_config_down(), Timer::after_secs(2)).await;
        } else {
            stack.wait_link_up().await;
            stack.wait_config_up().await;
        }
        let address = address(stack);
        if address != last {
            last = address;
            wake::board();
        }
    }
}

/// Keeps the station in its network: joins, waits until that is over, and joins again.
#[embassy_executor::task]
pub async fn supervise_wifi(
    mut controller: WifiController<'static>,
    stack: Stack<'static>,
    has_network: bool,
    mut backoff: Backoff,
) -> ! {
    loop {
        watchdog::alive(Part::WiFi);
        if !has_network {
            wait_or_scan(&mut controller, Duration::from_secs(20)).await;
            continue;
        }
        match with_timeout(JOIN_LIMIT, controller.connect_async()).await {
            Ok(Ok(network)) => {
                let (name, channel) = (network.ssid.as_str(), network.channel);
                let text = format_args!("Wi-Fi: joined {name}, channel {channel}");
                report::log(LogLevel::Info, text).await;
                let joined = Instant::now();
                stay(&mut controller, stack).await;
                report::send(Report::Signal(None)).await;
                if joined.elapsed() > Duration::from_secs(60) {
                    backoff.reset();
                }
            }
            Ok(Err(ConnectionError::Failed(info))) => warn(explain(info.reason)).await,
            Ok(Err(_)) => warn("the radio reports a failure").await,
            Err(_) => {
                warn("the network does not answer").await;
                leave(&mut controller).await;
            }
        }
        watchdog::alive(Part::WiFi);
        let wait = backoff.next_wait().as_millis() as u64;
        wait_or_scan(&mut controller, Duration::from_millis(wait.min(20_000))).await;
    }
}

/// Opens a connection to the broker.
pub async fn connect(
    stack: Stack<'_>,
    socket: &mut TcpSocket<'_>,
    host: &str,
    port: u16,
) -> Result<(), &'static str> {
    let address = match host.parse::<Ipv4Addr>() {
        Ok(address) => IpAddress::Ipv4(address),
        Err(_) => match stack.dns_query(host, DnsQueryType::A).await {
            Ok(addresses) => *addresses.first().ok_or("the name has no address")?,
            Err(_) => return Err("the name can't be found"),
        },
    };
    socket.set_nagle_enabled(false);
    match socket.connect((address, port)).await {
        Ok(()) => Ok(()),
        Err(embassy_net::tcp::ConnectError::NoRoute) => Err("there is no way to that address"),
        Err(_) => Err("connection refused; does the broker run, and on that port?"),
    }
}

/// Waits until the socket has bytes (`reading`), takes bytes (`writing`), or is closed.
pub async fn ready(socket: &TcpSocket<'_>, reading: bool, writing: bool) {
    poll_fn(|cx| {
        // The futures of embassy-net don't end when the other side closes, so look for it here.
        let readable = pin!(socket.wait_read_ready()).poll(cx).is_ready() || !socket.may_recv();
        let writable = pin!(socket.wait_write_ready()).poll(cx).is_ready() || !socket.may_send();
        if reading && readable || writing && writable || socket.state() == State::Closed {
            core::task::Poll::Ready(())
        } else {
            core::task::Poll::Pending
        }
    })
    .await;
}

/// Ends the connection in good order: what was written goes out first.
pub async fn finish(socket: &mut TcpSocket<'_>) {
    socket.close();
    let _ = socket.flush().await;
    socket.abort();
    let _ = socket.flush().await;
}

/// Stays until the network is lost, or until it gives no address.
async fn stay(controller: &mut WifiController<'static>, stack: Stack<'static>) {
    let mut address_seen = Instant::now();
    let mut signal_asked = None;
    loop {
        watchdog::alive(Part::WiFi);
        if signal_asked.is_none_or(|at: Instant| at.elapsed() > SIGNAL_TIME) {
            signal_asked = Some(Instant::now());
            let rssi = controller.rssi().ok().and_then(|rssi| rssi.try_into().ok());
            report::send(Report::Signal(rssi)).await;
        }
        if stack.is_config_up() {
            address_seen = Instant::now();
        } else if address_seen.elapsed() > ADDRESS_LIMIT {
            warn("the network gives no address; joining again").await;
            leave(controller).await;
            return;
        }
        if SCAN.try_take().is_some() {
            list_networks(controller).await;
        }
        let wait = with_timeout(
            Duration::from_secs(2),
            controller.wait_for_disconnect_async(),
        );
        match wait.await {
            Ok(Ok(info)) => {
                warn("lost the network").await;
                warn(explain(info.reason)).await;
                return;
            }
            Ok(Err(_)) => return,
            // The event may have been missed.
            Err(_) if !controller.is_connected() => {
                warn("lost the network").await;
                return;
            }
            Err(_) => {}
        }
    }
}

async fn leave(controller: &mut WifiController<'static>) {
    let _ = with_timeout(Duration::from_secs(5), controller.disconnect_async()).await;
}

async fn wait_or_scan(controller: &mut WifiController<'static>, time: Duration) {
    if with_timeout(time, SCAN.wait()).await.is_ok() {
        list_networks(controller).await;
    }
}

async fn list_networks(controller: &mut WifiController<'static>) {
    let config = ScanConfig::default().with_max(20);
    let scanned = with_timeout(JOIN_LIMIT, controller.scan_async(&config)).await;
    let Ok(Ok(networks)) = scanned else {
        return report::send(Report::Scanned(Err(ScanError::Radio))).await;
    };
    for network in networks {
        let found = Report::Network {
            ssid: network.ssid.as_str().try_into().unwrap_or_default(),
            rssi: network.signal_strength,
            channel: network.channel,
            security: security(network.auth_method),
        };
        report::send(found).await;
    }
    report::send(Report::Scanned(Ok(()))).await;
}

fn security(method: Option<AuthenticationMethod>) -> &'static str {
    match method {
        // The driver knows no WPA3, and takes such a network for an open one.
        None | Some(AuthenticationMethod::None) => "open",
        Some(AuthenticationMethod::Wep) => "wep",
        Some(AuthenticationMethod::Wpa) => "wpa",
        Some(AuthenticationMethod::Wpa2Personal | AuthenticationMethod::WpaWpa2Personal) => "wpa2",
        Some(AuthenticationMethod::Wpa3Personal) => "wpa3",
        Some(AuthenticationMethod::Wpa2Wpa3Personal) => "wpa2/wpa3",
        Some(_) => "other",
    }
}

async fn warn(text: &'static str) {
    report::log(LogLevel::Warn, format_args!("Wi-Fi: {text}")).await;
}

/// What a beginner can do something with.
fn explain(reason: DisconnectReason) -> &'static str {
    match reason {
        DisconnectReason::NoAccessPointFound => {
            // The driver has no WPA3 yet: such a network is as good as not there.
            "the network is not there; check its name, and that it is on 2.4 GHz and not WPA3 only"
        }
        DisconnectReason::NoAccessPointFoundWithCompatibleSecurity
        | DisconnectReason::NoAccessPointFoundInAuthmodeThreshold => {
            "the network has another kind of protection; is the password set?"
        }
        DisconnectReason::AuthenticationFailed
        | DisconnectReason::FourWayHandshakeTimeout
        | DisconnectReason::HandshakeTimeout
        | DisconnectReason::MicFailure => "refused; check the password",
        DisconnectReason::AuthenticationExpired => "refused or too far away; check the password",
        DisconnectReason::AssociationTooMany => "the network takes no more devices",
        DisconnectReason::BeaconTimeout => "out of reach",
        DisconnectReason::AuthenticationLeave
        | DisconnectReason::AssociationLeave
        | DisconnectReason::AccessPointInitiatedDisassociation => "the network sent us away",
        _ => "the connection ended",
    }
}

static SCAN: Signal<CriticalSectionRawMutex, ()> = Signal::new();
