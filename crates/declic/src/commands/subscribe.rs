//! `declic sub`: prints messages, as `mosquitto_sub` does.

use std::io::{self, BufWriter, Stdout};
use std::time::Duration;

use declic_board::Backoff;
use declic_mqtt::client::{Client, CloseReason, Event, Message, RequestError};
use declic_mqtt::packet::{Items, Properties, Property, Publish, RetainHandling, Subscription};
use declic_mqtt::{Instant, PacketId, QoS, ReasonCode, TopicFilter, TopicName};

use crate::cli::OUTPUT;
use crate::client_args::{ClientArgs, parse_qos, usage};
use crate::client_memory::ClientMemory;
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::message_format::{Format, MessagePrinter};
use crate::net::{Application, Flow, Net, Session};
use crate::printer::Printer;
use crate::property_args::keep;

/// Subscribe to topics and print the messages
///
/// The flags are those of mosquitto_sub, without proxies, Unix sockets and TLS by a shared key. A lost connection is made again, with growing pauses;
/// Ctrl-C ends the command in good order. Messages of any size are printed as they come.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true, disable_version_flag = true, after_long_help = EXAMPLES)]
pub struct Args {
    /// Topic filter to subscribe to; may be given several times
    ///
    /// + stands for one level, # for any number of levels at the end.
    #[arg(short, long, value_name = "FILTER", required_unless_present = "url",
        allow_hyphen_values = true, help_heading = SUBSCRIPTION)]
    topic: Vec<String>,

    /// Don't print messages on these topics; may be given several times
    #[arg(short = 'T', long, value_name = "FILTER", allow_hyphen_values = true,
        help_heading = SUBSCRIPTION)]
    filter_out: Vec<String>,

    /// Unsubscribe from this filter; may be given several times (with -c)
    #[arg(short = 'U', long, value_name = "FILTER", allow_hyphen_values = true,
        help_heading = SUBSCRIPTION)]
    unsubscribe: Vec<String>,

    /// Highest quality of service that messages come with: 0, 1 or 2
    #[arg(short, long, default_value = "0", value_parser = parse_qos,
        help_heading = SUBSCRIPTION)]
    qos: QoS,

    /// Don't print what the broker had kept, only what comes from now on
    #[arg(short = 'R', long, help_heading = SUBSCRIPTION)]
    no_retain: bool,

    /// Print only what the broker had kept, and end with the first other message
    #[arg(long, conflicts_with = "no_retain", help_heading = SUBSCRIPTION)]
    retained_only: bool,

    /// Have the broker forget each kept message that comes
    ///
    /// With -T some can be left where they are.
    #[arg(long, conflicts_with = "no_retain", help_heading = SUBSCRIPTION)]
    remove_retained: bool,

    /// Let messages have the retain flag that they were published with (MQTT 5.0)
    #[arg(long, help_heading = SUBSCRIPTION)]
    retain_as_published: bool,

    /// End after that many messages
    #[arg(short = 'C', long, value_parser = clap::value_parser!(u64).range(1..),
        help_heading = ENDING)]
    count: Option<u64>,

    /// End after that many seconds on the broker, with exit code 27
    #[arg(short = 'W', long, value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..), help_heading = ENDING)]
    timeout: Option<u64>,

    /// End when the subscriptions are made; with -c the broker keeps messages from then on
    #[arg(short = 'E', long, help_heading = ENDING)]
    exit_after_subscribe: bool,

    /// Print the topic before each message
    #[arg(short, long, help_heading = OUTPUT)]
    verbose: bool,

    /// Print no line's end behind a message
    #[arg(short = 'N', long, help_heading = OUTPUT)]
    no_newline: bool,

    /// Print each message by a format
    ///
    /// %t topic, %p payload, %x and %X payload in hexadecimal digits, %l its length,
    /// %q QoS, %r retained, %m packet identifier, %j everything as JSON,
    /// %I date and time, %U seconds since 1970, %% a percent sign.
    /// Properties: %A topic alias, %C content type, %D correlation data, %E expiry,
    /// %F format indicator, %P user properties, %R response topic,
    /// %S subscription identifier.
    /// Behind the % may stand 0 (fill with zeros), - (align left), a width, and a dot
    /// with the longest width: %-10.10t.
    /// @Y @m @d @H @M @S @F @T @s @N @z @Z are parts of the time as in date(1),
    /// @@ an at sign. All times are UTC. \n \t \r \e \a \v \0 \\ as usual.
    #[arg(short = 'F', long, verbatim_doc_comment, conflicts_with = "verbose",
        allow_hyphen_values = true, help_heading = OUTPUT)]
    format: Option<String>,

    /// Print each message as an object of JSON, as -F %j
    #[arg(long, conflicts_with_all = ["verbose", "format"], help_heading = OUTPUT)]
    json: bool,

    #[command(flatten)]
    client: ClientArgs,
}

