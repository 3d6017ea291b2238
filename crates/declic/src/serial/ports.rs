//! The serial ports of this machine, and which one a board is likely on.

use std::io::ErrorKind as IoErrorKind;
use std::path::Path;

use serialport::{ErrorKind, SerialPortType};

use crate::error::Error;
use crate::exit_code::ExitCode;

/// A serial port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPort {
    /// As the system names it: `/dev/ttyUSB0`, `COM3`.
    pub name: String,
    /// What is known about it where it is on USB.
    pub usb: Option<Usb>,
}

/// What a USB device says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Usb {
    pub vendor: u16,
    pub product: u16,
    pub serial_number: Option<String>,
    pub product_name: Option<String>,
}

impl FoundPort {
    /// The port with that name; what is on it is looked up where the system knows it.
    pub fn named(name: &str) -> Self {
        let real = std::fs::canonicalize(name).ok();
        let real = real.as_deref().and_then(Path::to_str).unwrap_or(name);
        let known = list().into_iter().find(|port| port.name == real);
        Self {
            name: name.to_owned(),
            usb: known.and_then(|port| port.usb),
        }
    }

    /// Whether boards have such a port.
    pub fn is_board(&self) -> bool {
        self.usb.as_ref().is_some_and(|usb| usb.kind().is_some())
    }

    /// What is on it, for people.
    pub fn description(&self) -> String {
        let Some(usb) = &self.usb else {
            return "not on USB".to_owned();
        };
        let id = format!("{:04x}:{:04x}", usb.vendor, usb.product);
        match (usb.kind(), &usb.product_name) {
            (Some(kind), _) => format!("{kind} ({id})"),
            (None, Some(name)) => format!("{} ({id})", printable(name)),
            (None, None) => format!("unknown USB device ({id})"),
        }
    }

    /// Finds the same device again after it was unplugged: under its name, or, since that may have
    /// gone to another device, under what it says of itself.
    pub fn find_again(&self) -> Option<Self> {
        let Some(usb) = &self.usb else {
            return Path::new(&self.name).exists().then(|| self.clone());
        };
        // A link to the port is what the user named, and is better kept than what it leads to.
        let is_link = std::fs::symlink_metadata(&self.name).is_ok_and(|meta| meta.is_symlink());
        if is_link && Path::new(&self.name).exists() {
            return Some(self.clone());
        }
        let mut ports = list();
        ports.retain(|port| port.usb.as_ref().is_some_and(|other| other.is_same(usb)));
        let same_name = ports.iter().position(|port| port.name == self.name);
        ports.into_iter().nth(same_name.unwrap_or(0))
    }
}

impl Usb {
    /// What kind of port it is, if boards have it.
    fn kind(&self) -> Option<&'static str> {
        KINDS
            .iter()
            .find(|(vendor, products, _)| {
                *vendor == self.vendor && (products.is_empty() || products.contains(&self.product))
            })
            .map(|(.., kind)| *kind)
    }

    fn is_same(&self, other: &Self) -> bool {
        (self.vendor, self.product, &self.serial_number)
            == (other.vendor, other.product, &other.serial_number)
    }
}

/// All serial ports, those of boards first. A system that tells nothing has none.
pub fn list() -> Vec<FoundPort> {
    // The crate expects it to be there.
    if cfg!(target_os = "linux") && !Path::new("/sys/class/tty").is_dir() {
        return Vec::new();
    }
    let ports = serialport::available_ports().unwrap_or_default();
    let mut ports: Vec<_> = ports
        .into_iter()
        // macOS shows each port twice; opening this one waits for a modem to call.
        .filter(|port| !(cfg!(target_os = "macos") && port.port_name.starts_with("/dev/tty.")))
        .map(|port| FoundPort {
            name: port.port_name,
            usb: match port.port_type {
                SerialPortType::UsbPort(usb) => Some(Usb {
                    vendor: usb.vid,
                    product: usb.pid,
                    serial_number: usb.serial_number,
                    product_name: usb.product,
                }),
                _ => None,
            },
        })
        .collect();
    ports.sort_by(|one, other| {
        let rank = |port: &FoundPort| (!port.is_board(), port.usb.is_none());
        (rank(one), &one.name).cmp(&(rank(other), &other.name))
    });
    ports
}

