//! Opening a TCP connection.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use mio::net::TcpStream;

use super::Net;
use crate::dial::{Dial, Outcome};
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::url::BrokerUrl;

impl Net {
    /// Connects to the broker, trying the addresses of its name as [`Dial`] does; `None` when the process is
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
        if addresses.is_empty() {
            return Err(unknown(&"it has no address"));
        }
        let stream = self.dial_addresses(addresses)?;
        stream.map_err(|error| no_broker(url, &error))
    }

    /// The outer error ends the command, the inner one is about these addresses.
    fn dial_addresses(
        &mut self,
        addresses: Vec<SocketAddr>,
    ) -> Result<io::Result<Option<TcpStream>>, Error> {
        let mut dial = Dial::new(addresses);
        let deadline = self.now() + TIMEOUT;
        let mut ready = vec![None];
        while !self.is_stopping() {
            for token in ready.drain(..) {
                let last_token = &mut self.last_token;
                let mut tokens = || {
                    last_token.0 += 1;
                    *last_token
                };
                match dial.turn(token, self.poll.registry(), &mut tokens) {
                    Outcome::Pending => {}
                    Outcome::Failed(error) => return Ok(Err(error)),
                    Outcome::Open(token, stream) => {
                        self.connection = Some(token);
                        // Not known to be empty, and not known to be full.
                        self.readable = true;
                        self.writable = true;
                        return Ok(Ok(Some(stream)));
                    }
                }
            }
            if self.now() >= deadline {
                return Ok(Err(io::ErrorKind::TimedOut.into()));
            }
            let next = dial.poll_timeout().map(|at| self.at(at));
            self.wait(Some(next.map_or(deadline, |next| next.min(deadline))))?;
            // At least once: the next attempt may be due.
            ready.push(None);
            ready.extend(self.events.iter().map(|event| Some(event.token())));
        }
        Ok(Ok(None))
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
