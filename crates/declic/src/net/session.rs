//! One MQTT connection: from dialling to its end.

use std::io;
use std::time::Duration;

use declic_mqtt::client::{Client, CloseReason, Event, State};
use declic_mqtt::packet::{Disconnect, Properties};
use declic_mqtt::{Instant, ProtocolVersion, ReasonCode};

use super::Net;
use super::transport::{Transport, refusal};
use crate::connect_options::ConnectOptions;
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::printer::Printer;
use crate::url::Scheme;

/// What a command does with a connection.
pub trait Application {
    /// Something happened, but not the connection's end. After [`Flow::Disconnect`] nothing more
    /// is handled.
    ///
    /// # Errors
    /// The command can't go on; the connection ends in good order.
    fn handle(&mut self, event: Event<'_>) -> Result<Flow, Error>;

    /// All that happened is handled and the broker is connected: publish, subscribe.
    ///
    /// # Errors
    /// As [`Self::handle`].
    fn act(&mut self, client: &mut Client<'_>, now: Instant) -> Result<Flow, Error>;

    /// When [`Self::act`] is to be called at the latest.
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// The next bytes of the streamed message, at least one.
    ///
    /// # Errors
    /// There are none; the connection is cut.
    fn payload(&mut self) -> Result<&[u8], Error> {
        Ok(&[])
    }

    /// `len` bytes of [`Self::payload`] are sent.
    fn payload_sent(&mut self, _len: usize) {}
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    Continue,
    /// Disconnect, and handle nothing more.
    Disconnect,
}

/// Makes connections, and remembers what it learned of the broker.
pub struct Session<'a> {
    net: &'a mut Net,
    options: &'a ConnectOptions,
    printer: &'a Printer,
    version: ProtocolVersion,
    /// Connections in a row that ended before CONNACK.
    closes: u8,
}

impl<'a> Session<'a> {
    pub fn new(net: &'a mut Net, options: &'a ConnectOptions, printer: &'a Printer) -> Self {
        Self {
            net,
            printer,
            version: options.version.unwrap_or(ProtocolVersion::V5),
            options,
            closes: 0,
        }
    }

    pub fn net(&mut self) -> &mut Net {
        self.net
    }

    /// Connects and runs `app` until the connection that the broker accepted ends, or the process
    /// is asked to end. Returns why.
    ///
    /// Without a version asked for it is 5.0, and 3.1.1 after a refusal of 5.0 or two connections
    /// that the broker closed without an answer.
    ///
    /// # Errors
    /// The broker can't be reached or refuses, or `app` fails.
    pub fn run(
        &mut self,
        client: &mut Client<'_>,
        app: &mut impl Application,
    ) -> Result<CloseReason, Error> {
        loop {
            let Some(stream) = self.net.dial(&self.options.url)? else {
                return Ok(CloseReason::Requested);
            };
            let transport = Transport::open(stream, self.options)?;
            self.printer.debug(format_args!(
                "connecting to {} with MQTT {}",
                self.options.url, self.version
            ));
            let now = self.net.now();
            client
                .connect(&self.options.connect(self.version), now)
                .map_err(|error| {
                    Error::new(ExitCode::Usage, "can't connect with these flags").because(error)
                })?;
            let mut connection = Connection {
                net: self.net,
                transport,
                failure: None,
                options: self.options,
                is_accepted: false,
                is_stopping: false,
                stop_by: None,
            };
            let reason = connection.run(client, app, self.printer)?;
            if connection.is_accepted || reason == CloseReason::Requested {
                self.closes = 0;
                return Ok(reason);
            }
            let Connection {
                transport, failure, ..
            } = connection;
            if let Some(error) = refusal(&transport, failure.as_ref(), reason, &self.options.url) {
                return Err(error);
            }
            self.learn(reason)?;
        }
    }

    /// Decides what follows a connection that was not accepted: another try, or an error.
    fn learn(&mut self, reason: CloseReason) -> Result<(), Error> {
        let may_fall_back = self.options.version.is_none() && self.version == ProtocolVersion::V5;
        match reason {
            CloseReason::Refused(ReasonCode::UnsupportedProtocolVersion) if may_fall_back => {}
            CloseReason::Lost if may_fall_back && self.closes == 0 => {
                self.closes += 1;
                return Ok(());
            }
            CloseReason::Lost if may_fall_back => {}
            reason => return Err(not_accepted(reason, self.options, self.version)),
        }
        self.version = ProtocolVersion::V3_1_1;
        self.printer
            .debug("the broker does not speak MQTT 5.0, trying 3.1.1");
        Ok(())
    }
}

struct Connection<'n> {
    net: &'n mut Net,
    transport: Transport,
    /// What the transport ended with.
    failure: Option<io::Error>,
    options: &'n ConnectOptions,
    /// The broker sent a CONNACK that is no refusal.
    is_accepted: bool,
    /// Only what must be sent is sent, then the connection ends.
    is_stopping: bool,
    /// When the connection is cut although something is not sent.
    stop_by: Option<Instant>,
}

