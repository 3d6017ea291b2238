//! Where a broker of this command listens, and who may connect: the same for `up` and `broker`.

use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};

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
    /// With --users, who sends a password must still send a right one.
    #[arg(long)]
    pub anonymous: bool,

    /// Users who may connect: a file with a line `name:password` for each
    ///
    /// Empty lines and lines that begin with # are left out.
    #[arg(long, value_name = "FILE")]
    pub users: Option<PathBuf>,
}

/// Where to listen, and who may connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    pub listen: Vec<SocketAddr>,
    /// The addresses are the user's own choice, not the default.
    pub is_chosen: bool,
    /// Who has a password.
    pub users: Vec<Credentials>,
    /// Clients without user name are let in.
    pub anonymous: bool,
    /// The user that was made by `--lan`, who is among `users`: to be printed, and to be used by
    /// the own boards.
    pub generated: Option<Credentials>,
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

impl AccessArgs {
    /// What the flags mean. May make and keep a password.
    ///
    /// # Errors
    /// The network would be let in without anything being said about it; the users can't be read;
    /// the password can't be kept.
    pub fn resolve(&self) -> Result<Access, Error> {
        let is_chosen = self.lan || !self.listen.is_empty();
        let listen = match self.listen.as_slice() {
            [] if self.lan => vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT))],
            [] => vec![SocketAddr::from((Ipv4Addr::LOCALHOST, PORT))],
            chosen => chosen.to_vec(),
        };
        let mut users = match &self.users {
            Some(path) => read_users(path)?,
            None => Vec::new(),
        };
        let generated = if self.lan && !self.anonymous && users.is_empty() {
            Some(generated_user(&state::directory()?)?)
        } else {
            None
        };
        users.extend(generated.clone());
        let open = listen.iter().find(|address| !address.ip().is_loopback());
        if let (Some(address), true, false) = (open, users.is_empty(), self.anonymous) {
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
            anonymous: self.anonymous || users.is_empty(),
            users,
            generated,
        })
    }
}

/// The address in `text`; a name must belong to this machine, `localhost` for example.
fn parse_address(text: &str) -> Result<SocketAddr, String> {
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

/// The users of a file with lines `name:password`.
fn read_users(path: &Path) -> Result<Vec<Credentials>, Error> {
    let failed = || {
        Error::new(
            ExitCode::Usage,
            format!("can't read the users in {}", path.display()),
        )
    };
    let text = fs::read_to_string(path).map_err(|error| failed().because(error))?;
    let mut users: Vec<Credentials> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let number = index + 1;
        let Some((name, password)) = line.split_once(':').filter(|(name, _)| !name.is_empty())
        else {
            return Err(failed()
                .because(format!("line {number} has no user name and colon"))
                .remedy("Each line is `name:password`."));
        };
        if users.iter().any(|user| user.name == name) {
            return Err(failed()
                .because(format!("line {number} names {name} a second time"))
                .remedy("Each user has one line."));
        }
        users.push(Credentials {
            name: name.to_owned(),
            password: password.to_owned(),
        });
    }
    if users.is_empty() {
        return Err(failed()
            .because("there is none")
            .remedy("Each line is `name:password`."));
    }
    Ok(users)
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
        assert!(access.anonymous && !access.is_chosen && access.users.is_empty());
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
        assert!(anonymous.resolve().expect("valid").anonymous);
    }

    #[test]
    fn users_are_read_from_lines_of_name_and_password() {
        let directory = TempDir::new();
        let path = directory.path().join("users");
        fs::write(&path, "# people\nann:a:b \n\nbob:\n").expect("a place to write");
        let users = read_users(&path).expect("valid");
        let pairs: Vec<_> = users
            .iter()
            .map(|user| (user.name.as_str(), user.password.as_str()))
            .collect();
        assert_eq!(pairs, [("ann", "a:b "), ("bob", "")]);
        for (text, cause) in [
            ("ann\n", "line 1 has no user name"),
            ("ann:a\n:b\n", "line 2 has no user name"),
            ("ann:a\nann:b\n", "line 2 names ann a second time"),
            ("# nobody\n", "there is none"),
        ] {
            fs::write(&path, text).expect("a place to write");
            let error = read_users(&path).expect_err(text).to_string();
            assert!(error.contains(cause), "{error}");
        }
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
