//! Runs a [`Board`](declic_board::Board) on this machine: real sockets, a real clock, a button that
//! is pressed by a message.
//!
//! One thread owns the board and waits for whichever comes first: an order, the socket, a timer.
//! Nothing it does can wait for anything else, so nothing delays the button: names are looked up
//! by a thread of their own, connections are opened without blocking, and the observer is called
//! with small values that it should only pass on.

pub mod console;
mod event_loop;
pub mod identity;
mod search;
mod transport;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use declic_board::{BoardId, Connection, Notice, Role, Settings};
use declic_mqtt::ProtocolVersion;

use crate::url::BrokerUrl;

use event_loop::EventLoop;
use search::Found;
use transport::Resolution;

/// A board that runs in a thread of its own.
pub struct Host {
    inbox: Inbox,
    thread: Option<JoinHandle<()>>,
}

/// What the observer is told, in the order in which it happened.
#[derive(Debug)]
pub struct Report {
    /// When.
    pub at: Instant,
    /// What happened.
    pub news: News,
    /// How the board is doing after it.
    pub status: Status,
}

/// What happened.
#[derive(Debug)]
pub enum News {
    /// What the board says.
    Notice(Notice),
    /// A connection to this broker is opened; `mdns` stands for one that is searched for.
    Opening(BrokerUrl),
    /// [`Notice::ConnectFailed`] because it was unreachable, and what the system says about it.
    Unreachable(io::Error),
    /// Nothing: [`Host::ask`] was called.
    Asked,
    /// A line that the board's console has printed.
    Console(String),
    /// The board starts again, with these settings.
    Restarted(Box<Settings>),
    /// The thread has ended, after [`Host::stop`] or because something failed. Nothing follows.
    Ended,
}

/// How a board is doing.
#[derive(Debug, Clone, Copy)]
pub struct Status {
    pub role: Role,
    pub connection: Connection,
    pub version: ProtocolVersion,
    pub subscribed: bool,
    pub light: bool,
    pub presses: u32,
    pub reconnects: u32,
    /// Whether a press has not reached the broker yet.
    pub unsent: bool,
}

impl Host {
    /// Starts a board with `settings` as `id`; it connects at once. `observer` is called in the
    /// board's thread.
    ///
    /// # Errors
    /// The system has no thread or no event queue left.
    pub fn start(
        id: BoardId,
        settings: Settings,
        observer: impl FnMut(Report) + Send + 'static,
    ) -> io::Result<Self> {
        let seed = getrandom::u64().map_err(io::Error::other)?;
        let (sender, orders) = mpsc::channel();
        let poll = mio::Poll::new()?;
        let waker = Arc::new(mio::Waker::new(poll.registry(), event_loop::WAKER)?);
        let inbox = Inbox { sender, waker };
        let event_loop = EventLoop::new(poll, orders, inbox.clone(), Box::new(observer), settings);
        let thread = thread::Builder::new()
            .name(format!("board {id}"))
            .spawn(move || event_loop.run(id, seed))?;
        Ok(Self {
            inbox,
            thread: Some(thread),
        })
    }

    /// A press, at once: for scripts. There is no contact that could bounce, so nothing is
    /// debounced.
    pub fn press(&self) {
        self.inbox.send(Order::Press);
    }

    /// Closes the button's contact for `time`, or keeps it closed for `time` from now on: for
    /// keys. What the contact does is debounced, as on any board.
    pub fn hold(&self, time: Duration) {
        self.inbox.send(Order::Hold(time));
    }

    /// Types a line on the board's console; what it prints comes as [`News::Console`].
    pub fn type_line(&self, line: String) {
        self.inbox.send(Order::Type(line));
    }

    /// Asks for a report with [`News::Asked`].
    pub fn ask(&self) {
        self.inbox.send(Order::Report);
    }

    /// Ends the board in good order: it says `offline`, disconnects, and [`News::Ended`] follows,
    /// after [`STOP_LIMIT`] at the latest.
    pub fn stop(&self) {
        self.inbox.send(Order::Stop);
    }

    /// [`Self::stop`], and waits for the end.
    pub fn join(mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            // A panic in it was reported when it happened.
            let _ = thread.join();
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.news {
            News::Notice(notice) => notice.fmt(f),
            News::Unreachable(error) => write!(f, "could not connect: {}", reason(error)),
            News::Opening(broker) => write!(f, "opening a connection to {broker}"),
            News::Asked => f.write_str("asked"),
            News::Console(line) => f.write_str(line),
            News::Restarted(_) => f.write_str("restarted"),
            News::Ended => f.write_str("ended"),
        }
    }
}

/// That of a board that has not begun.
impl Default for Status {
    fn default() -> Self {
        Self {
            role: Role::Both,
            connection: Connection::Down,
            version: ProtocolVersion::V5,
            subscribed: false,
            light: false,
            presses: 0,
            reconnects: 0,
            unsent: false,
        }
    }
}

/// As `key=value`, for scripts.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connection = match self.connection {
            Connection::Stopped => "down",
            connection => connection.as_str(),
        };
        let yes_or_no = |yes| if yes { "yes" } else { "no" };
        write!(
            f,
            "role={} connection={connection} mqtt={} subscribed={} light={} presses={} unsent={} \
             reconnects={}",
            self.role,
            self.version,
            yes_or_no(self.subscribed),
            if self.light { "ON" } else { "OFF" },
            self.presses,
            yes_or_no(self.unsent),
            self.reconnects,
        )
    }
}

/// What the system says, without its number: `connection refused`.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(chars).collect()
    })
}

/// How long a board may take to say goodbye.
pub const STOP_LIMIT: Duration = Duration::from_millis(350);

/// What the board's thread is told.
enum Order {
    Press,
    Hold(Duration),
    Type(String),
    Report,
    Stop,
    Resolved(Resolution),
    /// What the search with that number has found.
    Found(u64, Found),
}

/// Where orders go.
#[derive(Clone)]
struct Inbox {
    sender: mpsc::Sender<Order>,
    waker: Arc<mio::Waker>,
}

impl Inbox {
    /// Sends `order`; where the board's thread has ended, nobody needs it.
    fn send(&self, order: Order) {
        if self.sender.send(order).is_ok() {
            let _ = self.waker.wake();
        }
    }
}
