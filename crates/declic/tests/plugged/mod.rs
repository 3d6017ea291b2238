//! A board on a serial port: the firmware's own engine and settings store behind a pseudo-terminal.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::cell::Cell;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant as SystemInstant};

use declic_board::flash::{MemoryFlash, SettingsStore, read_image};
use declic_board::{
    Board, BoardId, Effect, FoundNetwork, LogLevel, RestartReason, Settings, Start, Storage,
};
use declic_mqtt::Instant;
use serialport::{SerialPort as _, TTYPort};

/// A board that can be plugged in and pulled out. Its flash keeps what is stored.
pub struct Plugged {
    directory: PathBuf,
    flash: Arc<Mutex<Vec<u8>>>,
    starts: Arc<AtomicU32>,
    running: Option<Running>,
}

struct Running {
    is_pulled: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Plugged {
    /// A board with an empty flash, plugged in.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("declic-port-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).expect("a temporary directory");
        let mut board = Self {
            directory,
            flash: Arc::new(Mutex::new(vec![0xff; 0x4000])),
            starts: Arc::default(),
            running: None,
        };
        board.plug_in();
        board
    }

    /// The name of its port. It stays the same, whatever the system calls it.
    pub fn port(&self) -> String {
        let path = self.directory.join("port");
        path.to_str().expect("a plain path").to_owned()
    }

    /// A file beside it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub fn plug_in(&mut self) {
        let pair = TTYPort::pair().expect("a pseudo-terminal");
        let name = pair.1.name().expect("a name");
        // Clones are closed in the programs that tests start, and the first ones are not: the
        // port would not be gone when the board is pulled out.
        let mut master = pair.0.try_clone_native().expect("a handle");
        let slave = pair.1.try_clone_native().expect("a handle");
        drop(pair);
        master
            .set_timeout(Duration::from_millis(10))
            .expect("a timeout");
        let link = Path::new(&self.directory).join("port");
        let new = self.directory.join("new");
        symlink(name, &new).expect("a link");
        std::fs::rename(new, link).expect("a link");
        let is_pulled = Arc::new(AtomicBool::new(false));
        let pulled = Arc::clone(&is_pulled);
        let (flash, starts) = (Arc::clone(&self.flash), Arc::clone(&self.starts));
        let thread = thread::spawn(move || {
            // Kept open: without it the port would be gone whenever nobody has it open.
            let slave = slave;
            while !pulled.load(Ordering::Relaxed) {
                starts.fetch_add(1, Ordering::Relaxed);
                run(&mut master, &flash, &pulled);
            }
            drop((master, slave));
        });
        self.running = Some(Running { is_pulled, thread });
    }

    pub fn pull_out(&mut self) {
        if let Some(running) = self.running.take() {
            running.is_pulled.store(true, Ordering::Relaxed);
            running.thread.join().expect("the board does not panic");
        }
    }

    /// What is stored in its flash.
    pub fn stored(&self) -> Settings {
        let mut settings = Settings::default();
        let mut flash = self.flash.lock().expect("not poisoned");
        read_image(&mut flash, &mut settings).expect("readable");
        settings
    }

    /// How often the board has started.
    pub fn starts(&self) -> u32 {
        self.starts.load(Ordering::Relaxed)
    }
}

impl Drop for Plugged {
    fn drop(&mut self) {
        self.pull_out();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// The board's program, until it restarts or is pulled out.
fn run(port: &mut TTYPort, flash: &Mutex<Vec<u8>>, is_pulled: &AtomicBool) {
    let mut settings = Settings::default();
    {
        let mut flash = flash.lock().expect("not poisoned");
        read_image(&mut flash, &mut settings).expect("readable");
    }
    let id: BoardId = "0123456789ab".parse().expect("an id");
    let mut storage = Storage::new();
    let mut board = Board::new(id, settings, 1, storage.memory());
    let began = SystemInstant::now();
    // What the clock is ahead: nobody waits for a network that is not there.
    let ahead = Cell::new(Duration::ZERO);
    let now = || Instant::ZERO + began.elapsed() + ahead.get();
    board.log(LogLevel::Info, format_args!("started"), now());
    let start = Start {
        has_wifi: true,
        ..Start::new("test chip", RestartReason::PowerOn)
    };
    board.handle_start(start, now());
    let mut ends = false;
    loop {
        board.handle_timeout(now());
        while let Some(effect) = board.poll_effect() {
            let mut flash = flash.lock().expect("not poisoned");
            let len = u32::try_from(flash.len()).expect("small");
            let store = SettingsStore::new(MemoryFlash(&mut flash), 0..len);
            let mut store = store.expect("whole pages");
            match effect {
                Effect::Store { ticket, key } => {
                    let value = board.edited().value(key);
                    let result = store.store(key, &value);
                    board.handle_stored(ticket, result, now());
                }
                Effect::EraseSettings { ticket } => {
                    let result = store.forget();
                    board.handle_stored(ticket, result, now());
                }
                Effect::Scan => {
                    for (network, _) in &NETWORKS {
                        assert!(board.handle_network(network), "there is room for these");
                    }
                    board.handle_scanned(Ok(()), now());
                }
                Effect::JoinWifi => {
                    board.handle_link(false, now());
                    let settings = board.edited();
                    let is_there = NETWORKS.iter().any(|(network, password)| {
                        settings.wifi_ssid() == Some(network.ssid)
                            && settings.wifi_password() == *password
                    });
                    if is_there {
                        board.handle_link(true, now());
                    } else {
                        ahead.set(ahead.get() + Duration::from_secs(25));
                    }
                }
                Effect::Restart => ends = true,
                _ => {}
            }
        }
        while !board.console_output().is_empty() {
            let output = board.console_output();
            port.write_all(output).expect("a port");
            let len = output.len();
            board.console_written(len);
        }
        if ends || is_pulled.load(Ordering::Relaxed) {
            return;
        }
        let space = board.console_space();
        if !space.is_empty()
            && let Ok(len) = port.read(space)
        {
            // The log may come in between.
            board.log(LogLevel::Info, format_args!("{len} bytes typed"), now());
            board.typed(len, now());
        }
    }
}

/// The networks that the board hears, and their passwords.
const NETWORKS: [(FoundNetwork<'static>, Option<&str>); 3] = [
    (network("MyNet", -70, "wpa2"), Some("secret123")),
    (network("Café", -48, "open"), None),
    (network("MyNet", -61, "wpa2"), Some("secret123")),
];

const fn network(ssid: &'static str, rssi: i8, security: &'static str) -> FoundNetwork<'static> {
    FoundNetwork {
        ssid,
        rssi,
        channel: 6,
        security,
    }
}
