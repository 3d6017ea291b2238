//! The bytes of MQTT on their way: over TCP, TLS, WebSocket, or both.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;

use declic_broker::client_side::{TlsFailure, TlsSession, WebSocket, WebSocketError};
use declic_mqtt::client::CloseReason;
use mio::net::TcpStream;

use crate::connect_options::ConnectOptions;
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::url::{BrokerUrl, Scheme};

/// An open connection. Nothing of it blocks.
#[derive(Debug)]
pub struct Transport {
    socket: Socket,
    websocket: Option<WebSocket>,
}

#[derive(Debug)]
struct Socket {
    stream: TcpStream,
    tls: Option<TlsSession>,
}

impl Transport {
    /// Begins to speak what the options say on a connection over TCP.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn open(stream: TcpStream, options: &ConnectOptions) -> Result<Self, Error> {
        let tls = options.tls.as_ref().map(|tls| tls.begin()).transpose();
        let tls = tls.map_err(|error| no_random_bytes(&error))?;
        let websocket = match &options.websocket {
            None => None,
            Some(path) => {
                let host = options.url.address();
                let key = random().map_err(|error| no_random_bytes(&error))?;
                Some(WebSocket::new(&host, path, key))
            }
        };
        Ok(Self {
            socket: Socket { stream, tls },
            websocket,
        })
    }

    /// Reads once, as [`io::Read::read`] does.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(websocket) = &mut self.websocket else {
            return self.socket.read(buffer);
        };
        loop {
            if websocket.is_closed() {
                return Ok(0);
            }
            let count = self.socket.read(buffer)?;
            if count == 0 {
                return Ok(0);
            }
            match websocket.receive(&mut buffer[..count]) {
                Ok(0) => {}
                Ok(count) => return Ok(count),
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }

    /// Takes as much as there is room for, as [`io::Write::write`] does.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.flush()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let Some(websocket) = &mut self.websocket else {
            return self.socket.write(bytes);
        };
        let count = websocket.send(bytes, random()?);
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.flush()?;
        Ok(count)
    }

    /// Writes what was taken and is not on its way yet. Returns whether that is all.
    pub fn flush(&mut self) -> io::Result<bool> {
        if let Some(websocket) = &mut self.websocket {
            while !websocket.transmit().is_empty() {
                match self.socket.write(websocket.transmit()) {
                    Ok(count) => websocket.transmitted(count),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                    Err(error) => return Err(error),
                }
            }
        }
        match &mut self.socket.tls {
            Some(tls) => tls.flush(&mut self.socket.stream),
            None => Ok(true),
        }
    }

    /// Says that nothing more comes, behind all that was taken. Returns whether it is said.
    pub fn shutdown(&mut self) -> io::Result<bool> {
        if !self.flush()? {
            return Ok(false);
        }
        // Both fit into what the socket has room for, or the broker has to do without.
        if let Some(websocket) = &mut self.websocket {
            websocket.close();
            self.flush()?;
        }
        if let Some(tls) = &mut self.socket.tls {
            tls.close();
            tls.flush(&mut self.socket.stream)?;
        }
        self.socket.stream.shutdown(Shutdown::Write)?;
        Ok(true)
    }

    /// Something has to be agreed on before MQTT can be spoken.
    pub fn is_handshaking(&self) -> bool {
        self.is_beginning_tls() || self.is_beginning_websocket()
    }

    fn is_beginning_tls(&self) -> bool {
        self.socket
            .tls
            .as_ref()
            .is_some_and(TlsSession::is_handshaking)
    }

    fn is_beginning_websocket(&self) -> bool {
        self.websocket
            .as_ref()
            .is_some_and(WebSocket::is_handshaking)
    }
}

impl Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.stream.read(buffer);
        };
        match tls.receive(&mut self.stream, buffer) {
            Ok(Some(count)) => Ok(count),
            Ok(None) => Err(io::ErrorKind::WouldBlock.into()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            Err(error) => Err(error),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.stream.write(bytes),
            Some(tls) => tls
                .send(&mut self.stream, bytes)?
                .ok_or_else(|| io::ErrorKind::WouldBlock.into()),
        }
    }
}

/// Why a connection ended before the broker could say anything of MQTT; `None` where TLS and
/// WebSocket have nothing to do with it.
pub fn refusal(
    transport: &Transport,
    failure: Option<&io::Error>,
    reason: CloseReason,
    url: &BrokerUrl,
) -> Option<Error> {
    if let Some(failure) = failure {
        if let Some(failure) = TlsFailure::of(failure) {
            return Some(no_tls(&failure, url));
        }
        if let Some(error) = failure.get_ref().and_then(|error| error.downcast_ref()) {
            return Some(no_websocket(error, url));
        }
    }
    let layer = if transport.is_beginning_tls() {
        "TLS"
    } else if transport.is_beginning_websocket() {
        "WebSocket"
    } else {
        return None;
    };
    let cause = match reason {
        CloseReason::Lost => "the connection was closed before both had agreed",
        CloseReason::ConnectTimeout => "there was no answer in 10 s",
        _ => return None,
    };
    let what = format!("no {layer} with the broker at {}", url.address());
    let remedy = format!("Does it speak {layer} on this port?");
    let error = Error::new(ExitCode::NoConnection, what);
    Some(error.because(cause).remedy(remedy))
}

fn no_tls(failure: &TlsFailure, url: &BrokerUrl) -> Error {
    let what = format!("no TLS with the broker at {}", url.address());
    let error = Error::new(ExitCode::NoConnection, what).because(failure);
    let remedy = match failure {
        TlsFailure::UnknownIssuer => "Say with --cafile which certificate to trust.",
        TlsFailure::Expired | TlsFailure::NotYetValid => {
            "The broker needs another certificate, or the clock here is wrong."
        }
        TlsFailure::OtherHost => {
            "Use a host (-h) that the certificate names; --insecure takes any, which is for tests."
        }
        TlsFailure::IsAuthority => "The broker needs a certificate that this authority has signed.",
        TlsFailure::NoIdentity => "Give one with --cert and --key.",
        TlsFailure::Identity => {
            "Check --cert and --key: is it still valid, and signed by whom the broker trusts?"
        }
        TlsFailure::NoTls => "Does it speak TLS on this port?",
        _ => return error,
    };
    error.remedy(remedy)
}

fn no_websocket(error: &WebSocketError, url: &BrokerUrl) -> Error {
    let what = format!("no WebSocket with the broker at {}", url.address());
    let remedy = match error {
        WebSocketError::NoHttp if url.scheme == Scheme::Ws => {
            "Is it the broker's port for WebSocket, and one without TLS?"
        }
        WebSocketError::Status(404, _) => "Say its path with --ws-path.",
        _ => "Is it the broker's port for WebSocket?",
    };
    let error = Error::new(ExitCode::NoConnection, what).because(error);
    error.remedy(remedy)
}

fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

fn no_random_bytes(error: &io::Error) -> Error {
    Error::new(ExitCode::Failure, "can't encrypt").because(error)
}