/// The port that was asked for, or the only one that a board is likely on.
///
/// # Errors
/// There is none, or there are several.
pub fn choose(wanted: Option<&str>) -> Result<FoundPort, Error> {
    match wanted {
        Some(name) => Ok(FoundPort::named(name)),
        None => choose_from(list()),
    }
}

fn choose_from(mut ports: Vec<FoundPort>) -> Result<FoundPort, Error> {
    // Without a board's own kind of port, any other on USB will do: there are more chips on cables
    // than anyone can list.
    let only_boards = ports.iter().any(FoundPort::is_board);
    ports.retain(|port| {
        if only_boards {
            port.is_board()
        } else {
            port.usb.is_some()
        }
    });
    match ports.as_slice() {
        [] => Err(Error::new(ExitCode::Failure, "no board found")
            .because("there is no USB serial port")
            .remedy(
                "Plug it in with a cable that carries data, not only power. If it is and `declic \
             boards` does not show it, its driver is missing (CP210x or CH340); --port names a \
             port that is not on USB.",
            )),
        [_] => Ok(ports.remove(0)),
        several => {
            let names: Vec<_> = several
                .iter()
                .map(|port| format!("{} ({})", port.name, port.description()))
                .collect();
            let cause = format!("found {}", names.join(", "));
            Err(Error::new(ExitCode::Usage, "more than one board")
                .because(cause)
                .remedy(format!("Say which one: --port {}", several[0].name)))
        }
    }
}

/// What opening the port `name` failed with.
pub fn open_error(name: &str, error: &serialport::Error) -> Error {
    let what = format!("can't open {name}");
    let failed = |cause: &str, remedy: &str| {
        Error::new(ExitCode::Failure, what.clone())
            .because(cause)
            .remedy(remedy)
    };
    match error.kind() {
        ErrorKind::Io(IoErrorKind::PermissionDenied) if cfg!(target_os = "linux") => {
            let group = owning_group(Path::new(name));
            failed(
                "permission denied",
                &format!(
                    "Serial ports belong to the group `{group}`: run `sudo usermod -aG {group} \
                     $USER`, then log out and in again."
                ),
            )
        }
        ErrorKind::Io(IoErrorKind::PermissionDenied) => failed(
            "permission denied",
            "Another program may be using it: close other serial monitors.",
        ),
        ErrorKind::Io(IoErrorKind::NotFound) => failed(
            "there is no such port",
            "`declic boards` lists those that there are.",
        ),
        // Busy, or locked by another program.
        ErrorKind::NoDevice if Path::new(name).exists() => failed(
            "another program is using it",
            "Close other serial monitors (`declic monitor`, the Arduino IDE, screen).",
        ),
        ErrorKind::NoDevice => failed(
            "there is no such port",
            "`declic boards` lists those that there are.",
        ),
        _ => failed(&error.description, "Is it a serial port?"),
    }
}

/// The group that serial ports belong to: `dialout` nearly everywhere, `uucp` on Arch.
#[cfg(unix)]
fn owning_group(port: &Path) -> String {
    use std::os::unix::fs::MetadataExt as _;

    let id = std::fs::metadata(port).map(|meta| meta.gid()).ok();
    let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
    id.and_then(|id| group_name(&groups, id))
        .unwrap_or_else(|| "dialout".to_owned())
}

#[cfg(not(unix))]
fn owning_group(_: &Path) -> String {
    "dialout".to_owned()
}

