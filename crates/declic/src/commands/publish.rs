//! `declic pub`: publishes messages, as `mosquitto_pub` does.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ArgGroup;
use declic_mqtt::client::{Client, CloseReason, Event, Message, RequestError};
use declic_mqtt::packet::{Properties, Property};
use declic_mqtt::{Instant, QoS, ReasonCode, TopicName};

use crate::client_args::{ClientArgs, parse_qos, topic_name, usage};
use crate::client_memory::ClientMemory;
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::net::{Application, Flow, Net, Session};
use crate::printer::Printer;
use crate::stdin::{Input, Stdin};

/// Publish messages to a topic
///
/// The flags are those of mosquitto_pub, without proxies, Unix sockets and TLS by a shared key. With QoS 1 and 2 the command ends when the broker has
/// acknowledged everything; a message that it refuses is an error.
#[derive(Debug, clap::Args)]
#[command(
    disable_help_flag = true,
    disable_version_flag = true,
    group = ArgGroup::new("payload").required(true),
    after_long_help = EXAMPLES,
)]
pub struct Args {
    /// Topic to publish to, without wildcards
    #[arg(short, long, required_unless_present = "url", allow_hyphen_values = true,
        help_heading = MESSAGE)]
    topic: Option<String>,

    /// The message
    #[arg(short, long, group = "payload", allow_hyphen_values = true, help_heading = MESSAGE)]
    message: Option<OsString>,

    /// The message is what the file holds
    #[arg(short, long, group = "payload", help_heading = MESSAGE)]
    file: Option<PathBuf>,

    /// Each line of standard input is a message
    #[arg(short = 'l', long, group = "payload", help_heading = MESSAGE)]
    stdin_line: bool,

    /// All of standard input is the message
    #[arg(short = 's', long, group = "payload", help_heading = MESSAGE)]
    stdin_file: bool,

    /// The message is empty; with -r it clears what the broker kept
    #[arg(short, long, group = "payload", help_heading = MESSAGE)]
    null_message: bool,

    /// Quality of service: 0 (at most once), 1 (at least once) or 2 (exactly once)
    #[arg(short, long, default_value = "0", value_parser = parse_qos, help_heading = MESSAGE)]
    qos: QoS,

    /// Have the broker keep the message for later subscribers
    #[arg(short, long, help_heading = MESSAGE)]
    retain: bool,

    /// Publish the message that many times (with -m, -n, -f, -s)
    #[arg(long, value_name = "COUNT", default_value_t = 1, conflicts_with = "stdin_line",
        value_parser = clap::value_parser!(u64).range(1..), help_heading = MESSAGE)]
    repeat: u64,

    /// Seconds between a message's delivery and the next one, 0.5 for example (with --repeat)
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = parse_seconds,
        help_heading = MESSAGE)]
    repeat_delay: Duration,

    /// Messages of QoS 1 and 2 that are on the way at a time (with -l)
    #[arg(short = 'M', long, value_name = "COUNT", default_value_t = 20,
        value_parser = clap::value_parser!(u16).range(1..65_535), help_heading = MESSAGE)]
    max_inflight: u16,

    #[command(flatten)]
    client: ClientArgs,
}

/// Publishes and waits for the acknowledgements.
pub fn run(args: &Args, printer: &Printer) -> Result<ExitCode, Error> {
    let printer = &printer.with_verbose(args.client.debug);
    let setup = args.client.setup("pub")?;
    let topic = args
        .topic
        .as_deref()
        .or(setup.topic.as_deref())
        .ok_or_else(|| usage("no topic to publish to").remedy("Add -t TOPIC."))?;
    let topic = topic_name(topic, "to publish to")?;
    let payload = args.payload()?;
    let mut net = Net::new()?;
    let source = match payload {
        Some(payload) => Source::Message {
            payload,
            remaining: args.repeat,
            delay: args.repeat_delay,
        },
        None => {
            let stdin = Stdin::read(net.waker()).map_err(|error| unreadable_stdin(&error))?;
            if args.stdin_line {
                Source::Lines(stdin)
            } else {
                Source::All {
                    stdin,
                    remaining: args.repeat,
                    delay: args.repeat_delay,
                }
            }
        }
    };
    let mut publisher = Publisher {
        printer,
        topic,
        qos: args.qos,
        retain: args.retain,
        properties: &setup.publish,
        source,
        stream: None,
        wait: Wait::No,
        failures: 0,
        is_done: false,
    };
    let mut memory = ClientMemory::new(usize::from(args.max_inflight));
    let mut client = Client::new(setup.options.config(), memory.lend());
    let mut session = Session::new(&mut net, &setup.options, printer);
    let reason = session.run(&mut client, &mut publisher)?;
    publisher.conclude(reason, &client, &setup.options.url.address())
}

