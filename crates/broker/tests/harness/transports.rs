//! The same client over each transport, and certificates for it.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::fs;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use declic_broker::{Config, Tls};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::{Message, WebSocket};

use super::harness::{Client, LIMIT, Server, Stream, dial};

/// How MQTT gets to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Tcp,
    Tls,
    WebSocket,
    SecureWebSocket,
    #[cfg(unix)]
    Unix,
}

pub const ALL: &[Transport] = &[
    Transport::Tcp,
    Transport::Tls,
    Transport::WebSocket,
    Transport::SecureWebSocket,
    #[cfg(unix)]
    Transport::Unix,
];

/// A broker that can be reached over every transport.
pub struct Everywhere {
    pub server: Server,
    pub files: Files,
}

impl Everywhere {
    pub fn start(config: Config) -> Self {
        let files = Files::new();
        let tls = files.settings();
        Self::start_with(config, files, tls)
    }

    pub fn start_with(config: Config, files: Files, tls: Tls) -> Self {
        let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        let server = Server::start(Config {
            listeners: vec![any],
            tls_listeners: vec![any],
            http_listeners: vec![any],
            https_listeners: vec![any],
            #[cfg(unix)]
            unix: vec![files.path("socket")],
            tls: Some(tls),
            ..config
        });
        Self { server, files }
    }

    /// A connection on which MQTT can be spoken.
    pub fn open(&self, transport: Transport) -> Client {
        self.open_as(transport, None)
    }

    /// The same, with a client certificate where there is TLS.
    pub fn open_as(&self, transport: Transport, name: Option<&str>) -> Client {
        let server = &self.server;
        match transport {
            Transport::Tcp => Client::open(server.addresses[0]),
            Transport::Tls => Client::over(self.files.encrypt(dial(server.tls_addresses[0]), name)),
            Transport::WebSocket => Client::over(upgrade(
                dial(server.http_addresses[0]),
                "ws://localhost/mqtt",
            )),
            Transport::SecureWebSocket => {
                let stream = self.files.encrypt(dial(server.https_addresses[0]), name);
                Client::over(upgrade(stream, "wss://localhost/mqtt"))
            }
            #[cfg(unix)]
            Transport::Unix => {
                let stream = std::os::unix::net::UnixStream::connect(self.files.path("socket"))
                    .expect("the broker listens");
                let limit = Some(LIMIT);
                stream.set_read_timeout(limit).expect("a timeout");
                stream.set_write_timeout(limit).expect("a timeout");
                Client::over(stream)
            }
        }
    }
}

/// A client that sends each of its writes as a message.
pub struct Framed<S: Stream> {
    socket: WebSocket<S>,
    received: Vec<u8>,
}

/// Makes a WebSocket of a connection.
pub fn upgrade<S: Stream>(stream: S, url: &str) -> Framed<S> {
    let mut request = url.into_client_request().expect("a URL");
    let protocol = "mqtt".parse().expect("a header");
    request
        .headers_mut()
        .insert("Sec-WebSocket-Protocol", protocol);
    let (socket, response) = match tungstenite::client::client(request, stream) {
        Ok(done) => done,
        Err(error) => panic!("no WebSocket: {error}"),
    };
    assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "mqtt");
    Framed {
        socket,
        received: Vec::new(),
    }
}

impl<S: Stream> Read for Framed<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.received.is_empty() {
            match self.socket.read() {
                Ok(Message::Binary(bytes)) => self.received = bytes.to_vec(),
                Ok(Message::Close(_)) => return Ok(0),
                Ok(_) => {}
                Err(tungstenite::Error::Io(error)) => return Err(error),
                Err(_) => return Ok(0),
            }
        }
        let count = self.received.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.received[..count]);
        self.received.drain(..count);
        Ok(count)
    }
}

impl<S: Stream> Write for Framed<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let message = Message::binary(bytes.to_vec());
        self.socket.send(message).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush().map_err(io::Error::other)
    }
}

/// Certificates in a directory of their own.
pub struct Files {
    directory: PathBuf,
    ca: Issuer<'static, KeyPair>,
}

impl Files {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("declic-broker-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).expect("a temporary directory");
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([]).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        fs::write(directory.join("ca.pem"), certificate.pem()).expect("a place to write");
        let files = Self {
            directory,
            ca: Issuer::new(params, key),
        };
        files.make("server", "the broker");
        files
    }

    /// Makes a certificate with a common name, as `FILE.pem` and `FILE.key`.
    pub fn make(&self, file: &str, common_name: &str) {
        self.make_with(file, common_name, |_| {});
    }

    /// The same, with something changed.
    pub fn make_with(
        &self,
        file: &str,
        common_name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) {
        let key = KeyPair::generate().expect("a key");
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).expect("parameters");
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        change(&mut params);
        let certificate = params.signed_by(&key, &self.ca).expect("a certificate");
        self.write(&format!("{file}.pem"), &certificate.pem());
        self.write(&format!("{file}.key"), &key.serialize_pem());
    }

    pub fn settings(&self) -> Tls {
        Tls {
            certificate: self.path("server.pem"),
            key: self.path("server.key"),
            client_ca: None,
            client_crl: None,
            require_client_certificate: false,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a place to write");
    }

    pub fn client_config(&self, name: Option<&str>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(self.path("ca.pem")).expect("a certificate");
        roots.add(ca).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        match name {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let read = |path: &Path| CertificateDer::from_pem_file(path).expect("one");
                let chain = vec![read(&self.path(&format!("{name}.pem")))];
                let key = PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key")));
                builder
                    .with_client_auth_cert(chain, key.expect("a key"))
                    .expect("a certificate with its key")
            }
        }
    }

    pub fn encrypt<S: Stream>(
        &self,
        stream: S,
        name: Option<&str>,
    ) -> StreamOwned<ClientConnection, S> {
        let config = Arc::new(self.client_config(name));
        let server = ServerName::try_from("localhost").expect("a name");
        let connection = ClientConnection::new(config, server).expect("a client");
        StreamOwned::new(connection, stream)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}
