//! Where a broker of this command listens, and who may connect: the same for `up` and `broker`.

use std::error::Error as _;
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};

use declic_broker::{BindError, StoreError, Users};

use crate::broker_config::Settings;
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::state;

/// The flags; `#[command(flatten)]` them.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Listening")]
pub struct AccessArgs {
    /// Listen on this address; may be given several times
    ///
    /// Port 0 lets the system choose a port, which is printed. The default is 127.0.0.1:1883,
    /// which only this machine can reach.
    #[arg(long, value_name = "ADDR:PORT", value_parser = parse_address)]
    pub listen: Vec<SocketAddr>,

    /// Open the broker to the network, and ask every client for a password
    ///
    /// Listens on 0.0.0.0:1883 unless --listen says otherwise. The user's name is `declic`; the
    /// password is made once, printed, and kept in the state directory (DECLIC_STATE_DIR).
    #[arg(long)]
    pub lan: bool,

    /// Let clients connect without a password, also from the network
    ///
    /// Boards that can't send a password need it, those of the MicroPython tutorial for example.
    /// With --users, only clients that give no user name.
    #[arg(long)]
    pub anonymous: bool,

    /// Users who may connect: a file with a line `name:password` for each
    ///
    /// `declic broker passwd` puts hashed passwords in it; password files of Mosquitto may be used
    /// as they are. Empty lines and lines that begin with # are left out.
    #[arg(long, value_name = "FILE")]
    pub users: Option<PathBuf>,

    /// What else is listened on.
    #[arg(skip)]
    pub others: Others,
}

/// What is listened on besides plain TCP.
#[derive(Debug, Clone, Default)]
pub struct Others {
    /// There is something, so nothing is listened on by default.
    pub is_any: bool,
    /// Addresses at which whoever reaches them needs no certificate.
    pub open: Vec<SocketAddr>,
}

/// Where to listen, and who may connect.
#[derive(Debug, Clone)]
pub struct Access {
    pub listen: Vec<SocketAddr>,
    /// The addresses are the user's own choice, not the default.
    pub is_chosen: bool,
    /// Who may connect, for the broker.
    pub access: declic_broker::Access,
    /// A user who may connect; the command's own boards do as that one. `None`: anyone may.
    pub own: Option<Credentials>,
    /// `own` was made by `--lan` and is to be printed.
    pub is_generated: bool,
}

/// A user name and its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub name: String,
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The password shall not end up in a log.
        f.debug_struct("Credentials")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl From<&Settings> for AccessArgs {
    fn from(settings: &Settings) -> Self {
        Self {
            listen: settings.listen.clone(),
            lan: settings.lan,
            anonymous: settings.anonymous,
            users: settings.users.clone(),
            others: Others::default(),
        }
    }
}

impl AccessArgs {
    /// Puts what the flags say above what a configuration says.
    pub fn apply(&self, settings: &mut Settings) {
        if !self.listen.is_empty() {
            settings.listen.clone_from(&self.listen);
        }
        settings.lan |= self.lan;
        if self.anonymous || self.users.is_some() {
            settings.anonymous = self.anonymous;
            settings.users.clone_from(&self.users);
        }
    }