/// The name of the group `id`, unless it is root's.
#[cfg(unix)]
fn group_name(groups: &str, id: u32) -> Option<String> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (id != 0 && number.parse() == Ok(id)).then(|| name.to_owned())
    })
}

/// `text` without what could do something to a terminal: devices choose their names.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|char| if char.is_control() { '?' } else { char })
        .collect()
}

/// USB vendors and products of ports that boards have; without products, all of the vendor's.
const KINDS: &[(u16, &[u16], &str)] = &[
    (0x303a, &[0x1001], "Espressif USB JTAG/serial"),
    (0x303a, &[], "Espressif USB device"),
    (0x10c4, &[], "Silicon Labs CP210x"),
    (0x1a86, &[0x7522, 0x7523], "WCH CH340"),
    (
        0x1a86,
        &[0x55d2, 0x55d3, 0x55d4, 0x55d8],
        "WCH CH343/CH9102",
    ),
    (0x1a86, &[], "WCH serial"),
    (0x0403, &[], "FTDI"),
    (0x067b, &[], "Prolific PL2303"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: &str, vendor: u16, product: u16) -> FoundPort {
        FoundPort {
            name: name.to_owned(),
            usb: Some(Usb {
                vendor,
                product,
                product_name: Some("Thing\x1b[2J".to_owned()),
                ..Usb::default()
            }),
        }
    }

    fn plain(name: &str) -> FoundPort {
        FoundPort {
            name: name.to_owned(),
            usb: None,
        }
    }

    #[test]
    fn the_only_board_is_taken_and_a_printer_beside_it_is_not() {
        let board = port("/dev/ttyUSB1", 0x10c4, 0xea60);
        let ports = vec![
            plain("/dev/ttyS0"),
            port("/dev/ttyACM0", 0x1234, 1),
            board.clone(),
        ];
        assert_eq!(choose_from(ports).expect("one"), board);
    }

    #[test]
    fn an_unknown_usb_port_is_taken_if_it_is_the_only_one() {
        let unknown = port("/dev/ttyACM0", 0x1234, 1);
        assert_eq!(
            choose_from(vec![plain("/dev/ttyS0"), unknown.clone()]).expect("one"),
            unknown
        );
        assert_eq!(unknown.description(), "Thing?[2J (1234:0001)");
    }

    #[test]
    fn no_board_says_what_to_check() {
        let error = choose_from(vec![plain("/dev/ttyS0")]).expect_err("none");
        assert_eq!(error.exit_code(), ExitCode::Failure);
        let text = error.to_string();
        assert!(
            text.starts_with("no board found: there is no USB serial port. Plug"),
            "{text}"
        );
    }

    #[test]
    fn two_boards_are_listed_and_port_is_asked_for() {
        let ports = vec![
            port("/dev/ttyACM0", 0x303a, 0x1001),
            port("/dev/ttyUSB0", 0x1a86, 0x7523),
        ];
        let error = choose_from(ports).expect_err("two");
        assert_eq!(error.exit_code(), ExitCode::Usage);
        assert_eq!(
            error.to_string(),
            "more than one board: found /dev/ttyACM0 (Espressif USB JTAG/serial (303a:1001)), \
             /dev/ttyUSB0 (WCH CH340 (1a86:7523)). Say which one: --port /dev/ttyACM0"
        );
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_port_that_is_not_allowed_names_the_group_and_the_command() {
        let denied = serialport::Error::new(
            ErrorKind::Io(IoErrorKind::PermissionDenied),
            "Permission denied",
        );
        let text = open_error("/dev/no-such-port", &denied).to_string();
        assert_eq!(
            text,
            "can't open /dev/no-such-port: permission denied. Serial ports belong to the group \
             `dialout`: run `sudo usermod -aG dialout $USER`, then log out and in again."
        );
        let groups = "root:x:0:\nuucp:x:986:ann\n";
        assert_eq!(group_name(groups, 986), Some("uucp".to_owned()));
        assert_eq!(group_name(groups, 0), None);
    }
}
