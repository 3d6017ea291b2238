//! TLS to the other broker.

use std::fmt;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

/// Whom the bridge trusts.
#[derive(Clone)]
pub(super) struct Tls {
    config: Arc<ClientConfig>,
    server: ServerName<'static>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("server", &self.server).finish()
    }
}

impl Tls {
    /// Trusts the certificates in the file of PEM at `ca` to vouch for `host`.
    ///
    /// # Errors
    /// What is wrong with the file or the host, in words.
    pub(super) fn load(ca: &Path, host: &str) -> Result<Self, String> {
        let unreadable = |why: &dyn fmt::Display| format!("{}: {why}", ca.display());
        let mut roots = RootCertStore::empty();
        let certificates = CertificateDer::pem_file_iter(ca).map_err(|error| unreadable(&error))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| unreadable(&error))?;
            roots.add(certificate).map_err(|error| unreadable(&error))?;
        }
        if roots.is_empty() {
            return Err(unreadable(&"there is no certificate in it"));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let server = ServerName::try_from(host.to_owned())
            .map_err(|_| format!("{host}: no name that a certificate could have"))?;
        Ok(Self {
            config: Arc::new(config),
            server,
        })
    }

    pub(super) fn begin(&self) -> io::Result<Session> {
        ClientConnection::new(Arc::clone(&self.config), self.server.clone())
            .map(|connection| Session(Box::new(connection)))
            .map_err(io::Error::other)
    }
}

/// One connection with TLS.
#[derive(Debug)]
pub(super) struct Session(Box<ClientConnection>);

impl Session {
    /// As [`Transport::receive`](super::transport::Transport::receive).
    pub(super) fn receive(
        &mut self,
        stream: &mut TcpStream,
        buffer: &mut [u8],
    ) -> io::Result<Option<usize>> {
        loop {
            match self.0.reader().read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => return Ok(Some(count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            match self.0.read_tls(stream) {
                // What came before is read first; then the reader says that it is the end.
                Ok(0) if !self.0.wants_read() => {}
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) => {
                    let state = self.0.process_new_packets();
                    // An alert, or the next step of the handshake.
                    let flushed = self.flush(stream);
                    state.map_err(io::Error::other)?;
                    flushed?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// As [`Transport::send`](super::transport::Transport::send).
    pub(super) fn send(
        &mut self,
        stream: &mut TcpStream,
        bytes: &[u8],
    ) -> io::Result<Option<usize>> {
        let count = self.0.writer().write(bytes)?;
        self.flush(stream)?;
        Ok((count > 0).then_some(count))
    }

    /// Writes what is encrypted already, as far as the socket takes it.
    pub(super) fn flush(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        while self.0.wants_write() {
            match self.0.write_tls(stream) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