impl Connection<'_> {
    fn run(
        &mut self,
        client: &mut Client<'_>,
        app: &mut impl Application,
        printer: &Printer,
    ) -> Result<CloseReason, Error> {
        let mut outcome = Ok(());
        loop {
            match self.step(client, app, printer) {
                Ok(None) => {}
                Ok(Some(reason)) => {
                    if reason == CloseReason::Requested {
                        self.linger();
                    }
                    // The transport goes with `self`; the next one is registered anew.
                    return outcome.map(|()| reason);
                }
                Err(error) => {
                    if self.is_stopping || client.awaited_payload() > 0 {
                        // Half a message can only be cut.
                        client.handle_closed(self.net.now());
                        return outcome.and(Err(error));
                    }
                    self.stop(client);
                    outcome = Err(error);
                }
            }
        }
    }

    /// Feeds what is there, drains the events, moves bytes; waits when nothing of it was to be
    /// done. Returns why the connection is over.
    fn step(
        &mut self,
        client: &mut Client<'_>,
        app: &mut impl Application,
        printer: &Printer,
    ) -> Result<Option<CloseReason>, Error> {
        let mut progress = false;
        // Who has stopped takes no more messages: they would be acknowledged, and lost.
        if self.net.readable && !self.is_stopping {
            progress |= self.read(client);
        }
        client.handle_timeout(self.net.now());
        if self.stop_by.is_some_and(|limit| self.net.now() >= limit) {
            client.handle_closed(self.net.now());
            return Ok(Some(CloseReason::Requested));
        }
        if self.net.is_stopping() && !self.is_stopping {
            if client.awaited_payload() > 0 {
                client.handle_closed(self.net.now());
                return Ok(Some(CloseReason::Requested));
            }
            self.stop(client);
        }
        if !self.is_stopping || client.state() != State::Closing || client.transmit().is_empty() {
            while let Some(event) = client.poll_event() {
                progress = true;
                if printer.is_verbose() {
                    printer.debug(describe(&event));
                }
                match event {
                    Event::Closed(reason) => return Ok(Some(reason)),
                    Event::Connected { .. } => self.is_accepted = true,
                    _ => {}
                }
                if !self.is_stopping && app.handle(event)? == Flow::Disconnect {
                    self.stop(client);
                    break;
                }
            }
        }
        if !self.is_stopping
            && client.state() == State::Connected
            && app.act(client, self.net.now())? == Flow::Disconnect
        {
            self.stop(client);
        }
        progress |= self.write(client, app)?;
        if !progress {
            let deadline = [client.poll_timeout(), app.poll_timeout(), self.stop_by]
                .into_iter()
                .flatten()
                .min();
            self.net.wait(deadline)?;
        }
        Ok(None)
    }

    fn stop(&mut self, client: &mut Client<'_>) {
        self.is_stopping = true;
        self.stop_by = Some(self.net.now() + STOP);
        let packet = Disconnect {
            reason: ReasonCode::NORMAL_DISCONNECTION,
            properties: Properties::new(&self.options.disconnect),
        };
        // That it fits was checked when the options were made.
        let _ = client.disconnect(&packet, self.net.now());
    }

    fn read(&mut self, client: &mut Client<'_>) -> bool {
        let now = self.net.now();
        let space = client.rx_space();
        if space.is_empty() {
            return false;
        }
        // What came may let go on what waited for a handshake and not for the socket.
        self.net.writable |= self.transport.is_handshaking();
        match self.transport.read(space) {
            Ok(0) => client.handle_closed(now),
            Ok(len) => client.received(len, now),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.net.readable = false;
                return false;
            }
            Err(error) => {
                self.failure = Some(error);
                client.handle_closed(now);
            }
        }
        true
    }

    fn write(
        &mut self,
        client: &mut Client<'_>,
        app: &mut impl Application,
    ) -> Result<bool, Error> {
        let mut written = 0;
        self.flush();
        while self.net.writable && written < TURN {
            let now = self.net.now();
            let bytes = client.transmit();
            let is_own = !bytes.is_empty();
            let result = if is_own {
                self.transport.write(bytes)
            } else {
                let awaited = client.awaited_payload();
                if awaited == 0 {
                    break;
                }
                let payload = app.payload()?;
                self.transport.write(&payload[..payload.len().min(awaited)])
            };
            match result {
                Ok(len) if is_own => {
                    client.transmitted(len, now);
                    written += len;
                }
                Ok(len) => {
                    app.payload_sent(len);
                    client.streamed(len, now);
                    written += len;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.net.writable = false;
                }
                Err(error) => {
                    self.net.writable = false;
                    self.failure.get_or_insert(error);
                    // What the broker said before is read first, where that is possible.
                    let will_read = self.net.readable && !self.is_stopping;
                    if !will_read || client.rx_space().is_empty() {
                        client.handle_closed(now);
                        return Ok(true);
                    }
                }
            }
        }
        Ok(written > 0)
    }

    /// Writes what the transport holds back, if the socket takes it.
    fn flush(&mut self) {
        if self.net.writable
            && let Ok(is_all) = self.transport.flush()
        {
            // Where it fails, reading says why.
            self.net.writable = is_all;
        }
    }

    /// Waits for the broker to close, so that the system does not reset the connection, and with
    /// it what was sent last, because of received bytes that nobody read.
    fn linger(&mut self) {
        let deadline = self.net.now() + STOP;
        loop {
            match self.transport.shutdown() {
                Ok(true) => break,
                Ok(false) if self.net.now() < deadline => {}
                _ => return,
            }
            if self.net.wait(Some(deadline)).is_err() {
                return;
            }
        }
        let deadline = self.net.now() + LINGER;
        let mut nowhere = [0; 4096];
        // What was seen before says nothing about now.
        self.net.readable = true;
        while self.net.now() < deadline {
            if !self.net.readable && self.net.wait(Some(deadline)).is_err() {
                return;
            }
            match self.transport.read(&mut nowhere) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.net.readable = false;
                }
                Err(_) => return,
            }
        }
    }
}