/// Subscribes and prints until something ends it.
pub fn run(args: &Args, printer: &Printer) -> Result<ExitCode, Error> {
    let printer = &printer.with_verbose(args.client.debug);
    let setup = args.client.setup("sub")?;
    let topics = args.topic.iter().chain(setup.topic.as_ref());
    let subscriptions = topics
        .map(|topic| args.subscription(topic))
        .collect::<Result<Vec<_>, _>>()?;
    let mut net = Net::new()?;
    net.watch_stdout();
    let mut subscriber = Subscriber {
        printer,
        args,
        subscriptions,
        filter_out: filters(&args.filter_out, "-T")?,
        unsubscribe: filters(&args.unsubscribe, "-U")?,
        properties: &setup.subscribe,
        unsubscribe_properties: &setup.unsubscribe,
        output: MessagePrinter::new(
            BufWriter::with_capacity(BUFFER, io::stdout()),
            args.format()?,
            !args.no_newline,
        ),
        is_printing: false,
        count: 0,
        deadline: None,
        is_requested: false,
        awaited: Vec::new(),
        to_clear: Vec::new(),
        end: None,
    };
    let mut memory = ClientMemory::new(IN_FLIGHT);
    let mut client = Client::new(setup.options.config(), memory.lend());
    let mut session = Session::new(&mut net, &setup.options, printer);
    let seed = u64::from(std::process::id());
    let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE, seed);
    let address = setup.options.url.address();
    loop {
        match session.run(&mut client, &mut subscriber) {
            Ok(CloseReason::Requested) => break,
            Ok(reason @ CloseReason::Server(ReasonCode::SessionTakenOver)) => {
                return Err(Error::new(ExitCode::Failure, lost(&address))
                    .because(reason)
                    .remedy("Another client has the same client id; choose one with -i."));
            }
            Ok(reason @ CloseReason::Protocol(_)) => {
                return Err(Error::new(ExitCode::Failure, lost(&address)).because(reason));
            }
            Ok(reason) => {
                backoff.reset();
                printer.note(format_args!("{}: {reason}. Trying again", lost(&address)));
            }
            Err(error)
                if subscriber.deadline.is_some() && error.exit_code() == ExitCode::NoConnection =>
            {
                printer.debug(&error);
            }
            Err(error) => return Err(error),
        }
        subscriber.reset()?;
        let net = session.net();
        let pause = backoff.next_wait().max(SHORTEST_PAUSE);
        let rest = subscriber.timeout_at().map(|at| at.since(net.now()));
        net.pause(pause.min(rest.unwrap_or(pause)))?;
        if net.is_stopping() {
            break;
        }
        if rest.is_some_and(|rest| rest <= pause) {
            subscriber.end = Some(End::TimedOut);
            break;
        }
    }
    subscriber.flush()?;
    match subscriber.end {
        Some(End::TimedOut) => {
            printer.note("the time of -W is over");
            Ok(ExitCode::TimedOut)
        }
        Some(End::Done) | None => Ok(ExitCode::Success),
    }
}

impl Args {
    fn subscription(&self, topic: &str) -> Result<Subscription<'static>, Error> {
        let filter = filter(topic, "-t")?;
        Ok(Subscription {
            retain_as_published: self.retain_as_published,
            retain_handling: if self.no_retain {
                RetainHandling::Never
            } else {
                RetainHandling::OnSubscribe
            },
            ..Subscription::new(filter, self.qos)
        })
    }

    fn format(&self) -> Result<Format, Error> {
        match &self.format {
            Some(format) => Format::parse(format).map_err(|error| {
                usage("can't print by the format of -F")
                    .because(error)
                    .remedy("`declic sub --help` lists what a format can have.")
            }),
            None if self.json => Ok(Format::json()),
            None if self.verbose => Ok(Format::Verbose),
            None => Ok(Format::Payload),
        }
    }
}

