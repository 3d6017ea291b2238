//! What the tests are made with.

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use declic_broker::{Access, Broker, Config, Handle, Users};

/// How long anything may take.
pub const LIMIT: Duration = Duration::from_secs(20);

/// A broker in this process, stopped at the end.
pub struct Server {
    pub address: SocketAddr,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start() -> Self {
        Self::with(Access::Anonymous)
    }

    /// One that knows the user `ann` with the password `right`.
    pub fn with_password() -> Self {
        Self::with(Access::Passwords(
            Users::one("ann", "right").expect("a valid user"),
        ))
    }

    fn with(access: Access) -> Self {
        let config = Config {
            access,
            ..Config::listening_on(SocketAddr::from(([127, 0, 0, 1], 0)))
        };
        let broker = Broker::bind(config).expect("a free port");
        Self {
            address: broker.local_addrs()[0],
            handle: broker.handle(),
            thread: Some(thread::spawn(move || broker.run().expect("it runs"))),
        }
    }

    /// `declic <verb>` at this broker.
    pub fn command(&self, verb: &str, flags: &[&str]) -> Command {
        let port = self.address.port().to_string();
        declic(&[&[verb, "-h", "127.0.0.1", "-p", &port], flags].concat())
    }

    /// Runs `declic pub` at this broker, which must succeed and say nothing.
    pub fn publish(&self, flags: &[&str]) {
        let done = run(self.command("pub", flags), b"");
        assert_eq!(
            (done.code, done.text()),
            (0, (String::new(), String::new()))
        );
    }

    /// Starts `declic sub` and waits until its subscriptions are made.
    pub fn subscribe(&self, flags: &[&str]) -> Process {
        let process = Process::start(self.command("sub", &[flags, &["-d"]].concat()));
        process.expect_diagnostic("Subscribed");
        process
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.handle.shutdown();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the broker ends well");
        }
    }
}

/// The program with arguments, and nothing in its environment that would change what it does.
pub fn declic(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_declic"));
    command.args(arguments);
    for variable in ["DECLIC_PASSWORD", "DECLIC_STATE_DIR", "NO_COLOR"] {
        command.env_remove(variable);
    }
    command.env("RUST_BACKTRACE", "1");
    // Brokers have no control socket, unless a test names its place.
    command.env("XDG_RUNTIME_DIR", "/dev/null");
    command
}

/// How a program ended.
#[derive(Debug)]
pub struct Done {
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Done {
    pub fn text(&self) -> (String, String) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&self.stdout), text(&self.stderr))
    }

    /// Checks that it failed with `code` and one line of an error, which it returns.
    pub fn error(&self, code: i32) -> String {
        let (stdout, stderr) = self.text();
        assert_eq!(self.code, code, "{stderr}");
        assert_eq!(stdout, "");
        let line = stderr.strip_suffix('\n').expect("a line");
        assert!(!line.contains('\n'), "one line: {stderr}");
        let error = line.strip_prefix("error: ").expect("an error");
        assert!(!error.contains("panicked"), "{error}");
        error.to_owned()
    }
}

/// Runs `command` to its end, with `stdin` as its input.
pub fn run(mut command: Command, stdin: &[u8]) -> Done {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program is built");
    let mut pipe = child.stdin.take().expect("a pipe");
    let stdin = stdin.to_vec();
    // It may end without reading.
    thread::spawn(move || drop(pipe.write_all(&stdin)));
    let stdout = collect(child.stdout.take().expect("a pipe"));
    let stderr = collect(child.stderr.take().expect("a pipe"));
    let mut whole = |output: Receiver<Vec<u8>>| {
        output.recv_timeout(LIMIT).unwrap_or_else(|_| {
            let _ = child.kill();
            panic!("it did not end in {LIMIT:?}")
        })
    };
    let (stdout, stderr) = (whole(stdout), whole(stderr));
    Done {
        code: code(&mut child),
        stdout,
        stderr,
    }
}

/// Reads all of `pipe`, which ends with the program.
fn collect(mut pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a readable pipe");
        sender.send(bytes)
    });
    receiver
}

/// The exit code of a program whose output has ended.
fn code(child: &mut Child) -> i32 {
    child.wait().expect("a child").code().unwrap_or(-1)
}

/// A program that runs beside the test.
pub struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

impl Process {
    pub fn start(command: Command) -> Self {
        Self::start_with(command, Stdio::piped())
    }

    pub fn start_with(mut command: Command, stdin: Stdio) -> Self {
        let mut child = command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program is built");
        Self {
            stdin: child.stdin.take(),
            stdout: lines(child.stdout.take().expect("a pipe")),
            stderr: lines(child.stderr.take().expect("a pipe")),
            child,
        }
    }

    /// The next line on standard output.
    pub fn line(&self) -> String {
        match self.stdout.recv_timeout(LIMIT) {
            Ok(line) => line,
            Err(error) => panic!("no line: {error}; {:?}", self.stderr.try_iter().last()),
        }
    }

    /// Waits for a line on standard error that contains `text`.
    pub fn expect_diagnostic(&self, text: &str) -> String {
        loop {
            match self.stderr.recv_timeout(LIMIT) {
                Ok(line) if line.contains(text) => return line,
                Ok(_) => {}
                Err(error) => panic!("{text} was not said: {error}"),
            }
        }
    }

    pub fn say(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().expect("not closed");
        stdin.write_all(text.as_bytes()).expect("it reads");
        stdin.flush().expect("it reads");
    }

    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Asks the process to end.
    #[cfg(unix)]
    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status()
            .expect("kill is there");
        assert!(status.success());
    }

    pub fn kill(&mut self) {
        self.child.kill().expect("a child");
    }

    /// Waits for the end; returns the exit code and the lines that were not taken.
    pub fn end(&mut self) -> (i32, Vec<String>) {
        let mut rest = Vec::new();
        loop {
            match self.stdout.recv_timeout(LIMIT) {
                Ok(line) => rest.push(line),
                Err(RecvTimeoutError::Disconnected) => return (code(&mut self.child), rest),
                Err(RecvTimeoutError::Timeout) => panic!("it did not end in {LIMIT:?}"),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while let Ok(1..) = pipe.read_until(b'\n', &mut line) {
            let text = String::from_utf8_lossy(&line);
            if sender.send(text.trim_end_matches('\n').to_owned()).is_err() {
                break;
            }
            line.clear();
        }
    });
    receiver
}

/// A directory of its own for one test, removed at its end.
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("declic-cli-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a temporary directory");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A file in it with `content`; returns its path.
    pub fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.0.join(name);
        fs::write(&path, content).expect("a place to write");
        path.to_str().expect("a plain path").to_owned()
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Bytes that compress badly and are the same each time.
pub fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
        .collect()
}
