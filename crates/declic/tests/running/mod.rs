//! Runs the real `declic` and reads what it prints, line by line. Nothing here sleeps: what is
//! awaited is awaited with a limit.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A running `declic` with a state directory of its own; killed when dropped.
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Lines,
    errors: Lines,
    directory: Arc<Directory>,
}

impl Running {
    /// Starts `declic` with `args`; its input stays open.
    pub fn start(args: &[&str]) -> Self {
        Self::spawn(args, Stdio::piped())
    }

    /// Starts `declic` with `args` and an input that is at its end.
    pub fn start_without_input(args: &[&str]) -> Self {
        Self::spawn(args, Stdio::null())
    }

    /// Starts another `declic` with the same state directory.
    pub fn start_again(&self, args: &[&str]) -> Self {
        Self::spawn_in(Arc::clone(&self.directory), args, Stdio::piped())
    }

    /// Starts `declic` with `args` and that input, which ends.
    pub fn start_with_input(args: &[&str], input: &str) -> Self {
        let mut running = Self::start(args);
        running.send(input);
        running.stdin = None;
        running
    }

    fn spawn(args: &[&str], stdin: Stdio) -> Self {
        Self::spawn_in(Arc::new(Directory::new()), args, stdin)
    }

    fn spawn_in(directory: Arc<Directory>, args: &[&str], stdin: Stdio) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_declic"))
            .args(args)
            .env("DECLIC_STATE_DIR", &directory.0)
            .env_remove("DECLIC_PASSWORD")
            .env_remove("DECLIC_WIFI_PASSWORD")
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("declic starts");
        Self {
            stdin: child.stdin.take(),
            lines: Lines::read(child.stdout.take().expect("a pipe")),
            errors: Lines::read(child.stderr.take().expect("a pipe")),
            child,
            directory,
        }
    }

    /// Writes a line to its input.
    pub fn send(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("an open input");
        writeln!(stdin, "{line}").expect("it reads its input");
    }

    /// Writes `line` to its input again and again, until it has ended.
    pub fn send_until_the_end(&mut self, line: &str) {
        let limit = Instant::now() + LIMIT;
        let stdin = self.stdin.as_mut().expect("an open input");
        while writeln!(stdin, "{line}").is_ok() {
            assert!(Instant::now() < limit, "too late: it does not end");
            thread::yield_now();
        }
    }

    /// Waits for a line of output that begins with `start`, and returns it. The lines before it
    /// are skipped.
    pub fn expect(&mut self, start: &str) -> String {
        match self.lines.find(start) {
            Ok(line) => line,
            Err(why) => panic!(
                "{why}: no `{start}` in {:#?}; {:#?}",
                self.lines.seen,
                self.errors.rest()
            ),
        }
    }

    /// Waits for lines that begin with each of `starts`, in any order.
    pub fn expect_all(&mut self, starts: &[&str]) {
        let mut missing = starts.to_vec();
        while !missing.is_empty() {
            let line = self.expect("");
            if let Some(at) = missing.iter().position(|start| line.starts_with(start)) {
                missing.remove(at);
            }
        }
    }

    /// Waits for a line that begins with one of `starts`.
    pub fn expect_any(&mut self, starts: &[&str]) {
        while let line = self.expect("")
            && !starts.iter().any(|start| line.starts_with(start))
        {}
    }

    /// [`Self::expect`], of its standard error.
    pub fn expect_error(&mut self, start: &str) -> String {
        match self.errors.find(start) {
            Ok(line) => line,
            Err(why) => panic!("{why}: no `{start}` in {:#?}", self.errors.seen),
        }
    }

    /// The lines of output that were read up to now.
    pub fn seen(&self) -> &[String] {
        &self.lines.seen
    }

    /// The port of `listening on mqtt://...`.
    pub fn expect_port(&mut self) -> u16 {
        let line = self.expect("listening on mqtt://");
        let port = line.rsplit(':').next().and_then(|port| port.parse().ok());
        port.unwrap_or_else(|| panic!("no port in `{line}`"))
    }

    /// Sends `command`, waits for the line `answer`, and closes its output behind it: nobody reads
    /// any more.
    pub fn send_and_stop_reading(&mut self, command: &str, answer: &str) {
        self.lines.last.set(answer.to_owned()).expect("called once");
        self.send(command);
        self.expect(answer);
        let reader = self.lines.reader.take().expect("a thread");
        reader.join().expect("it does not panic");
    }

    #[cfg(unix)]
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let done = Command::new("kill")
            .args([&format!("-{name}"), &id])
            .status();
        assert!(done.is_ok_and(|status| status.success()));
    }

    /// Waits for its end; returns its exit code and the lines of its standard error.
    pub fn wait(&mut self) -> (Option<i32>, Vec<String>) {
        self.lines.rest();
        let errors = self.errors.rest();
        let status = self.child.wait().expect("it can be waited for");
        (status.code(), errors)
    }

    /// Says `quit`, and checks that it leaves in good order and has nothing to complain about.
    pub fn quit(&mut self) {
        let started = Instant::now();
        self.send("quit");
        assert_eq!(self.wait(), (Some(0), Vec::new()));
        assert!(
            started.elapsed() < Duration::from_secs(2),
            "it took its time"
        );
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A place for state, removed when the last one that uses it is dropped.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("declic-run-{}-{number}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Lines of a pipe, read by a thread.
struct Lines {
    receiver: Receiver<String>,
    seen: Vec<String>,
    /// The line behind which nothing is read.
    last: Arc<OnceLock<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Lines {
    fn read(pipe: impl Read + Send + 'static) -> Self {
        let (sender, receiver) = mpsc::channel();
        let last = Arc::new(OnceLock::new());
        let is_last = Arc::clone(&last);
        let reader = thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                let done = is_last.get() == Some(&line);
                if sender.send(line).is_err() || done {
                    break;
                }
            }
        });
        Self {
            receiver,
            seen: Vec::new(),
            last,
            reader: Some(reader),
        }
    }

    fn find(&mut self, start: &str) -> Result<String, &'static str> {
        let limit = Instant::now() + LIMIT;
        loop {
            match self
                .receiver
                .recv_timeout(limit.saturating_duration_since(Instant::now()))
            {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.starts_with(start) {
                        return Ok(line);
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => return Err("too late"),
                Err(mpsc::RecvTimeoutError::Disconnected) => return Err("it has ended"),
            }
        }
    }

    /// Reads to the end, and returns all lines.
    fn rest(&mut self) -> Vec<String> {
        let limit = Instant::now() + LIMIT;
        while let Ok(line) = self
            .receiver
            .recv_timeout(limit.saturating_duration_since(Instant::now()))
        {
            self.seen.push(line);
        }
        self.seen.clone()
    }
}

/// Longer than anything takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);
