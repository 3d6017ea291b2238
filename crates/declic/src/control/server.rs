//! The broker's side of the control socket: a thread that listens, and one for each who asks.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, BufRead as _, BufReader, BufWriter, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use declic_broker::bridge::Bridge;
use declic_broker::{Client, Handle, Identity, Stopped, metrics};
use declic_mqtt::TopicFilter;
use tracing::{info, warn};

use super::{
    Answer, BridgeLine, ClientLine, PAYLOAD_SHOWN, Place, REASONS, REQUEST_SIZE, Request,
    RetainedLine,
};

/// Reads the configuration again, or says why not.
pub type Reload = dyn Fn() -> Result<(), String> + Send + Sync;

/// What is asked about: the broker, and what belongs to it.
#[derive(Clone)]
pub struct Served {
    pub handle: Handle,
    pub bridges: Arc<Mutex<Vec<Bridge>>>,
    pub reload: Arc<Reload>,
}

/// The socket; it goes with this.
#[derive(Debug)]
pub struct Control {
    path: PathBuf,
}

impl Control {
    /// Answers on a socket from now on. `None` where there is to be none, or where another broker
    /// has the usual one already.
    ///
    /// # Errors
    /// There can't be a socket.
    pub fn start(place: &Place, served: Served) -> io::Result<Option<Self>> {
        let (path, chosen) = match place {
            Place::None => return Ok(None),
            Place::Usual(path) => (path, false),
            Place::Chosen(path) => (path, true),
        };
        let listener = match listen(path) {
            Ok(listener) => listener,
            Err(error) if chosen => return Err(error),
            Err(error) => {
                info!(path = %path.display(), %error, "no control socket");
                return Ok(None);
            }
        };
        let asking = Arc::new(AtomicUsize::new(0));
        thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || {
                for stream in listener.incoming() {
                    let Ok(stream) = stream else {
                        // Too many open files, most likely: not in a tight loop.
                        thread::sleep(RETRY_TIME);
                        continue;
                    };
                    if asking.fetch_add(1, Ordering::AcqRel) >= MOST_AT_ONCE {
                        asking.fetch_sub(1, Ordering::AcqRel);
                        continue;
                    }
                    let served = served.clone();
                    let counted = Arc::clone(&asking);
                    let answering = thread::Builder::new().spawn(move || {
                        // Whoever asked has gone, or says nothing.
                        let _ = answer(&stream, &served);
                        counted.fetch_sub(1, Ordering::AcqRel);
                    });
                    if answering.is_err() {
                        asking.fetch_sub(1, Ordering::AcqRel);
                    }
                }
            })?;
        Ok(Some(Self { path: path.clone() }))
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            warn!(path = %self.path.display(), %error, "the control socket stays behind");
        }
    }
}

/// Listens on a socket that only the owner can use, from its first moment on: it is made in a
/// directory of the owner's own and then moved to its place.
fn listen(path: &Path) -> io::Result<UnixListener> {
    if UnixStream::connect(path).is_ok() {
        let taken = "another broker listens there";
        return Err(io::Error::new(ErrorKind::AddrInUse, taken));
    }
    let directory = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    let closed = directory.join(format!(".{}", std::process::id()));
    let inside = closed.join("s");
    // What a process of the same number may have left.
    let _ = fs::remove_file(&inside);
    let _ = fs::remove_dir(&closed);
    DirBuilder::new().mode(0o700).create(&closed)?;
    let listener = UnixListener::bind(&inside).and_then(|listener| {
        fs::set_permissions(&inside, Permissions::from_mode(0o600))?;
        // A socket that nobody listens on is replaced; any other file is not.
        match fs::symlink_metadata(path) {
            Ok(there) if !is_socket(&there) => {
                let other = "a file that is no socket is in its place";
                Err(io::Error::new(ErrorKind::AlreadyExists, other))
            }
            _ => fs::rename(&inside, path).map(|()| listener),
        }
    });
    let _ = fs::remove_file(&inside);
    let _ = fs::remove_dir(&closed);
    listener
}

fn is_socket(file: &fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    file.file_type().is_socket()
}

fn answer(stream: &UnixStream, served: &Served) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new(stream.take(REQUEST_SIZE)).read_line(&mut line)?;
    let mut out = Out(BufWriter::new(stream));
    let end = match serde_json::from_str(&line) {
        Ok(request) => serve(request, served, &mut out),
        Err(error) => Err(Failed::Said(format!("not understood: {error}"))),
    };
    let (error, count) = match end {
        Ok(count) => (None, count),
        Err(Failed::Said(error)) => (Some(error), 0),
        Err(Failed::Gone(error)) => return Err(error),
    };
    out.say(&Answer::End { error, count })?;
    out.0.flush()
}

