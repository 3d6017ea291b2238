//! A broker in a process of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

pub struct Broker {
    pub address: SocketAddr,
    process: Mutex<Child>,
}

impl Broker {
    pub fn start(directory: &Path, durability: &str) -> Self {
        // No queue may be too long: what is dropped there is no broken promise.
        let config = directory.with_extension("toml");
        std::fs::write(&config, LIMITS).expect("the configuration can be written");
        let mut process = Command::new(env!("CARGO_BIN_EXE_declic"))
            .args(["broker", "--listen", "127.0.0.1:0", "--control", "none"])
            .args([
                "--durability",
                durability,
                "--sys-interval",
                "0",
                "--config",
            ])
            .arg(&config)
            .arg("--store")
            .arg(directory)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program can be started");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("it is piped");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("a line of text");
        let address = line.trim().strip_prefix("listening on mqtt://");
        let address = address.and_then(|text| text.parse().ok());
        Self {
            address: address.unwrap_or_else(|| panic!("the broker didn't start: {line:?}")),
            process: Mutex::new(process),
        }
    }

    /// SIGKILL. It is gone when this returns.
    pub fn kill(&self) {
        let mut process = self.process.lock().expect("nobody panicked");
        process.kill().expect("it can be killed");
        process.wait().expect("it is gone");
    }
}

const LIMITS: &str =
    "[limits]\nqueued_messages = 10000000\nqueued_bytes = \"4G\"\nmessage_bytes = \"4G\"\n";

impl Drop for Broker {
    fn drop(&mut self) {
        if let Ok(process) = self.process.get_mut() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
