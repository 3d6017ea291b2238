//! How a broker is set up.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
#[cfg(feature = "hashes")]
use std::sync::Arc;
use std::time::Duration;

use crate::engine::Limits;
#[cfg(feature = "hashes")]
use crate::hashes::Hash;

/// Everything a [`Broker`](crate::Broker) has to know. The default listens on 127.0.0.1:1883 and
/// accepts everyone there.
///
/// ```
/// use declic_broker::{Access, Config, Users};
///
/// let config = Config {
///     listeners: vec!["127.0.0.1:0".parse()?],
///     access: Access::Passwords(Users::parse("lamp:secret")?),
///     ..Config::default()
/// };
/// # let _ = config;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen for plain TCP. Port 0 lets the system choose.
    pub listeners: Vec<SocketAddr>,
    /// Unix sockets to listen on. Who may enter the directory may connect.
    pub unix: Vec<PathBuf>,
    /// Where to listen for MQTT with TLS. Needs the feature `tls`, and [`Self::tls`].
    pub tls_listeners: Vec<SocketAddr>,
    /// Where to listen for HTTP: MQTT over WebSocket at `/mqtt`, and pages about the broker. Needs
    /// the feature `http`.
    pub http_listeners: Vec<SocketAddr>,
    /// The same with TLS. Needs the features `http` and `tls`, and [`Self::tls`].
    pub https_listeners: Vec<SocketAddr>,
    /// Certificates for the listeners with TLS.
    pub tls: Option<Tls>,
    /// Whether other machines may see pages that tell about the broker, too. `/health` may be seen
    /// by everyone.
    pub public_pages: bool,
    /// Web pages that may connect over WebSocket although they come from another host, such as
    /// `https://example.org`; `*` for all. Pages from the same host need not be here where that is
    /// an address, or a name outside of the Internet's DNS (`nas`, `nas.local`); what is no browser
    /// names no page, and need not be here either.
    pub web_origins: Vec<String>,
    /// Threads for TLS, WebSocket and HTTP, and as many for hashing passwords; 0 for one per core,
    /// four at most, and sixteen for passwords.
    pub threads: usize,
    /// Who may connect.
    pub access: Access,
    /// A file that says who may publish and read what, in the form that
    /// [`Rights::parse`](crate::Rights::parse) reads; `None` lets everyone do everything. It is read
    /// again with [`Handle::reload`](crate::Handle::reload).
    pub rights: Option<PathBuf>,
    /// What clients may use up.
    pub limits: Limits,
    /// How often the topics below `$SYS/broker` are brought up to date; zero for no such topics.
    pub sys_interval: Duration,
    /// A client of 5.0 that asks for response information is told this topic, a slash and its
    /// client identifier. Empty for nothing.
    pub response_prefix: String,
    /// After how much silence TCP asks whether a peer is still there, for clients that announce no
    /// keep-alive of their own; zero for never. Only begun seconds count.
    pub tcp_keep_alive: Duration,
    /// Where retained messages and lasting sessions are kept; `None` keeps them in memory only.
    #[cfg(feature = "store")]
    pub store: Option<crate::StoreConfig>,
    /// Keys the hash tables; random by default. Fix it only to replay something.
    pub hash_seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listeners: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT))],
            unix: Vec::new(),
            tls_listeners: Vec::new(),
            http_listeners: Vec::new(),
            https_listeners: Vec::new(),
            tls: None,
            public_pages: false,
            web_origins: Vec::new(),
            threads: 0,
            access: Access::Anonymous,
            rights: None,
            limits: Limits::default(),
            sys_interval: Duration::ZERO,
            response_prefix: String::new(),
            tcp_keep_alive: Duration::from_secs(60),
            #[cfg(feature = "store")]
            store: None,
            hash_seed: random(),
        }
    }
}

impl Config {
    /// The default, but listening on `address` only.
    pub fn listening_on(address: SocketAddr) -> Self {
        Self {
            listeners: vec![address],
            ..Self::default()
        }
    }

    /// Threads for TLS, WebSocket and HTTP.
    #[cfg(any(feature = "tls", feature = "http"))]
    pub(crate) fn workers(&self) -> usize {
        self.one_per_core(4)
    }

