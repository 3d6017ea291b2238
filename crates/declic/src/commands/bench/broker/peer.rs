//! What is measured: each a process of its own, started afresh for each measurement.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::machine::{self, Cores};
use crate::printer::Printer;

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub enum Kind {
    /// Mosquitto, the broker that ours is compared with
    Mosquitto,
    /// The broker of this program
    Declic,
    /// The fastest broker that a Rust program can embed
    Rumqttd,
    /// A relay that copies bytes and looks at nothing: the physical floor
    Floor,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Mosquitto, Self::Declic, Self::Rumqttd, Self::Floor];

    /// What it is called in a table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mosquitto => "Mosquitto",
            Self::Declic => "declic",
            Self::Rumqttd => "rumqttd",
            Self::Floor => "bare relay",
        }
    }
}

/// What a broker keeps on the disk, and where.
#[derive(Debug, Clone, Copy)]
pub enum Storing<'a> {
    /// Nothing, and all its limits are those it has when nobody sets any.
    AsItComes,
    Nothing,
    /// Each message before it is acknowledged; Mosquitto, after each change.
    EachMessage(&'a Path),
    /// From time to time, and when it ends.
    NowAndThen(&'a Path),
}

/// Where the programs are.
#[derive(Debug, Clone)]
pub struct Programs {
    this: PathBuf,
    declic: PathBuf,
    mosquitto: Option<PathBuf>,
    rumqttd: Option<PathBuf>,
    cores: Cores,
}

impl Programs {
    /// Looks for those that were not named.
    pub fn find(
        declic: Option<&Path>,
        mosquitto: Option<&Path>,
        rumqttd: Option<&Path>,
        cores: Cores,
    ) -> io::Result<Self> {
        let built = || Some(PathBuf::from(RUMQTTD)).filter(|file| file.is_file());
        let this = std::env::current_exe()?;
        Ok(Self {
            declic: declic.map_or_else(|| this.clone(), Path::to_owned),
            this,
            mosquitto: mosquitto
                .map(Path::to_owned)
                .or_else(|| on_path("mosquitto")),
            rumqttd: rumqttd.map(Path::to_owned).or_else(built),
            cores,
        })
    }

    /// Whom to measure: those of `all` that were asked for, or all of them if none was. Who is missing
    /// is named.
    pub fn among(&self, all: &[Kind], asked: &[Kind], printer: &Printer) -> Vec<Kind> {
        let wanted = |kind: &Kind| asked.is_empty() || asked.contains(kind);
        let (there, missing): (Vec<_>, Vec<_>) = all
            .iter()
            .copied()
            .filter(wanted)
            .partition(|kind| self.has(*kind));
        for kind in missing {
            printer.note(format_args!(
                "{} is left out: {}",
                kind.name(),
                match kind {
                    Kind::Rumqttd =>
                        "build it with `cargo build --release --manifest-path \
                         tests/peers/rumqttd/Cargo.toml`",
                    _ => "it is not installed",
                }
            ));
        }
        there
    }

    fn has(&self, kind: Kind) -> bool {
        match kind {
            Kind::Mosquitto => self.mosquitto.is_some(),
            Kind::Rumqttd => self.rumqttd.is_some(),
            Kind::Declic | Kind::Floor => true,
        }
    }

    /// Starts one, which listens when this returns.
    pub fn start(&self, kind: Kind, storing: Storing<'_>) -> io::Result<Peer> {
        let folder = Folder::new()?;
        // Nothing else takes a port that the system has just given.
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let mut command = match kind {
            Kind::Mosquitto => {
                let program = self.mosquitto.as_deref().ok_or(io::ErrorKind::NotFound)?;
                let config = folder.0.join("mosquitto.conf");
                fs::write(&config, mosquitto_config(free.port(), storing))?;
                let mut command = Command::new(program);
                command.arg("-c").arg(config).stdout(Stdio::null());
                command
            }
            Kind::Rumqttd => {
                let program = self.rumqttd.as_deref().ok_or(io::ErrorKind::NotFound)?;
                let mut command = Command::new(program);
                command.arg(free.port().to_string()).stdout(Stdio::null());
                command
            }
            Kind::Declic => {
                let mut command = Command::new(&self.declic);
                command
                    .args(["broker", "--listen", "127.0.0.1:0", "--control", "none"])
                    .stdout(Stdio::piped());
                if !matches!(storing, Storing::AsItComes) {
                    let config = folder.0.join("declic.toml");
                    fs::write(&config, ENDLESS_QUEUES)?;
                    command.arg("--config").arg(config);
                }
                match storing {
                    Storing::AsItComes | Storing::Nothing => {}
                    Storing::EachMessage(folder) => {
                        command.arg("--store").arg(folder);
                        command.args(["--durability", "always"]);
                    }
                    Storing::NowAndThen(folder) => {
                        command.arg("--store").arg(folder);
                        command.args(["--durability", "interval"]);
                    }
                }
                command
            }
            Kind::Floor => {
                let mut command = Command::new(&self.this);
                command.args(["bench", "floor"]).stdout(Stdio::piped());
                command
            }
        };
        command.stdin(Stdio::null()).stderr(Stdio::null());
        let mut child = self.cores.spawn(&mut command)?;
        let told = child.stdout.take();
        let mut peer = Peer {
            address: free,
            child,
            _folder: folder,
        };
        match told {
            Some(stdout) => {
                let mut line = String::new();
                BufReader::new(stdout).read_line(&mut line)?;
                let address = line.trim().rsplit(['/', ' ']).next();
                peer.address = address
                    .and_then(|address| address.parse().ok())
                    .ok_or_else(|| io::Error::other(format!("it said: {line}")))?;
            }
            None => wait_for(peer.address)?,
        }
        Ok(peer)
    }
}

/// A running process; it ends with this value.
#[derive(Debug)]
pub struct Peer {
    pub address: SocketAddr,
    child: Child,
    _folder: Folder,
}

impl Peer {
    pub fn cpu_time(&self) -> io::Result<Duration> {
        machine::cpu_time(self.child.id())
    }

    pub fn memory(&self) -> io::Result<u64> {
        machine::memory(self.child.id())
    }

    /// Resident memory in bytes: now, and the most that it ever was.
    pub fn resident(&self) -> io::Result<(u64, u64)> {
        machine::resident(self.child.id())
    }

    /// Asks it to end in good order, and waits until it has.
    pub fn end(mut self) -> io::Result<()> {
        let process = Pid::from_child(&self.child);
        kill_process(process, Signal::TERM)?;
        self.child.wait().map(|_| ())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Nothing may be lost, however much is under way.
const ENDLESS_QUEUES: &str = "[limits]
queued_messages = 10000000
queued_bytes = \"4G\"
message_bytes = \"4G\"
";

/// The same rules for all: nothing may be lost, and no packet waits for others.
fn mosquitto_config(port: u16, storing: Storing<'_>) -> String {
    let mut config =
        format!("listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n");
    if !matches!(storing, Storing::AsItComes) {
        config += "max_inflight_messages 1000\nmax_queued_messages 0\nmax_queued_bytes 0\n";
    }
    if let Storing::EachMessage(folder) | Storing::NowAndThen(folder) = storing {
        config += &format!(
            // As root it would become another user, who may not write there.
            "user root\npersistence true\npersistence_location {}/\n",
            folder.display()
        );
    }
    if let Storing::EachMessage(_) = storing {
        config += "autosave_on_changes true\nautosave_interval 1\n";
    }
    config
}

/// A temporary folder.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn new() -> io::Result<Self> {
        use std::sync::atomic::{AtomicU32, Ordering};
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("declic-bench-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Waits until somebody listens on `address`.
fn wait_for(address: SocketAddr) -> io::Result<()> {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        match TcpStream::connect(address) {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > until => return Err(error),
            Err(_) => thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// A program on the PATH, or where Debian has servers.
fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join(OsStr::new(name)))
        .find(|file| file.is_file())
}

/// Where `cargo build --release --manifest-path tests/peers/rumqttd/Cargo.toml` puts it.
const RUMQTTD: &str = "tests/peers/rumqttd/target/release/rumqttd-peer";