impl Args {
    /// The payload, where it does not come from standard input.
    fn payload(&self) -> Result<Option<Payload>, Error> {
        if let Some(message) = &self.message {
            return Ok(Some(Payload::Bytes(message.as_encoded_bytes().to_vec())));
        }
        if let Some(path) = &self.file {
            return Payload::open(path).map(Some);
        }
        Ok(self.null_message.then(|| Payload::Bytes(Vec::new())))
    }
}

/// Where the messages come from.
enum Source {
    Message {
        payload: Payload,
        remaining: u64,
        delay: Duration,
    },
    /// All of standard input; becomes a message at its end.
    All {
        stdin: Stdin,
        remaining: u64,
        delay: Duration,
    },
    Lines(Stdin),
}

enum Payload {
    Bytes(Vec<u8>),
    File(PayloadFile),
}

/// A file that is too large to be read whole.
struct PayloadFile {
    path: PathBuf,
    file: File,
    len: usize,
}

/// A message whose payload is being sent.
struct Stream {
    /// What is sent next; all of it where the payload lies in memory.
    piece: Vec<u8>,
    sent: usize,
}

/// Between a message and its repetition.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    No,
    /// The message before is not delivered yet.
    ForDelivery,
    Until(Instant),
}

struct Publisher<'a> {
    printer: &'a Printer,
    topic: TopicName<'static>,
    qos: QoS,
    retain: bool,
    properties: &'a [Property<'static>],
    source: Source,
    stream: Option<Stream>,
    wait: Wait,
    /// Messages that the broker refused or that could not be sent.
    failures: u64,
    /// Everything was published and delivered.
    is_done: bool,
}

impl Application for Publisher<'_> {
    fn handle(&mut self, event: Event<'_>) -> Result<Flow, Error> {
        match event {
            Event::Acknowledged { reason, .. } if reason.is_error() => {
                self.fail("the broker refused the message", reason);
            }
            Event::Dropped { reason, .. } => self.fail("the message can't be sent", reason),
            _ => {}
        }
        Ok(Flow::Continue)
    }

    fn act(&mut self, client: &mut Client<'_>, now: Instant) -> Result<Flow, Error> {
        if client.awaited_payload() == 0 {
            self.stream = None;
            if self.publish(client, now)? == Progress::Finished && is_idle(client) {
                self.is_done = true;
                return Ok(Flow::Disconnect);
            }
        }
        Ok(Flow::Continue)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match self.wait {
            Wait::Until(at) => Some(at),
            _ => None,
        }
    }

    fn payload(&mut self) -> Result<&[u8], Error> {
        let Some(stream) = &mut self.stream else {
            return Ok(&[]);
        };
        if stream.sent == stream.piece.len()
            && let Source::Message {
                payload: Payload::File(file),
                ..
            } = &mut self.source
        {
            stream.piece.resize(PIECE_SIZE, 0);
            stream.sent = 0;
            let len = file.read(&mut stream.piece)?;
            stream.piece.truncate(len);
        }
        let bytes = match &self.source {
            Source::Message {
                payload: Payload::Bytes(bytes),
                ..
            } => bytes,
            _ => &stream.piece,
        };
        Ok(&bytes[stream.sent..])
    }

    fn payload_sent(&mut self, len: usize) {
        if let Some(stream) = &mut self.stream {
            stream.sent += len;
        }
    }
}

#[derive(PartialEq, Eq)]
enum Progress {
    /// Something has to happen first.
    Waiting,
    Finished,
}