    /// What the flags mean. May make and keep a password.
    ///
    /// # Errors
    /// The network would be let in without anything being said about it; the users can't be read;
    /// the password can't be kept.
    pub fn resolve(&self) -> Result<Access, Error> {
        let is_chosen = self.lan || !self.listen.is_empty();
        let listen = match self.listen.as_slice() {
            [] if self.others.is_any => Vec::new(),
            [] if self.lan => vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT))],
            [] => vec![SocketAddr::from((Ipv4Addr::LOCALHOST, PORT))],
            chosen => chosen.to_vec(),
        };
        let is_generated = self.lan && !self.anonymous && self.users.is_none();
        let (access, own) = if let Some(path) = &self.users {
            let access = declic_broker::Access::File {
                path: path.clone(),
                anonymous: self.anonymous,
            };
            (access, read_users(path)?.1)
        } else if is_generated {
            let user = generated_user(&state::directory()?)?;
            let users = Users::one(&user.name, &user.password).map_err(|error| {
                Error::new(ExitCode::Failure, "can't use the kept password").because(error)
            })?;
            (declic_broker::Access::Passwords(users), Some(user))
        } else {
            (declic_broker::Access::Anonymous, None)
        };
        let reached = listen.iter().chain(&self.others.open);
        let open = reached
            .into_iter()
            .find(|address| !address.ip().is_loopback());
        let is_guarded = own.is_some() || self.users.is_some() || self.anonymous;
        if let (Some(address), false) = (open, is_guarded) {
            return Err(Error::new(
                ExitCode::Usage,
                format!("can't listen on {address}"),
            )
            .because("it can be reached from the network, and nothing says who may connect")
            .remedy(
                "Add --lan for a generated password, --users FILE, or --anonymous to let anyone in.",
            ));
        }
        Ok(Access {
            listen,
            is_chosen,
            access,
            own,
            is_generated,
        })
    }
}

/// Why the broker can't listen, with what to do about it.
pub fn cannot_listen(error: &BindError) -> Error {
    if let Some(file) = error.file() {
        return Error::new(ExitCode::Usage, "can't start the broker").because(file);
    }
    if let Some(error) = error.store_error() {
        return cannot_store(error);
    }
    let what = match error.address() {
        Some(address) => format!("can't listen on {address}"),
        None => "can't listen".to_owned(),
    };
    let (cause, remedy) = match error.kind() {
        ErrorKind::AddrInUse => (
            "the address is in use".to_owned(),
            "Stop the other program, or let the system choose a port: --listen 127.0.0.1:0",
        ),
        ErrorKind::PermissionDenied => (
            "no permission".to_owned(),
            "Take a port above 1023: --listen 127.0.0.1:1883",
        ),
        ErrorKind::AddrNotAvailable => (
            "it is no address of this machine".to_owned(),
            "0.0.0.0 stands for all of its addresses.",
        ),
        _ => (
            error
                .source()
                .map_or_else(|| error.to_string(), ToString::to_string),
            "Choose another address with --listen.",
        ),
    };
    Error::new(ExitCode::CannotListen, what)
        .because(cause)
        .remedy(remedy)
}

fn cannot_store(error: &StoreError) -> Error {
    let remedy = match error {
        StoreError::InUse(_) => "Stop the other broker, or take another directory.",
        StoreError::Foreign(_) => "Take a directory of its own: --store DIR",
        StoreError::Newer { .. } => "Use the newer version, or take another directory.",
        StoreError::Damaged { .. } => {
            "Go on with a backup: --store DIR with the directory that it was made in."
        }
        _ => "Take a directory that can be written to: --store DIR",
    };
    Error::new(ExitCode::CannotStore, "can't use the store")
        .because(error)
        .remedy(remedy)
}

/// The address in `text`; a name must belong to this machine, `localhost` for example.
pub fn parse_address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Err(format!(
            "the port is missing; {} is meant?",
            SocketAddr::new(ip, PORT)
        ));
    }
    text.to_socket_addrs()
        .ok()
        .and_then(|mut addresses| addresses.next())
        .ok_or_else(|| "an address and a port are needed, as in 127.0.0.1:1883".to_owned())
}

/// The users of a file with lines `name:password`, and the first of them whose password is not
/// hashed.
fn read_users(path: &Path) -> Result<(Users, Option<Credentials>), Error> {
    let failed = || {
        Error::new(
            ExitCode::Usage,
            format!("can't read the users in {}", path.display()),
        )
    };
    let text = fs::read_to_string(path).map_err(|error| failed().because(error))?;
    let users = Users::parse(&text).map_err(|error| failed().because(error))?;
    let first = text
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| users.is_plain(name))
        .map(|(name, password)| Credentials {
            name: name.to_owned(),
            password: password.to_owned(),
        });
    Ok((users, first))
}

