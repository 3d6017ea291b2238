//! TLS to a broker.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct,
    Error, RootCertStore, SignatureScheme,
};

use crate::sources::SourceError;

/// Who vouches for a broker.
#[derive(Debug, Clone)]
pub struct Trust {
    roots: RootCertStore,
    /// Whatever name the certificate has.
    any_name: bool,
}

impl Trust {
    /// Trusts nobody yet.
    pub fn nobody() -> Self {
        Self {
            roots: RootCertStore::empty(),
            any_name: false,
        }
    }

    /// Trusts the certificates in a file of PEM too.
    ///
    /// # Errors
    /// It can't be read, or there is no certificate in it.
    pub fn add_file(&mut self, path: &Path) -> Result<(), SourceError> {
        for certificate in read_all::<CertificateDer<'static>>(path, "certificate")? {
            let added = self.roots.add(certificate);
            added.map_err(|error| SourceError::new(path, error))?;
        }
        Ok(())
    }

    /// Trusts certificates in DER too; those that can't be read are passed over. Returns how many
    /// can.
    pub fn add_der(
        &mut self,
        certificates: impl IntoIterator<Item = CertificateDer<'static>>,
    ) -> usize {
        self.roots.add_parsable_certificates(certificates).0
    }

    /// Takes any certificate that one of these vouches for, whatever host it is for.
    #[must_use]
    pub fn of_any_name(mut self) -> Self {
        self.any_name = true;
        self
    }
}

/// A client's own certificate and its key, each in a file of PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, and behind it those between it and the one that the broker trusts.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// What connections to a broker are encrypted with.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    server: ServerName<'static>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("server", &self.server).finish()
    }
}

impl Tls {
    /// TLS to `host`, a name or an address.
    ///
    /// # Errors
    /// What is wrong with a file or the host, in words.
    pub fn new(trust: Trust, identity: Option<&Identity>, host: &str) -> Result<Self, String> {
        let words = |error: SourceError| error.to_string();
        let server = ServerName::try_from(host.to_owned())
            .map_err(|_| format!("{host}: no name that a certificate could have"))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(trust.roots), provider)
            .build()
            .map_err(|error| error.to_string())?;
        let builder = if trust.any_name {
            let verifier = Arc::new(AnyName(verifier));
            builder
                .dangerous()
                .with_custom_certificate_verifier(verifier)
        } else {
            builder.with_webpki_verifier(verifier)
        };
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some(Identity { certificate, key }) => {
                let chain = read_all(certificate, "certificate").map_err(words)?;
                let secret = PrivateKeyDer::from_pem_file(key)
                    .map_err(|error| words(unreadable(key, &error, "private key")))?;
                let config = builder.with_client_auth_cert(chain, secret);
                config.map_err(|error| match error {
                    Error::InconsistentKeys(_) => format!(
                        "{}: it is not the key of {}",
                        key.display(),
                        certificate.display()
                    ),
                    error => format!("{}: {error}", certificate.display()),
                })?
            }
        };
        Ok(Self {
            config: Arc::new(config),
            server,
        })
    }

    /// Begins a connection.
    ///
    /// # Errors
    /// There are no random numbers.
    pub fn begin(&self) -> io::Result<TlsSession> {
        ClientConnection::new(Arc::clone(&self.config), self.server.clone())
            .map(|connection| TlsSession(Box::new(connection)))
            .map_err(io::Error::other)
    }
}

/// One connection with TLS, on a stream that never blocks.
#[derive(Debug)]
pub struct TlsSession(Box<ClientConnection>);