impl Publisher<'_> {
    /// Publishes what there is, as far as the client takes it.
    fn publish(&mut self, client: &mut Client<'_>, now: Instant) -> Result<Progress, Error> {
        loop {
            match &mut self.source {
                Source::All {
                    stdin,
                    remaining,
                    delay,
                } => {
                    let bytes = match stdin.all().map_err(|error| unreadable_stdin(&error))? {
                        Some(bytes) if bytes.is_empty() => {
                            return Err(Error::new(ExitCode::Failure, "no message to send")
                                .because("standard input is empty")
                                .remedy("-n sends an empty message."));
                        }
                        Some(bytes) => bytes,
                        None => return Ok(Progress::Waiting),
                    };
                    self.source = Source::Message {
                        payload: Payload::Bytes(bytes),
                        remaining: *remaining,
                        delay: *delay,
                    };
                }
                Source::Message {
                    remaining, delay, ..
                } => {
                    if self.wait == Wait::ForDelivery {
                        if !is_idle(client) {
                            return Ok(Progress::Waiting);
                        }
                        self.wait = Wait::Until(now + *delay);
                    }
                    if *remaining == 0 {
                        self.wait = Wait::No;
                        return Ok(Progress::Finished);
                    }
                    if matches!(self.wait, Wait::Until(at) if now < at) {
                        return Ok(Progress::Waiting);
                    }
                    *remaining -= 1;
                    self.wait = Wait::ForDelivery;
                    self.publish_message(client)?;
                    return Ok(Progress::Waiting);
                }
                Source::Lines(stdin) => {
                    let line = match stdin.line().map_err(|error| unreadable_stdin(&error))? {
                        Input::Some(line) => line,
                        Input::Later => return Ok(Progress::Waiting),
                        Input::End => return Ok(Progress::Finished),
                    };
                    let message = Message {
                        topic: self.topic,
                        payload: line,
                        qos: self.qos,
                        retain: self.retain,
                        properties: Properties::new(self.properties),
                    };
                    let len = line.len();
                    let is_streamed = len > STREAM_FROM;
                    let result = if is_streamed {
                        client.publish_streamed(&message, len)
                    } else {
                        client.publish(&message)
                    };
                    match result {
                        Ok(_) => {}
                        Err(RequestError::Full) => return Ok(Progress::Waiting),
                        Err(error) => return Err(cannot_publish(self.topic, error)),
                    }
                    if is_streamed {
                        self.stream = Some(Stream {
                            piece: line.to_vec(),
                            sent: 0,
                        });
                    }
                    stdin.take(len);
                    if is_streamed {
                        return Ok(Progress::Waiting);
                    }
                }
            }
        }
    }

    /// Begins the message of [`Source::Message`].
    fn publish_message(&mut self, client: &mut Client<'_>) -> Result<(), Error> {
        let Source::Message { payload, .. } = &mut self.source else {
            return Ok(());
        };
        let (bytes, len): (&[u8], usize) = match payload {
            Payload::Bytes(bytes) => (bytes, bytes.len()),
            Payload::File(file) => (&[], file.rewind()?),
        };
        let message = Message {
            topic: self.topic,
            payload: bytes,
            qos: self.qos,
            retain: self.retain,
            properties: Properties::new(self.properties),
        };
        let result = if len > STREAM_FROM || bytes.len() != len {
            self.stream = Some(Stream {
                piece: Vec::new(),
                sent: 0,
            });
            client.publish_streamed(&message, len)
        } else {
            client.publish(&message)
        };
        result
            .map(|_| ())
            .map_err(|error| cannot_publish(self.topic, error))
    }

    fn fail(&mut self, what: &str, reason: ReasonCode) {
        self.failures += 1;
        let error = Error::new(ExitCode::Failure, format!("{what} on {}", self.topic))
            .because(reason)
            .remedy(remedy(reason));
        self.printer.error(&error);
    }

    /// What the command ends with, after the connection has.
    fn conclude(
        &self,
        reason: CloseReason,
        client: &Client<'_>,
        address: &str,
    ) -> Result<ExitCode, Error> {
        let waiting = client.in_flight();
        match reason {
            CloseReason::Requested if self.failures > 0 => Ok(ExitCode::Failure),
            CloseReason::Requested if self.is_done => Ok(ExitCode::Success),
            // Stopped while it waited for the next line: nothing is lost.
            CloseReason::Requested
                if matches!(self.source, Source::Lines(_))
                    && waiting == 0
                    && self.stream.is_none() =>
            {
                Ok(ExitCode::Success)
            }
            CloseReason::Requested => Err(Error::new(
                ExitCode::Failure,
                format!("stopped before everything was published on {}", self.topic),
            )
            .because(format!("{waiting} messages are not acknowledged"))),
            reason => Err(Error::new(
                ExitCode::Failure,
                format!("the connection to the broker at {address} ended too early"),
            )
            .because(reason)
            .remedy("What it did not acknowledge may not have arrived. Publish it again.")),
        }
    }
}