/// What ends the command.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    TimedOut,
}

struct Subscriber<'a> {
    printer: &'a Printer,
    args: &'a Args,
    subscriptions: Vec<Subscription<'static>>,
    filter_out: Vec<TopicFilter<'static>>,
    unsubscribe: Vec<TopicFilter<'static>>,
    properties: &'a [Property<'static>],
    unsubscribe_properties: &'a [Property<'static>],
    output: MessagePrinter<BufWriter<Stdout>>,
    /// The message of which a part came is printed.
    is_printing: bool,
    /// Messages printed.
    count: u64,
    /// When the time is over, from the first connection on; far away without -W.
    deadline: Option<Instant>,
    /// SUBSCRIBE and UNSUBSCRIBE are sent on this connection.
    is_requested: bool,
    /// Their answers that have not come.
    awaited: Vec<PacketId>,
    /// Topics whose kept messages are to go.
    to_clear: Vec<String>,
    /// No more messages are printed.
    end: Option<End>,
}

impl Application for Subscriber<'_> {
    fn handle(&mut self, event: Event<'_>) -> Result<Flow, Error> {
        match event {
            Event::Connected { .. } => {
                self.is_requested = false;
                self.awaited.clear();
            }
            Event::Subscribed { id, reasons } => {
                self.awaited.retain(|awaited| *awaited != id);
                self.check(reasons)?;
            }
            Event::Unsubscribed { id, .. } => self.awaited.retain(|awaited| *awaited != id),
            Event::Message { publish, remaining } => {
                self.is_printing = self.end.is_none() && self.wants(&publish);
                if self.is_printing {
                    self.output
                        .message(&publish, remaining)
                        .map_err(|error| Error::stdout(&error))?;
                    self.count_message(remaining);
                }
            }
            Event::MessageChunk { payload, remaining } if self.is_printing => {
                self.output
                    .chunk(payload, remaining)
                    .map_err(|error| Error::stdout(&error))?;
                self.count_message(remaining);
            }
            _ => {}
        }
        let is_subscribed = self.is_requested && self.awaited.is_empty();
        if self.args.exit_after_subscribe && is_subscribed {
            self.end = Some(End::Done);
        }
        // What must still be cleared is cleared first.
        if self.end.is_some() && !self.args.remove_retained {
            return Ok(Flow::Disconnect);
        }
        Ok(Flow::Continue)
    }

    fn act(&mut self, client: &mut Client<'_>, now: Instant) -> Result<Flow, Error> {
        if self.deadline.is_none() {
            let timeout = self.args.timeout.map(Duration::from_secs);
            self.deadline = Some(now + timeout.unwrap_or(Duration::MAX));
        }
        if !self.is_requested {
            self.request(client)?;
        }
        self.clear_retained(client)?;
        self.flush()?;
        if self.end.is_none() && self.deadline.is_some_and(|deadline| now >= deadline) {
            self.end = Some(End::TimedOut);
        }
        let is_cleared = self.to_clear.is_empty() && client.in_flight() == 0;
        if self.end.is_some() && is_cleared {
            return Ok(Flow::Disconnect);
        }
        Ok(Flow::Continue)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.timeout_at().filter(|_| self.end.is_none())
    }
}