fn serve(request: Request, served: &Served, out: &mut Out<'_>) -> Result<u64, Failed> {
    let handle = &served.handle;
    match request {
        Request::Clients => clients(handle, out),
        Request::Disconnect {
            client_id,
            reason,
            forget,
        } => {
            let code = REASONS.iter().find(|one| one.as_u8() == reason);
            let unknown = || Failed::Said(format!("{reason} is no reason to disconnect"));
            let ended = handle.disconnect(&client_id, *code.ok_or_else(unknown)?, forget)?;
            info!(%client_id, ended, "disconnected on request");
            Ok(u64::from(ended))
        }
        Request::Retained { filter } => retained(&filter, handle, out),
        Request::Clear { filter } => {
            let count = handle.clear_retained(topic_filter(&filter)?)?;
            info!(%filter, count, "retained messages cleared on request");
            Ok(count as u64)
        }
        Request::Stats => {
            let stats = handle.stats()?;
            let uptime = handle.uptime()?;
            let mut count = 0;
            for (name, value) in metrics::values(&stats, uptime) {
                let name = name.to_owned();
                out.say(&Answer::Count { name, value })?;
                count += 1;
            }
            Ok(count)
        }
        Request::Metrics => {
            let text = metrics::render(&handle.stats()?, handle.uptime()?);
            out.say(&Answer::Text { text })?;
            Ok(1)
        }
        Request::Reload => {
            (served.reload)().map_err(Failed::Said)?;
            Ok(1)
        }
        Request::Backup { path } => {
            handle
                .backup(&path)
                .map_err(|error| Failed::Said(error.to_string()))?;
            info!(%path, "backup made on request");
            Ok(1)
        }
        Request::Bridges => {
            let lock = served.bridges.lock();
            let bridges = lock.unwrap_or_else(PoisonError::into_inner);
            let lines: Vec<_> = bridges.iter().map(bridge_line).collect();
            // Not held while somebody reads slowly: the broker ends them before it stops.
            drop(bridges);
            for line in &lines {
                out.say(&Answer::Bridge(line.clone()))?;
            }
            Ok(lines.len() as u64)
        }
    }
}

fn clients(handle: &Handle, out: &mut Out<'_>) -> Result<u64, Failed> {
    let (mut start, mut count) = (Some(0), 0);
    while let Some(at) = start {
        let page = handle.clients(at, PAGE)?;
        start = page.next;
        for client in page.clients {
            count += 1;
            out.say(&Answer::Client(client_line(client)))?;
        }
    }
    Ok(count)
}

fn client_line(client: Client) -> ClientLine {
    let info = client.info;
    let since = client.connected_since;
    ClientLine {
        client_id: info.client_id.into(),
        user: match info.owner {
            Some(Identity::User(name)) => Some(name.into()),
            _ => None,
        },
        connected: info.connection.is_some(),
        transport: client.transport,
        address: client.address.map(|address| address.to_string()),
        version: info.version.map(|version| version.to_string()),
        connected_since: since
            .and_then(|at| at.duration_since(UNIX_EPOCH).ok())
            .map(|since| since.as_secs()),
        keep_alive: info.keep_alive,
        subscriptions: info.subscriptions,
        queued: info.queued,
        queued_bytes: info.queued_bytes,
        in_flight: info.in_flight,
        session_expiry: (info.session_expiry != u32::MAX).then_some(info.session_expiry),
    }
}

fn bridge_line(bridge: &Bridge) -> BridgeLine {
    let stats = bridge.stats();
    BridgeLine {
        name: bridge.name().to_owned(),
        connected: stats.connected,
        sent: stats.sent,
        received: stats.received,
        dropped: stats.dropped,
        looped: stats.looped,
        connects: stats.connects,
    }
}

fn retained(filter: &str, handle: &Handle, out: &mut Out<'_>) -> Result<u64, Failed> {
    let filter = topic_filter(filter)?;
    let (mut after, mut count) = (None::<Box<str>>, 0);
    loop {
        let page = handle.retained(filter, after.as_deref(), PAGE, PAYLOAD_SHOWN + 1)?;
        for message in page.messages {
            count += 1;
            let shown = message.payload.len().min(PAYLOAD_SHOWN);
            out.say(&Answer::Retained(RetainedLine {
                topic: message.topic.into(),
                qos: message.qos as u8,
                payload: String::from_utf8_lossy(&message.payload[..shown]).into_owned(),
                cut: message.payload.len() > shown,
            }))?;
        }
        match page.after {
            None => return Ok(count),
            next => after = next,
        }
    }
}

fn topic_filter(text: &str) -> Result<TopicFilter<'_>, Failed> {
    TopicFilter::new(text).map_err(|error| Failed::Said(format!("{text:?}: {error}")))
}

struct Out<'a>(BufWriter<&'a UnixStream>);

impl Out<'_> {
    fn say(&mut self, answer: &Answer) -> io::Result<()> {
        serde_json::to_writer(&mut self.0, answer)?;
        self.0.write_all(b"\n")
    }
}

/// Why there is no answer, or no whole one.
enum Failed {
    /// Whoever asked is told.
    Said(String),
    /// Whoever asked has gone.
    Gone(io::Error),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Gone(error)
    }
}

impl From<Stopped> for Failed {
    fn from(stopped: Stopped) -> Self {
        Self::Said(stopped.to_string())
    }
}

/// Sessions or messages that the broker looks up at a time; it serves its clients in between.
const PAGE: usize = 256;
/// How many may ask at the same time; more are turned away.
const MOST_AT_ONCE: usize = 16;
/// How long somebody may take to ask, or to read a part of the answer.
const PATIENCE: Duration = Duration::from_secs(30);
const RETRY_TIME: Duration = Duration::from_millis(100);
