//! TCP/IP: the board's address and its one connection.

use core::future::{Future, poll_fn};
use core::net::{Ipv4Addr, SocketAddrV4};
use core::pin::pin;
use core::task::Poll;

use declic_board::{BoardId, Settings, mdns};
use embassy_futures::select::select;
use embassy_net::dns::DnsQueryType;
use embassy_net::tcp::{ConnectError, State, TcpSocket};
use embassy_net::udp::UdpSocket;
use embassy_net::{Config, DhcpConfig, IpAddress, Ipv4Address, Ipv4Cidr, Stack, StaticConfigV4};
use embassy_time::{Duration, Timer, with_timeout};

use crate::wake;

/// How the board gets its address: a fixed one, or by DHCP, with the name that is set or follows
/// from its id.
pub fn addresses(settings: &Settings, id: BoardId) -> Config {
    let Some((address, prefix)) = settings.address() else {
        let own_name = id.host_name();
        let mut dhcp = DhcpConfig::default();
        dhcp.hostname = settings.host_name().unwrap_or(&own_name).try_into().ok();
        return Config::dhcpv4(dhcp);
    };
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

/// The board's address, while it has one.
pub fn address(stack: Stack<'_>) -> Option<Ipv4Address> {
    // A fixed address is there without a network, too.
    let config = stack.config_v4().filter(|_| stack.is_link_up())?;
    Some(config.address.address())
}

/// Wakes the board when its address comes, goes or changes.
pub async fn watch_address(stack: Stack<'_>) -> ! {
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

/// Searches the network for a broker; asks until one answers.
pub(crate) async fn find_broker(socket: &mut UdpSocket<'_>) -> SocketAddrV4 {
    // From any port but its own, so that answers come here alone. A free one is always found: no
    // other is bound.
    let _ = socket.bind(0);
    let mut wait = Duration::from_secs(1);
    loop {
        // One that is lost is asked again.
        let _ = socket.send_to(mdns::QUERY, mdns::GROUP).await;
        if let Ok(broker) = with_timeout(wait, answer(socket)).await {
            return broker;
        }
        // As often as mDNS allows (RFC 6762, section 5.2).
        wait = (wait * 2).min(Duration::from_secs(60));
    }
}

/// The first answer that tells of a broker.
async fn answer(socket: &mut UdpSocket<'_>) -> SocketAddrV4 {
    loop {
        let heard = socket.recv_from_with(|message, from| match from.endpoint.addr {
            IpAddress::Ipv4(from) => mdns::broker(message, from),
        });
        if let Some(broker) = heard.await {
            return broker;
        }
    }
}

/// Opens a connection to the broker.
pub(crate) async fn connect(
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
        Err(ConnectError::NoRoute) => Err("there is no way to that address"),
        Err(_) => Err("connection refused; does the broker run, and on that port?"),
    }
}

/// Waits until the socket has bytes (`reading`), takes bytes (`writing`), or is closed.
pub(crate) async fn ready(socket: &TcpSocket<'_>, reading: bool, writing: bool) {
    poll_fn(|cx| {
        // The futures of embassy-net don't end when the other side closes, so look for it here.
        let readable = pin!(socket.wait_read_ready()).poll(cx).is_ready() || !socket.may_recv();
        let writable = pin!(socket.wait_write_ready()).poll(cx).is_ready() || !socket.may_send();
        if reading && readable || writing && writable || socket.state() == State::Closed {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// Ends the connection in good order: what was written goes out first.
pub(crate) async fn finish(socket: &mut TcpSocket<'_>) {
    socket.close();
    let _ = socket.flush().await;
    socket.abort();
    let _ = socket.flush().await;
}