impl Payload {
    fn open(path: &Path) -> Result<Self, Error> {
        let failed = |error: io::Error| unreadable(path, &error);
        let mut file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let len = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
        if metadata.is_file() && len > STREAM_FROM {
            return Ok(Self::File(PayloadFile {
                path: path.to_owned(),
                file,
                len,
            }));
        }
        // Small, or a pipe whose length nobody knows.
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        Ok(Self::Bytes(bytes))
    }
}

impl PayloadFile {
    /// Goes back to the beginning; returns how many bytes will be read.
    fn rewind(&mut self) -> Result<usize, Error> {
        self.file
            .rewind()
            .map_err(|error| unreadable(&self.path, &error))?;
        Ok(self.len)
    }

    /// Reads at least one byte.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        loop {
            return match self.file.read(buffer) {
                Ok(0) => Err(unreadable(
                    &self.path,
                    &io::Error::other("it became shorter while it was sent"),
                )),
                Ok(len) => Ok(len),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(unreadable(&self.path, &error)),
            };
        }
    }
}

/// Everything that was published is delivered, as far as its QoS says that.
fn is_idle(client: &Client<'_>) -> bool {
    client.in_flight() == 0 && !client.has_unsent() && client.awaited_payload() == 0
}

fn cannot_publish(topic: TopicName<'_>, error: RequestError) -> Error {
    let remedy = match error {
        RequestError::NotSupported(reason) => remedy(reason),
        RequestError::TooLarge { .. } => "Send less at a time, or raise the broker's limit.",
        _ => "Check the message and its properties.",
    };
    Error::new(ExitCode::Failure, format!("can't publish on {topic}"))
        .because(error)
        .remedy(remedy)
}

fn remedy(reason: ReasonCode) -> &'static str {
    match reason {
        ReasonCode::NotAuthorized => "This user may not publish there.",
        ReasonCode::QoSNotSupported => "Take a lower -q.",
        ReasonCode::RetainNotSupported => "Leave -r out.",
        ReasonCode::PacketTooLarge => "Send less at a time, or raise the broker's limit.",
        ReasonCode::QuotaExceeded => "Try again later.",
        _ => "The broker's log may say more.",
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    usage(format!("can't read the message in {}", path.display()))
        .because(error)
        .remedy("Check the name behind -f.")
}

fn unreadable_stdin(error: &io::Error) -> Error {
    Error::new(ExitCode::Failure, "can't read standard input").because(error)
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "it is a number of seconds".to_owned())
}

const MESSAGE: &str = "Message";
/// Payloads above this are sent from where they are, without a copy in the client's memory.
const STREAM_FROM: usize = 32 * 1024;
const PIECE_SIZE: usize = 256 * 1024;

const EXAMPLES: &str = "\
Examples:
  Turn the light of the tutorial's board on:
    declic pub -t esp32/data -m ON
  A state that later subscribers get too, delivered for sure:
    declic pub -t home/door -m open -q 1 -r
  Each line as a message:
    sensor | declic pub -t home/temperature -l
  To another machine, with a password:
    DECLIC_PASSWORD=secret declic pub -h 192.168.1.20 -u declic -t esp32/data -m OFF
  Encrypted, to a broker whose certificate ca.pem vouches for:
    declic pub -h broker.local --cafile ca.pem -t esp32/data -m ON";
