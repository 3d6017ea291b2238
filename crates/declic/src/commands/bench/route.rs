//! What can lie between two boards.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use declic_broker::{Config, Handle, RunError};

use super::failed;
use crate::error::Error;

/// A way from one board to the other.
pub trait Route {
    /// What it is called in a table.
    fn name(&self) -> &'static str;
    /// Where the next two boards connect.
    fn open(&self) -> Result<SocketAddr, Error>;
}

/// The broker of this program, in a thread; it ends with this value.
pub struct Broker {
    address: SocketAddr,
    handle: Handle,
    thread: Option<JoinHandle<Result<(), RunError>>>,
}

impl Broker {
    pub fn start() -> Result<Self, Error> {
        let config = Config::listening_on(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let broker = declic_broker::Broker::bind(config)
            .map_err(|error| failed("the broker does not start", error))?;
        let address = broker.local_addrs()[0];
        let handle = broker.handle();
        let thread = thread::Builder::new()
            .name("broker".to_owned())
            .spawn(move || broker.run())
            .map_err(|error| failed("the broker does not start", error))?;
        Ok(Self {
            address,
            handle,
            thread: Some(thread),
        })
    }
}

impl Route for Broker {
    fn name(&self) -> &'static str {
        "declic broker"
    }

    fn open(&self) -> Result<SocketAddr, Error> {
        Ok(self.address)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.handle.shutdown();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Mosquitto as a process of its own; it ends with this value.
pub struct Mosquitto {
    address: SocketAddr,
    process: Child,
    config: PathBuf,
}

impl Mosquitto {
    /// Starts `program`, or the one on the PATH; `None` where there is none.
    pub fn start(program: Option<&Path>) -> Result<Option<Self>, Error> {
        let Some(program) = program.map(Path::to_owned).or_else(find) else {
            return Ok(None);
        };
        let what = "Mosquitto does not start";
        // Nothing else takes a port that the system has just given.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .map_err(|error| failed(what, error))?;
        let name = format!(
            "declic-bench-{}-{}.conf",
            std::process::id(),
            address.port()
        );
        let config = std::env::temp_dir().join(name);
        let text = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\n",
            address.port()
        );
        fs::write(&config, text).map_err(|error| failed(what, error))?;
        let process = Command::new(program)
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| failed(what, error))?;
        let mosquitto = Self {
            address,
            process,
            config,
        };
        wait_for(address).map_err(|error| failed(what, error))?;
        Ok(Some(mosquitto))
    }
}

impl Route for Mosquitto {
    fn name(&self) -> &'static str {
        "Mosquitto"
    }

    fn open(&self) -> Result<SocketAddr, Error> {
        Ok(self.address)
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_file(&self.config);
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

/// Mosquitto on the PATH, or where Debian has it.
fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join(OsStr::new("mosquitto")))
        .find(|file| file.is_file())
}
