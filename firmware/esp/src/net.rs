//! Wi-Fi: stays in the network for as long as the chip runs.

use declic_board::{Backoff, LogLevel, ScanError, Settings};
use embassy_futures::select::{Either, select};
use embassy_net::Stack;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::{Duration, Instant, with_timeout};
use esp_radio::wifi::scan::ScanConfig;
use esp_radio::wifi::sta::StationConfig;
use esp_radio::wifi::{
    AuthenticationMethod, AuthenticationMethodConfig, ConnectionError, DisconnectReason,
    WifiController,
};

use crate::report::{self, Report};
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

/// The station's settings for the driver; `None` to join no network.
pub type Station = Option<esp_radio::wifi::Config>;

/// Has the Wi-Fi task leave its network and join the one of `station`, or none. It reports when it
/// has joined.
pub fn join(station: Station) {
    JOIN.signal(station);
}

/// The station's settings for the driver; `None` while no network is set.
pub fn station(settings: &Settings) -> Station {
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

/// Keeps the station in its network: joins, waits until that is over, and joins again.
#[embassy_executor::task]
pub async fn supervise_wifi(
    mut controller: WifiController<'static>,
    stack: Stack<'static>,
    mut has_network: bool,
    mut backoff: Backoff,
) -> ! {
    let mut is_another = false;
    loop {
        watchdog::alive(Part::WiFi);
        let mut wait = Duration::from_secs(20);
        let mut another = None;
        if has_network {
            let connect = with_timeout(JOIN_LIMIT, controller.connect_async());
            match select(connect, JOIN.wait()).await {
                Either::First(Ok(Ok(network))) => {
                    let (name, channel) = (network.ssid.as_str(), network.channel);
                    let text = format_args!("Wi-Fi: joined {name}, channel {channel}");
                    report::log(LogLevel::Info, text).await;
                    if core::mem::take(&mut is_another) {
                        report::send(Report::Joined).await;
                    }
                    let joined = Instant::now();
                    another = stay(&mut controller, stack).await;
                    report::send(Report::Signal(None)).await;
                    if joined.elapsed() > Duration::from_secs(60) {
                        backoff.reset();
                    }
                }
                Either::First(Ok(Err(ConnectionError::Failed(info)))) => {
                    warn(explain(info.reason)).await;
                }
                Either::First(Ok(Err(_))) => warn("the radio reports a failure").await,
                Either::First(Err(_)) => {
                    warn("the network does not answer").await;
                    leave(&mut controller).await;
                }
                Either::Second(station) => another = Some(station),
            }
            watchdog::alive(Part::WiFi);
            let next = Duration::from_millis(backoff.next_wait().as_millis() as u64);
            wait = wait.min(next);
        }
        if another.is_none() {
            another = wait_or_scan(&mut controller, wait).await;
        }
        if let Some(station) = another {
            leave(&mut controller).await;
            has_network = station.is_some_and(|station| controller.set_config(&station).is_ok());
            is_another = has_network;
            backoff.reset();
        }
    }
}

/// Stays until the network is lost, or until it gives no address. Returns what to join instead,
/// where that ends it.
async fn stay(controller: &mut WifiController<'static>, stack: Stack<'static>) -> Option<Station> {
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
            return None;
        }
        if let Some(station) = JOIN.try_take() {
            return Some(station);
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
                return None;
            }
            Ok(Err(_)) => return None,
            // The event may have been missed.
            Err(_) if !controller.is_connected() => {
                warn("lost the network").await;
                return None;
            }
            Err(_) => {}
        }
    }
}

async fn leave(controller: &mut WifiController<'static>) {
    let _ = with_timeout(Duration::from_secs(5), controller.disconnect_async()).await;
}

/// Waits, and lists the networks where that is asked for. Returns what to join, if that ends it.
async fn wait_or_scan(controller: &mut WifiController<'static>, time: Duration) -> Option<Station> {
    match with_timeout(time, select(SCAN.wait(), JOIN.wait())).await {
        Ok(Either::First(())) => list_networks(controller).await,
        Ok(Either::Second(station)) => return Some(station),
        Err(_) => {}
    }
    None
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
static JOIN: Signal<CriticalSectionRawMutex, Station> = Signal::new();
