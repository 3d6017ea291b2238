//! What systemd gives a service, and wants to be told: sockets that are open already, and when the
//! service is ready.

use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;

use listenfd::ListenFd;
use tracing::warn;

/// The sockets that were handed over (`Sockets=` of a unit), for TCP. To be called once.
///
/// # Errors
/// One of them is no listening TCP socket.
pub fn sockets() -> io::Result<Vec<TcpListener>> {
    let mut handed = ListenFd::from_env();
    let mut sockets = Vec::new();
    for number in 0..handed.len() {
        if let Some(socket) = handed.take_tcp_listener(number)? {
            sockets.push(socket);
        }
    }
    Ok(sockets)
}

/// The service is ready for clients.
pub fn ready() {
    tell("READY=1");
}

/// The service ends, in good order.
pub fn stopping() {
    tell("STOPPING=1");
}

/// Without systemd, nobody is told.
fn tell(state: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty()) else {
        return;
    };
    if let Err(error) = send(&path, state.as_bytes()) {
        warn!(%error, "systemd can't be told {state}");
    }
}

fn send(path: &std::ffi::OsStr, state: &[u8]) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    #[cfg(target_os = "linux")]
    {
        use std::os::linux::net::SocketAddrExt as _;
        use std::os::unix::ffi::OsStrExt as _;
        use std::os::unix::net::SocketAddr;

        if let Some(name) = path.as_bytes().strip_prefix(b"@") {
            let address = SocketAddr::from_abstract_name(name)?;
            return socket.send_to_addr(state, &address).map(|_| ());
        }
    }
    socket.send_to(state, path).map(|_| ())
}