    /// Threads for hashing passwords: all cores, since nobody is served before his is hashed.
    #[cfg(feature = "hashes")]
    pub(crate) fn hashing_workers(&self) -> usize {
        self.one_per_core(16)
    }

    #[cfg(any(feature = "tls", feature = "http", feature = "hashes"))]
    fn one_per_core(&self, most: usize) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, |count| count.get().min(most)),
            threads => threads,
        }
    }
}

/// Certificates, all in files of PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The broker's certificate, and behind it those that lead to one that clients trust.
    pub certificate: PathBuf,
    /// The key of the first certificate.
    pub key: PathBuf,
    /// Certificates whose holders may vouch for clients. A client with a certificate from one of
    /// them is the user whom the certificate's common name says, and needs no password.
    pub client_ca: Option<PathBuf>,
    /// Clients' certificates that count no more, from the same authorities.
    pub client_crl: Option<PathBuf>,
    /// Whether clients without a certificate are turned away.
    pub require_client_certificate: bool,
}

/// Who may connect.
#[derive(Debug, Clone)]
pub enum Access {
    /// Everyone, whatever name and password they give.
    Anonymous,
    /// Those who give the name and the password of one of the users.
    Passwords(Users),
    /// Those of a file in the form that [`Users::parse`] reads. It is read again with
    /// [`Handle::reload`](crate::Handle::reload).
    File {
        /// The file.
        path: PathBuf,
        /// Whether clients that give no user name may connect too.
        anonymous: bool,
    },
}

/// User names with their passwords: at least one, none of them empty.
#[derive(Clone)]
pub struct Users(BTreeMap<Box<str>, Secret>);

/// What a user has to know.
#[derive(Clone)]
pub(crate) enum Secret {
    Plain(Box<[u8]>),
    #[cfg(feature = "hashes")]
    Hashed(Arc<Hash>),
}

impl Users {
    /// One user.
    ///
    /// # Errors
    /// Name or password are empty, or the name contains `:`.
    pub fn one(name: &str, password: &str) -> Result<Self, InvalidUsers> {
        let mut users = Self(BTreeMap::new());
        users
            .insert(name, password)
            .map_err(|why| InvalidUsers::new(1, "", why))?;
        Ok(users)
    }

    /// Users from a text with a line `name:password` for each. Lines that are empty or begin with
    /// `#` say nothing. The password is all behind the first `:`, as it is or, with the feature
    /// `hashes`, as [`hash_password`](crate::hash_password) makes it; the password files of Mosquitto
    /// may be used as they are. What looks like a hash and is none is an error.
    ///
    /// # Errors
    /// The line that is wrong, and why. A text without any user is an error too: it never means
    /// that everyone may connect.
    pub fn parse(text: &str) -> Result<Self, InvalidUsers> {
        let mut users = Self(BTreeMap::new());
        let mut last = 0;
        for (number, line) in (1..).zip(text.lines()) {
            last = number;
            // Not trimmed at the end: a password may end with a space.
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let added = match line.split_once(':') {
                Some((name, password)) => users.insert(name, password),
                None => Err(UsersProblem::NoColon),
            };
            added.map_err(|why| InvalidUsers::new(number, line, why))?;
        }
        if users.0.is_empty() {
            return Err(InvalidUsers::new(last.max(1), "", UsersProblem::NoUser));
        }
        Ok(users)
    }

    /// How many there are.
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    fn insert(&mut self, name: &str, password: &str) -> Result<(), UsersProblem> {
        if name.is_empty() || name.contains(':') {
            return Err(UsersProblem::Name);
        }
        if password.is_empty() {
            return Err(UsersProblem::NoPassword);
        }
        let secret = match parse_hash(password) {
            None => Secret::Plain(password.as_bytes().into()),
            Some(hash) => hash.map_err(UsersProblem::Hash)?,
        };
        match self.0.insert(name.into(), secret) {
            Some(_) => Err(UsersProblem::Twice),
            None => Ok(()),
        }
    }