/// The user of `--lan`, with the password kept in `directory`.
fn generated_user(directory: &Path) -> Result<Credentials, Error> {
    Ok(Credentials {
        name: LAN_USER.to_owned(),
        password: state::keep(directory, LAN_PASSWORD, generate_password)?,
    })
}

/// Four groups of five characters, 100 bits, that are easy to type on another machine.
fn generate_password() -> Result<String, Error> {
    let mut random = [0; 20];
    getrandom::fill(&mut random).map_err(|error| {
        Error::new(ExitCode::Failure, "can't make a password")
            .because(format!("the system gives no random bytes ({error})"))
    })?;
    let mut password = String::new();
    for (index, byte) in random.iter().enumerate() {
        if index > 0 && index % 5 == 0 {
            password.push('-');
        }
        password.push(char::from(ALPHABET[usize::from(byte % 32)]));
    }
    Ok(password)
}

/// The port of MQTT without TLS.
const PORT: u16 = 1883;
const LAN_USER: &str = "declic";
const LAN_PASSWORD: &str = "lan-password";
/// No `l`, `o`, `0`, `1`: they look like each other.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TempDir;

    fn args(listen: &[&str]) -> AccessArgs {
        AccessArgs {
            listen: listen
                .iter()
                .map(|text| parse_address(text).expect("a valid address"))
                .collect(),
            ..AccessArgs::default()
        }
    }

    #[test]
    fn without_flags_only_this_machine_may_connect_and_needs_no_password() {
        let access = args(&[]).resolve().expect("valid");
        assert_eq!(access.listen, [SocketAddr::from(([127, 0, 0, 1], 1883))]);
        assert!(!access.is_chosen && access.own.is_none());
        assert!(matches!(access.access, declic_broker::Access::Anonymous));
    }

    #[test]
    fn the_network_is_let_in_only_when_someone_said_how() {
        let error = args(&["127.0.0.1:0", "0.0.0.0:0"])
            .resolve()
            .expect_err("open");
        assert_eq!(error.exit_code(), ExitCode::Usage);
        assert!(error.to_string().contains("0.0.0.0:0"), "{error}");
        let mut anonymous = args(&["0.0.0.0:0"]);
        anonymous.anonymous = true;
        let access = anonymous.resolve().expect("valid");
        assert!(access.own.is_none() && access.is_chosen);
    }

    #[test]
    fn users_are_read_from_lines_of_name_and_password() {
        let directory = TempDir::new();
        let path = directory.path().join("users");
        fs::write(&path, "# people\nann:a:b \n\nbob:c\n").expect("a place to write");
        let (users, first) = read_users(&path).expect("valid");
        assert_eq!(users.len(), 2);
        let first = first.expect("a plain password");
        assert_eq!(
            (first.name.as_str(), first.password.as_str()),
            ("ann", "a:b ")
        );
        fs::write(&path, "ann\n").expect("a place to write");
        let error = read_users(&path).expect_err("no colon").to_string();
        assert!(error.contains("users: line 1: no `:`"), "{error}");
    }

    #[test]
    fn a_generated_password_is_long_kept_and_never_the_same() {
        let (one, other) = (TempDir::new(), TempDir::new());
        let user = generated_user(one.path()).expect("a password");
        assert!(user.password.len() >= 16, "{}", user.password.len());
        assert_eq!(generated_user(one.path()).expect("a password"), user);
        assert_ne!(generated_user(other.path()).expect("a password"), user);
        assert!(!format!("{user:?}").contains(&user.password));
    }

    #[test]
    fn an_address_needs_a_port() {
        assert_eq!(
            parse_address("0.0.0.0").expect_err("no port"),
            "the port is missing; 0.0.0.0:1883 is meant?"
        );
        assert!(parse_address("[::1]:0").is_ok());
        assert!(parse_address("nonsense").is_err());
    }
}