impl Subscriber<'_> {
    fn timeout_at(&self) -> Option<Instant> {
        self.deadline.filter(|_| self.args.timeout.is_some())
    }

    fn request(&mut self, client: &mut Client<'_>) -> Result<(), Error> {
        let failed =
            |error: RequestError| Error::new(ExitCode::Failure, "can't subscribe").because(error);
        let properties = Properties::new(self.properties);
        let id = client
            .subscribe(&self.subscriptions, properties)
            .map_err(failed)?;
        self.awaited.push(id);
        if !self.unsubscribe.is_empty() {
            let properties = Properties::new(self.unsubscribe_properties);
            let id = client
                .unsubscribe(&self.unsubscribe, properties)
                .map_err(failed)?;
            self.awaited.push(id);
        }
        self.is_requested = true;
        Ok(())
    }

    /// Tells which subscriptions were refused.
    fn check(&self, reasons: Items<'_, ReasonCode>) -> Result<(), Error> {
        let mut accepted = false;
        let mut refused = None;
        for (subscription, reason) in self.subscriptions.iter().zip(reasons) {
            if !reason.is_error() {
                accepted = true;
                continue;
            }
            let remedy = match reason {
                ReasonCode::NotAuthorized => "This user may not read there.",
                _ => "The broker's log may say more.",
            };
            let what = format!(
                "the broker refused the subscription to {}",
                subscription.filter
            );
            let error = Error::new(ExitCode::Failure, what)
                .because(reason)
                .remedy(remedy);
            if let Some(earlier) = refused.replace(error) {
                self.printer.error(&earlier);
            }
        }
        match refused {
            Some(error) if accepted => {
                self.printer.error(&error);
                Ok(())
            }
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Whether the message is printed; may end the command, and note what is to be cleared.
    fn wants(&mut self, publish: &Publish<'_>) -> bool {
        let args = self.args;
        if args.retained_only && !publish.retain {
            self.end = Some(End::Done);
            return false;
        }
        let Some(topic) = publish.topic else {
            // Only an alias, and none was allowed.
            return false;
        };
        let is_filtered = self.filter_out.iter().any(|filter| filter.matches(topic));
        if is_filtered || (args.no_retain && publish.retain) {
            return false;
        }
        if args.remove_retained && publish.retain {
            self.to_clear.push(topic.as_str().to_owned());
        }
        true
    }

    fn count_message(&mut self, remaining: usize) {
        if remaining > 0 {
            return;
        }
        self.is_printing = false;
        self.count += 1;
        if Some(self.count) == self.args.count {
            self.end = Some(End::Done);
        }
    }

    fn clear_retained(&mut self, client: &mut Client<'_>) -> Result<(), Error> {
        while let Some(topic) = self.to_clear.last() {
            // It came from the broker and is a topic's name.
            if let Ok(name) = TopicName::new(topic) {
                let message = Message {
                    qos: QoS::AtLeastOnce,
                    retain: true,
                    ..Message::new(name, &[])
                };
                match client.publish(&message) {
                    Ok(_) => {}
                    Err(RequestError::Full) => return Ok(()),
                    Err(error) => {
                        let what = format!("can't clear the kept message on {name}");
                        return Err(Error::new(ExitCode::Failure, what).because(error));
                    }
                }
            }
            self.to_clear.pop();
        }
        Ok(())
    }

    /// The connection is lost: half a message stays half.
    fn reset(&mut self) -> Result<(), Error> {
        self.is_printing = false;
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.output.flush().map_err(|error| Error::stdout(&error))
    }
}

fn filters(texts: &[String], flag: &str) -> Result<Vec<TopicFilter<'static>>, Error> {
    texts.iter().map(|text| filter(text, flag)).collect()
}

fn filter(text: &str, flag: &str) -> Result<TopicFilter<'static>, Error> {
    TopicFilter::new(keep(text)).map_err(|error| {
        usage(format!(
            "can't use \"{}\" as a topic filter",
            text.escape_debug()
        ))
        .because(error)
        .remedy(format!("Check what stands behind {flag}."))
    })
}

fn lost(address: &str) -> String {
    format!("the connection to the broker at {address} ended")
}

const SUBSCRIPTION: &str = "Subscription";
const ENDING: &str = "Ending";
const BUFFER: usize = 64 * 1024;
const IN_FLIGHT: usize = 64;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

const EXAMPLES: &str = "\
Examples:
  What the boards say to each other:
    declic sub -t esp32/data -v
  Everything, as a line of JSON for each message:
    declic sub -t '#' --json
  One value for a script, waiting 10 seconds for it at most:
    temperature=$(declic sub -t home/temperature -C 1 -W 10)
  Messages that came while nobody listened:
    declic sub -t mail/# -q 1 -c -i archive";