    /// The names of all users, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|name| &**name)
    }

    /// Whether the password of a user is kept as it is, and not as a hash.
    pub fn is_plain(&self, name: &str) -> bool {
        matches!(self.0.get(name), Some(Secret::Plain(_)))
    }

    /// The user of a name.
    pub(crate) fn secret(&self, name: &str) -> Option<&Secret> {
        self.0.get(name)
    }

    /// What to check for a name that does not exist: the secret of any user, chosen by `pick`, so
    /// that it takes as long as for a user, also where their passwords are kept in several ways.
    #[cfg(feature = "hashes")]
    pub(crate) fn stand_in(&self, pick: u64) -> Option<&Secret> {
        let count = self.0.len().max(1) as u64;
        self.0.values().nth((pick % count) as usize)
    }
}

impl fmt::Debug for Users {
    /// Shows no passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Why a text holds no users, and in which line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidUsers {
    line: usize,
    column: usize,
    why: UsersProblem,
}

impl InvalidUsers {
    fn new(number: usize, line: &str, why: UsersProblem) -> Self {
        let behind_name = || line.chars().take_while(|one| *one != ':').count() + 2;
        Self {
            line: number,
            column: match why {
                UsersProblem::NoPassword | UsersProblem::Hash(_) => behind_name(),
                _ => 1,
            },
            why,
        }
    }

    /// The column in characters, counted from 1.
    pub const fn column(&self) -> usize {
        self.column
    }

    /// What is wrong, without the place.
    pub(crate) const fn cause(&self) -> &'static str {
        match self.why {
            UsersProblem::NoColon => "no `:` between name and password",
            UsersProblem::Name => "a user name is empty or contains `:`",
            UsersProblem::NoPassword => "the password is empty",
            UsersProblem::Twice => "the user is there already",
            UsersProblem::NoUser => "no user at all; write one as `name:password`",
            UsersProblem::Hash(why) => why,
        }
    }

    /// The line, counted from 1.
    pub const fn line(&self) -> usize {
        self.line
    }
}

impl fmt::Display for InvalidUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.cause())
    }
}

impl std::error::Error for InvalidUsers {}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UsersProblem {
    NoColon,
    Name,
    NoPassword,
    Twice,
    NoUser,
    Hash(&'static str),
}

/// `None` for what is no hash, but a password.
#[cfg(feature = "hashes")]
fn parse_hash(text: &str) -> Option<Result<Secret, &'static str>> {
    Some(Hash::parse(text)?.map(|hash| Secret::Hashed(Arc::new(hash))))
}

#[cfg(not(feature = "hashes"))]
fn parse_hash(text: &str) -> Option<Result<Secret, &'static str>> {
    let known = ["$argon2", "$6$", "$7$"];
    known
        .iter()
        .any(|scheme| text.starts_with(scheme))
        .then_some(Err(
            "hashes are not built in (feature `hashes` of declic-broker)",
        ))
}

pub(crate) fn equal_in_constant_time(expected: &[u8], given: &[u8]) -> bool {
    let mut difference = u8::from(expected.len() != given.len());
    for (index, byte) in given.iter().enumerate() {
        let other = expected.get(index).copied().unwrap_or(!byte);
        difference |= std::hint::black_box(byte ^ other);
    }
    difference == 0
}

/// The standard library's hash keys are random.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

const DEFAULT_PORT: u16 = 1883;

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        Users::parse(text).expect_err("no users").to_string()
    }

    #[test]
    fn an_empty_or_malformed_user_file_never_means_everyone() {
        assert!(problem("").starts_with("line 1: no user at all"));
        assert!(problem("# only\n\n# comments\n").starts_with("line 3: no user at all"));
        assert_eq!(
            problem("a:b\nnobody"),
            "line 2: no `:` between name and password"
        );
        assert_eq!(
            problem(":b"),
            "line 1: a user name is empty or contains `:`"
        );
        assert_eq!(problem("a:"), "line 1: the password is empty");
        assert_eq!(problem("a:b\n\na:c"), "line 3: the user is there already");
        assert_eq!(Users::parse("a:b\nc").expect_err("malformed").line(), 2);
    }

    #[test]
    fn passwords_are_not_printed() {
        let users = Users::one("lamp", "secret").expect("a user");
        assert_eq!(format!("{users:?}"), r#"{"lamp"}"#);
        assert!(Users::one("", "x").is_err());
    }
}