impl TlsSession {
    /// Reads; `None` for nothing now. What has to be said to go on is written.
    ///
    /// # Errors
    /// The connection is over; [`ErrorKind::UnexpectedEof`] where the broker closed it.
    pub fn receive(
        &mut self,
        stream: &mut (impl Read + Write),
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

    /// Encrypts as much of `bytes` as there is room for, and writes what the stream takes; `None`
    /// for nothing now. What is sent before the handshake is done waits for it.
    ///
    /// # Errors
    /// The connection is over.
    pub fn send(&mut self, stream: &mut impl Write, bytes: &[u8]) -> io::Result<Option<usize>> {
        let count = self.0.writer().write(bytes)?;
        self.flush(stream)?;
        Ok((count > 0).then_some(count))
    }

    /// Writes what is encrypted already, as far as the stream takes it. Returns whether that is
    /// all.
    ///
    /// # Errors
    /// The connection is over.
    pub fn flush(&mut self, stream: &mut impl Write) -> io::Result<bool> {
        while self.0.wants_write() {
            match self.0.write_tls(stream) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Says that nothing more will be sent, with the next [`Self::flush`].
    pub fn close(&mut self) {
        self.0.send_close_notify();
    }

    /// The two sides have not agreed yet.
    pub fn is_handshaking(&self) -> bool {
        self.0.is_handshaking()
    }
}

/// Why there is no TLS with a broker: what the user can do about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsFailure {
    /// Nobody who is trusted vouches for its certificate.
    UnknownIssuer,
    /// Its certificate is over.
    Expired,
    /// Its certificate is not valid yet.
    NotYetValid,
    /// Its certificate is for another host.
    OtherHost,
    /// It shows the certificate of an authority as its own.
    IsAuthority,
    /// It wants a client certificate and got none.
    NoIdentity,
    /// It does not take the client certificate.
    Identity,
    /// What it says is no TLS.
    NoTls,
    /// Anything else, in words.
    Other(String),
}

impl TlsFailure {
    /// What an error of a [`TlsSession`] means; `None` where it has nothing to do with TLS.
    pub fn of(error: &io::Error) -> Option<Self> {
        let error = error.get_ref()?.downcast_ref::<Error>()?;
        Some(match error {
            Error::InvalidCertificate(error) => match error {
                CertificateError::UnknownIssuer => Self::UnknownIssuer,
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    Self::Expired
                }
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    Self::NotYetValid
                }
                error if is_about_the_name(error) => Self::OtherHost,
                CertificateError::Other(other)
                    if other.0.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity) =>
                {
                    Self::IsAuthority
                }
                error => Self::Other(error.to_string()),
            },
            Error::InvalidMessage(_) => Self::NoTls,
            Error::AlertReceived(AlertDescription::CertificateRequired) => Self::NoIdentity,
            Error::AlertReceived(
                AlertDescription::BadCertificate
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::DecryptError
                | AlertDescription::AccessDenied,
            ) => Self::Identity,
            error => Self::Other(error.to_string()),
        })
    }
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownIssuer => "nobody who is trusted vouches for its certificate",
            Self::Expired => "its certificate has expired",
            Self::NotYetValid => "its certificate is not valid yet",
            Self::OtherHost => "its certificate is for another host",
            Self::IsAuthority => "it shows the certificate of an authority as its own",
            Self::NoIdentity => "it wants a client certificate",
            Self::Identity => "it does not take this client certificate",
            Self::NoTls => "what it says is not TLS",
            Self::Other(why) => why,
        })
    }
}

impl std::error::Error for TlsFailure {}

/// All checks but that of the name.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified =
            self.0
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            // The name is looked at last.
            Err(Error::InvalidCertificate(error)) if is_about_the_name(&error) => {
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

const fn is_about_the_name(error: &CertificateError) -> bool {
    matches!(
        error,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
    )
}

/// All of one kind in a file of PEM: at least one.
pub(crate) fn read_all<T: PemObject>(path: &Path, what: &str) -> Result<Vec<T>, SourceError> {
    let all: Vec<T> = T::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable(path, &error, what))?;
    if all.is_empty() {
        return Err(unreadable(path, &pem::Error::NoItemsFound, what));
    }
    Ok(all)
}

/// What is wrong with a file of PEM.
pub(crate) fn unreadable(path: &Path, error: &pem::Error, what: &str) -> SourceError {
    match error {
        pem::Error::Io(error) => SourceError::new(path, error),
        pem::Error::NoItemsFound => SourceError::new(path, format!("there is no {what} in it")),
        error => SourceError::new(path, format!("no {what} can be read from it: {error}")),
    }
}
