//! How many instructions board and client spend on a press and on a message, on this machine's
//! processor: a figure that no other work disturbs.
//!
//! `cargo bench -p declic-board --bench instructions` runs each kind of work under `valgrind`
//! twice, with few and with many turns, and prints the difference for one.

use std::process::{Command, ExitCode};
use std::time::Duration;

use declic_board::{Board, BoardId, Settings, Storage};
use declic_mqtt::Instant;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("--count") => run(&args[1], args[2].parse().expect("a number of turns")),
        // `cargo test --all-targets` runs it too, without `--bench`.
        _ if !args.iter().any(|arg| arg == "--bench") => {
            KINDS.iter().for_each(|(kind, _)| run(kind, 2));
        }
        _ => {
            println!("| board and client | instructions |\n|---|---|");
            for (kind, what) in KINDS {
                let Some((few, many)) = instructions(kind, 20).zip(instructions(kind, 1_020))
                else {
                    eprintln!("valgrind is needed: it counts the instructions");
                    return ExitCode::FAILURE;
                };
                println!("| {what} | {} |", (many - few) / 1_000);
            }
        }
    }
    ExitCode::SUCCESS
}

/// What `kind` takes for that many turns, with all preparations.
fn instructions(kind: &str, turns: u32) -> Option<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().ok()?)
        .args(["--count", kind, &turns.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let count = text.split("Collected :").nth(1)?;
    count.split_whitespace().next()?.parse().ok()
}

const KINDS: &[(&str, &str)] = &[
    (
        "press",
        "a press: both edges debounced, state and event sent with QoS 1, both acknowledged",
    ),
    (
        "press-link",
        "a press with `topics` off: only the state is sent",
    ),
    (
        "message",
        "a message received with QoS 1: the light changes, its new state is sent, acknowledged",
    ),
    (
        "message-link",
        "a message received with `topics` off: the light changes, acknowledged",
    ),
    ("ping", "a ping and its answer"),
];

fn run(kind: &str, turns: u32) {
    let mut storage = Storage::new();
    let topics = if kind.ends_with("-link") {
        "none"
    } else {
        "all"
    };
    let mut bench = Bench::new(topics, &mut storage);
    let lights = bench.lights;
    for turn in 0..turns {
        match kind {
            "press" | "press-link" => bench.press(),
            "message" | "message-link" => bench.message(turn % 2 == 0),
            _ => bench.wait(Duration::from_secs(31)),
        }
    }
    let done = match kind {
        "ping" => bench.pings >= turns,
        _ => bench.lights - lights == turns && !bench.board.has_unsent(),
    };
    assert!(
        done,
        "{kind}: {turns} turns, {} lights, {} pings",
        bench.lights, bench.pings
    );
}

/// A board whose light follows its own button, too, and the bytes that a broker would say.
struct Bench<'b> {
    board: Board<'b>,
    now: Instant,
    /// Changes of the light.
    lights: u32,
    pings: u32,
}

impl<'b> Bench<'b> {
    fn new(topics: &str, storage: &'b mut Storage) -> Self {
        let mut settings = Settings::default();
        let all = [
            ("broker", "broker.test"),
            ("topics", topics),
            ("mqtt", "5"),
            // Nothing comes in between.
            ("info-interval", "0"),
        ];
        for (key, value) in all {
            settings.set(key, value).expect("a valid setting");
        }
        let id = BoardId::new([2, 0, 0, 0, 0, 1]);
        let mut bench = Self {
            board: Board::new(id, settings, 1, storage.memory()),
            now: Instant::from_millis(1),
            lights: 0,
            pings: 0,
        };
        bench.board.handle_level(false, bench.now);
        bench.board.handle_link(true, bench.now);
        bench.settle();
        bench.board.handle_connected(bench.now);
        bench.settle();
        assert!(bench.board.is_subscribed());
        bench
    }

    fn press(&mut self) {
        for closed in [true, false] {
            self.board.handle_level(closed, self.now);
            self.settle();
            self.wait(Duration::from_millis(60));
        }
    }

    fn message(&mut self, on: bool) {
        let payload: &[u8] = if on { b"ON" } else { b"OFF" };
        let topic = b"esp32/data";
        let mut publish = vec![0x32, (2 + topic.len() + 2 + 1 + payload.len()) as u8, 0];
        publish.push(topic.len() as u8);
        publish.extend_from_slice(topic);
        publish.extend_from_slice(&[0, 1, 0]);
        publish.extend_from_slice(payload);
        self.say(&publish);
        self.settle();
    }

    /// Time passes; what is due is done.
    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.board.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.board.handle_timeout(self.now);
            self.settle();
        }
        self.now = end;
    }

    /// Drains the effects and moves bytes, as every owner does.
    fn settle(&mut self) {
        loop {
            while let Some(effect) = self.board.poll_effect() {
                self.lights += u32::from(matches!(effect, declic_board::Effect::SetLed(_)));
            }
            let bytes = self.board.transmit();
            let len = bytes.len();
            if len == 0 {
                break;
            }
            let (answers, pings) = answers(bytes);
            self.pings += pings;
            self.board.transmitted(len, self.now);
            self.say(&answers);
        }
    }

    fn say(&mut self, bytes: &[u8]) {
        let space = self.board.rx_space();
        space[..bytes.len()].copy_from_slice(bytes);
        self.board.received(bytes.len(), self.now);
    }
}

/// What a broker says to packets of MQTT 5; by hand, so that it is hardly counted. All of them are
/// shorter than 16 kB.
fn answers(mut bytes: &[u8]) -> (Vec<u8>, u32) {
    let mut answers = Vec::with_capacity(32);
    let mut pings = 0;
    while let [first, second, rest @ ..] = bytes {
        let (len, body) = match (second, rest) {
            (..0x80, body) => (usize::from(*second), body),
            (_, [third, body @ ..]) => (
                usize::from(second & 0x7f) + (usize::from(*third) << 7),
                body,
            ),
            _ => break,
        };
        let (packet, behind) = body.split_at(len);
        match first >> 4 {
            1 => answers.extend_from_slice(&[0x20, 3, 0, 0, 0]),
            3 if first & 0b110 != 0 => {
                let id = 2 + usize::from(u16::from_be_bytes([packet[0], packet[1]]));
                answers.extend_from_slice(&[0x40, 2, packet[id], packet[id + 1]]);
            }
            8 => {
                let reasons = if len > 40 { &[1, 1][..] } else { &[1] };
                answers.extend_from_slice(&[0x90, 3 + reasons.len() as u8]);
                answers.extend_from_slice(&[packet[0], packet[1], 0]);
                answers.extend_from_slice(reasons);
            }
            12 => {
                pings += 1;
                answers.extend_from_slice(&[0xd0, 0]);
            }
            _ => {}
        }
        bytes = behind;
    }
    (answers, pings)
}
