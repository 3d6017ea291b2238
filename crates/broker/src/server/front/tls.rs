//! TLS: certificates that can be exchanged while connections are open, and what a client's own
//! certificate says.

use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};

use crate::client_side::{read_all, unreadable};
use crate::config::Tls as Settings;
use crate::sources::SourceError;

/// What new connections are encrypted with.
#[derive(Debug)]
pub(crate) struct Tls(RwLock<Arc<ServerConfig>>);

impl Tls {
    pub(crate) const fn new(config: Arc<ServerConfig>) -> Self {
        Self(RwLock::new(config))
    }

    /// New connections get this; those that are open keep what they have.
    pub(crate) fn install(&self, config: Arc<ServerConfig>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    pub(crate) fn accept(&self) -> io::Result<ServerConnection> {
        let config = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        ServerConnection::new(config).map_err(io::Error::other)
    }
}

/// Reads the certificates.
///
/// # Errors
/// A file can't be read, holds nothing of what it should, or does not go with another one.
pub(crate) fn load(settings: &Settings) -> Result<Arc<ServerConfig>, SourceError> {
    let chain: Vec<CertificateDer<'static>> = read_all(&settings.certificate, "certificate")?;
    let key = PrivateKeyDer::from_pem_file(&settings.key)
        .map_err(|error| unreadable(&settings.key, &error, "private key"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| SourceError::new(&settings.certificate, error))?;
    let builder = match &settings.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => builder.with_client_cert_verifier(client_verifier(settings, path, provider)?),
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => SourceError::new(
                &settings.key,
                format!("it is not the key of {}", settings.certificate.display()),
            ),
            error => SourceError::new(&settings.certificate, error),
        })?;
    // One is enough for a client that comes again.
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

/// The user whom the client's certificate names; `None` without a certificate.
///
/// # Errors
/// There is a certificate, but it names nobody.
pub(super) fn user(connection: &ServerConnection) -> Result<Option<Box<str>>, String> {
    let Some([certificate, ..]) = connection.peer_certificates() else {
        return Ok(None);
    };
    let certificate = webpki::EndEntityCert::try_from(certificate)
        .map_err(|error| format!("the client's certificate can't be read: {error}"))?;
    match common_name(certificate.subject()) {
        Some(name) => Ok(Some(name)),
        None => Err("the client's certificate has no common name, or more than one".to_owned()),
    }
}

fn client_verifier(
    settings: &Settings,
    path: &Path,
    provider: Arc<rustls::crypto::CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, SourceError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_all::<CertificateDer<'static>>(path, "certificate")? {
        roots
            .add(certificate)
            .map_err(|error| SourceError::new(path, error))?;
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    if let Some(path) = &settings.client_crl {
        let lists = read_all::<CertificateRevocationListDer<'static>>(path, "revocation list")?;
        builder = builder.with_crls(lists);
    }
    if !settings.require_client_certificate {
        builder = builder.allow_unauthenticated();
    }
    builder
        .build()
        .map_err(|error| SourceError::new(path, error))
}

/// The one common name in a certificate's subject, given without its outermost tag; `None` when
/// there is none, more than one, or one that is no name.
fn common_name(mut subject: &[u8]) -> Option<Box<str>> {
    let mut found = None;
    while !subject.is_empty() {
        let (mut set, rest) = value(subject, SET)?;
        subject = rest;
        while !set.is_empty() {
            let (attribute, rest) = value(set, SEQUENCE)?;
            set = rest;
            let (kind, text) = value(attribute, OBJECT_IDENTIFIER)?;
            if kind != COMMON_NAME {
                continue;
            }
            let tag = *text.first()?;
            if !matches!(tag, UTF8_STRING | PRINTABLE_STRING | IA5_STRING) {
                return None;
            }
            let name = std::str::from_utf8(value(text, tag)?.0).ok()?;
            if name.is_empty() || name.contains(char::is_control) || found.is_some() {
                return None;
            }
            found = Some(name);
        }
    }
    found.map(Into::into)
}

/// What stands in the first element of `der`, which must have this tag, and what comes behind it.
fn value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[first, length], rest) = der.split_first_chunk()?;
    if first != tag {
        return None;
    }
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81 => (usize::from(*rest.first()?), &rest[1..]),
        0x82 => {
            let (bytes, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*bytes)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;
/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

#[cfg(test)]
mod tests {
    use super::*;

    /// One relative name: a set of one attribute.
    fn attribute(kind: &[u8], tag: u8, text: &[u8]) -> Vec<u8> {
        let element = |tag: u8, content: &[u8]| {
            let length = u8::try_from(content.len()).expect("short");
            [&[tag, length], content].concat()
        };
        let content = [element(OBJECT_IDENTIFIER, kind), element(tag, text)].concat();
        element(SET, &element(SEQUENCE, &content))
    }

    #[test]
    fn a_certificate_names_its_user_by_the_common_name() {
        let organization = attribute(&[0x55, 0x04, 0x0a], UTF8_STRING, b"Lamps");
        let name = |tag, text: &[u8]| attribute(COMMON_NAME, tag, text);
        let subject = [
            &organization[..],
            &name(UTF8_STRING, "l\u{e4}mp".as_bytes()),
        ]
        .concat();
        assert_eq!(common_name(&subject).as_deref(), Some("l\u{e4}mp"));
        assert_eq!(
            common_name(&name(PRINTABLE_STRING, b"lamp")).as_deref(),
            Some("lamp")
        );
        assert_eq!(common_name(&organization), None);
        assert_eq!(common_name(&[]), None);
    }

    #[test]
    fn a_name_that_could_be_read_in_two_ways_is_none() {
        let name = |tag, text: &[u8]| attribute(COMMON_NAME, tag, text);
        let two = [name(UTF8_STRING, b"lamp"), name(UTF8_STRING, b"admin")].concat();
        assert_eq!(common_name(&two), None);
        for (tag, text) in [
            (UTF8_STRING, &b""[..]),
            (UTF8_STRING, b"lamp\0admin"),
            (UTF8_STRING, b"\xff"),
            (0x1e, b"\0l\0a"),
        ] {
            assert_eq!(common_name(&name(tag, text)), None, "{text:?}");
        }
        let whole = name(UTF8_STRING, b"lamp");
        for length in 1..whole.len() {
            assert_eq!(common_name(&whole[..length]), None, "{length}");
        }
    }
}
