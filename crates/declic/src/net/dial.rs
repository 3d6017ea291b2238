//! Opening a TCP connection.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use mio::Interest;
use mio::net::TcpStream;

use super::{CONNECTION, Net};
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::url::BrokerUrl;

impl Net {
    /// Connects to the broker, trying each address of its name in turn; `None` when the process is
    /// asked to end meanwhile.
    ///
    /// # Errors
    /// There is no such host, or no address of it can be connected to.
    pub(super) fn dial(&mut self, url: &BrokerUrl) -> Result<Option<TcpStream>, Error> {
        let unknown = |cause: &dyn std::fmt::Display| {
            Error::new(
                ExitCode::NoConnection,
                format!("can't find the host {}", url.host),
            )
            .because(cause)
            .remedy("Check the name, or give the address itself.")
        };
        let addresses: Vec<_> = (url.host.as_str(), url.port)
            .to_socket_addrs()
            .map_err(|error| unknown(&resolver_words(&error)))?
            .collect();
        let mut failure = None;
        for address in addresses {
            if self.is_stopping() {
                return Ok(None);
            }
            match self.dial_address(address)? {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = Some(error),
            }
        }
        Err(match failure {
            Some(error) => no_broker(url, &error),
            None => unknown(&"it has no address"),
        })
    }

    /// The outer error ends the command, the inner one is about this address.
    fn dial_address(
        &mut self,
        address: SocketAddr,
    ) -> Result<io::Result<Option<TcpStream>>, Error> {
        self.readable = false;
        self.writable = false;
        let mut stream = match TcpStream::connect(address) {
            Ok(stream) => stream,
            Err(error) => return Ok(Err(error)),
        };
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self
            .poll
            .registry()
            .register(&mut stream, CONNECTION, interest)
        {
            return Ok(Err(error));
        }
        let deadline = self.now() + TIMEOUT;
        loop {
            self.wait(Some(deadline))?;
            if self.is_stopping() {
                return Ok(Ok(None));
            }
            if self.writable {
                match stream.take_error() {
                    Ok(None) => {}
                    Ok(Some(error)) | Err(error) => return Ok(Err(error)),
                }
                match stream.peer_addr() {
                    Ok(_) => {
                        // A press is a small packet and shall not wait for another one.
                        let _ = stream.set_nodelay(true);
                        return Ok(Ok(Some(stream)));
                    }
                    Err(error) if error.kind() == io::ErrorKind::NotConnected => {}
                    Err(error) => return Ok(Err(error)),
                }
            }
            if self.now() >= deadline {
                return Ok(Err(io::ErrorKind::TimedOut.into()));
            }
        }
    }
}

fn no_broker(url: &BrokerUrl, error: &io::Error) -> Error {
    let error_text = words(error);
    let what = format!("no broker at {}", url.address());
    let remedy = match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "Is it running? `declic broker` starts one; -h and -p say where it is."
        }
        _ => "Check the address (-h, -p), and that no firewall is in between.",
    };
    Error::new(ExitCode::NoConnection, what)
        .because(error_text)
        .remedy(remedy)
}

/// The error in plain words where there are some.
fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::TimedOut => "no answer".to_owned(),
        io::ErrorKind::HostUnreachable => "the host can't be reached".to_owned(),
        io::ErrorKind::NetworkUnreachable => "the network can't be reached".to_owned(),
        io::ErrorKind::ConnectionReset => "the connection was reset".to_owned(),
        _ => error.to_string(),
    }
}

fn resolver_words(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once("failed to lookup address information: ") {
        Some((_, cause)) => cause.to_lowercase(),
        None => text,
    }
}

const TIMEOUT: Duration = Duration::from_secs(10);
