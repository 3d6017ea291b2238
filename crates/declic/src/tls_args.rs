//! The flags about TLS and WebSocket, with the meaning they have in `mosquitto_pub` and
//! `mosquitto_sub`.

use std::path::{Path, PathBuf};

use declic_broker::client_side::{Identity, Tls, Trust};

use crate::client_args::{CONNECTION, usage};
use crate::error::Error;
use crate::url::BrokerUrl;

#[derive(Debug, clap::Args)]
pub struct TlsArgs {
    /// Use TLS; the broker's certificate must be signed by one in this file of PEM
    #[arg(long, value_name = "FILE", help_heading = TLS)]
    cafile: Option<PathBuf>,

    /// Use TLS; the broker's certificate must be signed by one in a file of this directory
    #[arg(long, value_name = "DIRECTORY", help_heading = TLS)]
    capath: Option<PathBuf>,

    /// Use TLS; the broker's certificate must be one that this system trusts
    ///
    /// That is also so with mqtts:// and wss://, where neither --cafile nor --capath is given.
    #[arg(long, help_heading = TLS)]
    tls_use_os_certs: bool,

    /// Certificate of this client, in a file of PEM
    #[arg(long, value_name = "FILE", requires = "key", help_heading = TLS)]
    cert: Option<PathBuf>,

    /// Private key of --cert, in a file of PEM
    #[arg(long, value_name = "FILE", requires = "cert", help_heading = TLS)]
    key: Option<PathBuf>,

    /// Take a certificate that is for another host: for tests only
    #[arg(long, help_heading = TLS)]
    insecure: bool,

    /// Path of a WebSocket (with -L ws:// and wss://)
    #[arg(long, value_name = "PATH", default_value = "/mqtt", value_parser = parse_path,
        help_heading = CONNECTION)]
    ws_path: String,
}

impl TlsArgs {
    /// Whether TLS is asked for, whatever the URL says.
    pub const fn asks_for_tls(&self) -> bool {
        self.cafile.is_some() || self.capath.is_some() || self.tls_use_os_certs
    }

    /// TLS to this broker; `None` where its URL is of one without.
    ///
    /// # Errors
    /// A file can't be used, or there is nothing to trust.
    pub fn tls(&self, url: &BrokerUrl) -> Result<Option<Tls>, Error> {
        if !url.scheme.is_encrypted() {
            if self.insecure || self.cert.is_some() {
                return Err(usage("--cert and --insecure are about TLS")
                    .because("there is none")
                    .remedy("Add --cafile, or take -L mqtts://HOST."));
            }
            return Ok(None);
        }
        let no_tls = |cause: &dyn std::fmt::Display| usage("can't use TLS").because(cause);
        let mut trust = Trust::nobody();
        if let Some(path) = &self.cafile {
            trust.add_file(path).map_err(|error| no_tls(&error))?;
        }
        if let Some(path) = &self.capath {
            add_directory(&mut trust, path)?;
        }
        if self.tls_use_os_certs || (self.cafile.is_none() && self.capath.is_none()) {
            let found = rustls_native_certs::load_native_certs();
            if trust.add_der(found.certs) == 0 {
                let why = found.errors.first().map(ToString::to_string);
                let why = why.unwrap_or_else(|| "the system trusts nobody".to_owned());
                return Err(no_tls(&why).remedy("Say with --cafile which certificate to trust."));
            }
        }
        if self.insecure {
            trust = trust.of_any_name();
        }
        let identity = self.cert.clone().zip(self.key.clone());
        let identity = identity.map(|(certificate, key)| Identity { certificate, key });
        let tls = Tls::new(trust, identity.as_ref(), &url.host);
        tls.map(Some).map_err(|error| no_tls(&error))
    }

    /// The path of a WebSocket, where the URL is of one.
    pub fn websocket(&self, url: &BrokerUrl) -> Option<String> {
        url.scheme.is_websocket().then(|| self.ws_path.clone())
    }
}

/// Trusts all certificates in the files of a directory; other files are passed over.
fn add_directory(trust: &mut Trust, path: &Path) -> Result<(), Error> {
    let unreadable = |cause: &dyn std::fmt::Display| {
        usage(format!("can't use the certificates in {}", path.display())).because(cause)
    };
    let entries = std::fs::read_dir(path).map_err(|error| unreadable(&error))?;
    let mut is_any = false;
    for entry in entries {
        let file = entry.map_err(|error| unreadable(&error))?.path();
        is_any |= file.is_file() && trust.add_file(&file).is_ok();
    }
    if is_any {
        return Ok(());
    }
    Err(unreadable(&"there is none"))
}

fn parse_path(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_graphic();
    if text.starts_with('/') && text.bytes().all(is_plain) {
        return Ok(text.to_owned());
    }
    Err("it begins with / and has no spaces".to_owned())
}

const TLS: &str = "TLS";