/// The event in words, without its payload.
fn describe(event: &Event<'_>) -> String {
    match event {
        Event::Message { publish, remaining } => format!(
            "received PUBLISH (QoS {}, {}, {} bytes)",
            publish.delivery.qos() as u8,
            publish
                .topic
                .map_or("", |topic| topic.as_str())
                .escape_debug(),
            publish.payload.len() + remaining
        ),
        Event::MessageChunk { payload, remaining } => {
            format!("received {} bytes, {remaining} follow", payload.len())
        }
        event => format!("{event:?}"),
    }
}

fn not_accepted(reason: CloseReason, options: &ConnectOptions, version: ProtocolVersion) -> Error {
    let address = options.url.address();
    let refused = |remedy: &str| {
        let CloseReason::Refused(code) = reason else {
            return Error::new(ExitCode::Refused, "");
        };
        Error::new(
            ExitCode::Refused,
            format!("the broker at {address} refused the connection"),
        )
        .because(code)
        .remedy(remedy)
    };
    let no_connection = |what: &str| {
        Error::new(
            ExitCode::NoConnection,
            format!("no connection to the broker at {address}"),
        )
        .because(what)
    };
    let no_broker = match options.url.scheme {
        Scheme::Mqtt => {
            "Is it an MQTT broker, and one without TLS on this port? With TLS, add --cafile."
        }
        _ => "Is it an MQTT broker?",
    };
    match reason {
        CloseReason::Refused(code) => match code {
            ReasonCode::UnsupportedProtocolVersion => refused(&format!(
                "It does not speak MQTT {version}; leave -V out to take what it speaks."
            )),
            ReasonCode::BadUserNameOrPassword | ReasonCode::NotAuthorized
                if options.user.is_none() =>
            {
                refused("It may want a user name (-u) and a password (-P).")
            }
            ReasonCode::BadUserNameOrPassword | ReasonCode::NotAuthorized => {
                refused("Check the user name (-u) and the password (-P).")
            }
            ReasonCode::ClientIdentifierNotValid => refused("Try another client id (-i)."),
            ReasonCode::ServerBusy | ReasonCode::ServerUnavailable => refused("Try again later."),
            _ => refused("Its log may say more."),
        },
        CloseReason::Lost => {
            no_connection("it closed the connection without an answer").remedy(no_broker)
        }
        CloseReason::ConnectTimeout => no_connection("it did not answer in 10 s").remedy(no_broker),
        CloseReason::Protocol(error) => {
            no_connection(&format!("what it says is not MQTT: {error}")).remedy(no_broker)
        }
        reason => no_connection(&reason.to_string()),
    }
}

/// Most bytes written before something is read again.
const TURN: usize = 1 << 20;
/// How long a broker may take to read what is sent before the end.
const STOP: Duration = Duration::from_secs(10);
const LINGER: Duration = Duration::from_millis(500);
