//! The flags that `pub` and `sub` share, with the meaning they have in `mosquitto_pub` and
//! `mosquitto_sub`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::ArgAction;
use declic_mqtt::packet::{Disconnect, Properties, Property};
use declic_mqtt::{ProtocolVersion, QoS, ReasonCode, TopicName};

use crate::connect_options::{ConnectOptions, OwnedWill};
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::property_args::{PropertyArgs, keep};
use crate::tls_args::TlsArgs;
use crate::url::BrokerUrl;

#[derive(Debug, clap::Args)]
pub struct ClientArgs {
    /// Host of the broker: a name or an address
    #[arg(short = 'h', long, default_value = "localhost", help_heading = CONNECTION)]
    host: String,

    /// Port of the broker; 1883 if it is not said, with TLS 8883
    #[arg(short, long, help_heading = CONNECTION,
        value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// Broker, login and topic at once: mqtt://USER:PASSWORD@HOST:PORT/TOPIC
    ///
    /// It stands for -h, -p, -u, -P and a -t; all but the host may be left out. In user and
    /// password, %40 is @ and so on. mqtts:// is with TLS, ws:// over WebSocket, wss:// both.
    #[arg(short = 'L', long, conflicts_with_all = ["host", "port"], value_parser = BrokerUrl::parse,
        help_heading = CONNECTION)]
    url: Option<BrokerUrl>,

    /// User name
    #[arg(short, long, visible_alias = "user", value_name = "NAME", allow_hyphen_values = true,
        help_heading = CONNECTION)]
    username: Option<String>,

    /// Password; other users of this machine may see it in the list of processes
    ///
    /// --password-file and DECLIC_PASSWORD don't have that disadvantage.
    #[arg(short = 'P', long = "pw", visible_alias = "password", value_name = "PASSWORD",
        allow_hyphen_values = true, conflicts_with = "password_file", help_heading = CONNECTION)]
    password: Option<OsString>,

    /// File whose first line is the password
    ///
    /// With a user name and without a password from a flag, DECLIC_PASSWORD in the environment is
    /// used.
    #[arg(long, value_name = "FILE", help_heading = CONNECTION)]
    password_file: Option<PathBuf>,

    #[command(flatten)]
    tls: TlsArgs,

    /// Version of MQTT: 5 (or mqttv5), 311 (or mqttv311)
    ///
    /// Without it 5.0 is tried first, and 3.1.1 with a broker that does not speak 5.0.
    #[arg(short = 'V', long, value_name = "VERSION", value_parser = parse_version,
        help_heading = CONNECTION)]
    protocol_version: Option<ProtocolVersion>,

    /// Seconds without traffic after which the connection is checked; 0 for never
    #[arg(short, long, value_name = "SECONDS", default_value_t = 60, help_heading = CONNECTION)]
    keepalive: u16,

    /// Client id; a random one if it is not said
    #[arg(short, long, conflicts_with = "id_prefix", allow_hyphen_values = true,
        help_heading = SESSION)]
    id: Option<String>,

    /// Beginning of the client id; the number of the process is put behind it
    #[arg(short = 'I', long, value_name = "PREFIX", allow_hyphen_values = true,
        help_heading = SESSION)]
    id_prefix: Option<String>,

    /// Go on with an earlier session of this client id, and keep it afterwards
    ///
    /// The broker keeps the subscriptions, and messages of QoS 1 and 2 that come meanwhile. Needs
    /// -i or -I. In MQTT 5.0 -x says for how long; without it, for ever.
    #[arg(short = 'c', long, help_heading = SESSION)]
    disable_clean_session: bool,

    /// Seconds that the session is kept after the end; -1 or ∞ for ever (MQTT 5.0)
    #[arg(short = 'x', long, value_name = "SECONDS", value_parser = parse_expiry,
        allow_hyphen_values = true, help_heading = SESSION)]
    session_expiry_interval: Option<u32>,

    /// Add a property to a packet: PACKET NAME VALUE, or PACKET user-property NAME VALUE (MQTT 5.0)
    ///
    /// May be given several times. PACKET and NAME are:
    /// connect: authentication-data, authentication-method, maximum-packet-size, receive-maximum,
    /// request-problem-information, request-response-information, session-expiry-interval;
    /// publish: content-type, correlation-data, message-expiry-interval, payload-format-indicator,
    /// response-topic;
    /// will: those of publish, will-delay-interval;
    /// disconnect: session-expiry-interval;
    /// and user-property for these and for subscribe and unsubscribe.
    #[arg(short = 'D', long, num_args = 3..=4, value_names = ["PACKET", "NAME", "VALUE"],
        action = ArgAction::Append, help_heading = SESSION)]
    property: Vec<String>,

    /// Topic of the will: what the broker publishes when this client is lost
    #[arg(long, value_name = "TOPIC", allow_hyphen_values = true, help_heading = WILL)]
    will_topic: Option<String>,

    /// Message of the will; empty if it is not said
    #[arg(long, value_name = "MESSAGE", requires = "will_topic", allow_hyphen_values = true,
        help_heading = WILL)]
    will_payload: Option<OsString>,

    /// QoS of the will: 0, 1 or 2
    #[arg(long, value_name = "QOS", requires = "will_topic", value_parser = parse_qos,
        help_heading = WILL)]
    will_qos: Option<QoS>,

    /// Have the broker keep the will for later subscribers
    #[arg(long, requires = "will_topic", help_heading = WILL)]
    will_retain: bool,

    /// Tell on standard error what happens on the connection
    #[arg(short, long, help_heading = crate::cli::OUTPUT)]
    pub debug: bool,

    /// Print help (-h is the host)
    #[arg(long, action = ArgAction::Help, help_heading = crate::cli::OUTPUT)]
    help: Option<bool>,
}

/// What the flags say.
#[derive(Debug)]
pub struct ClientSetup {
    pub options: ConnectOptions,
    /// The topic of -L.
    pub topic: Option<String>,
    pub publish: Vec<Property<'static>>,
    pub subscribe: Vec<Property<'static>>,
    pub unsubscribe: Vec<Property<'static>>,
}

impl ClientArgs {
    /// What the flags of `declic <verb>` say.
    ///
    /// # Errors
    /// They contradict each other, or hold what MQTT can't say.
    pub fn setup(&self, verb: &str) -> Result<ClientSetup, Error> {
        let mut url = match &self.url {
            Some(url) => url.clone(),
            None => BrokerUrl::new(&self.host, BrokerUrl::DEFAULT_PORT),
        };
        if self.tls.asks_for_tls() {
            url.scheme = url.scheme.encrypted();
        }
        if self.url.is_none() {
            url.port = self.port.unwrap_or(url.scheme.default_port());
        }
        let tls = self.tls.tls(&url)?;
        let websocket = self.tls.websocket(&url);
        let properties = PropertyArgs::parse(&self.property)
            .map_err(|error| usage("can't add the property of -D").because(error))?;
        let user = self.username.clone().or_else(|| url.user.take());
        let password = self.password(user.is_some(), url.password.take())?;
        // What 3.1.1 can't say decides for 5.0.
        let needs_v5 = !properties.is_empty()
            || self.session_expiry_interval.is_some()
            || (password.is_some() && user.is_none());
        let version = match self.protocol_version {
            Some(ProtocolVersion::V3_1_1) if needs_v5 => {
                return Err(usage("MQTT 3.1.1 can't do what the flags ask for")
                    .because("-D, -x, and a password without a user name came with 5.0")
                    .remedy("Leave them out, or take -V 5."));
            }
            None if needs_v5 => Some(ProtocolVersion::V5),
            version => version,
        };
        let mut connect_properties = properties.connect;
        let expiry = match self.session_expiry_interval {
            None if self.disable_clean_session => Some(FOR_EVER),
            expiry => expiry,
        };
        let is_said = connect_properties
            .iter()
            .any(|property| matches!(property, Property::SessionExpiryInterval(_)));
        if let (Some(seconds), false) = (expiry, is_said) {
            connect_properties.push(Property::SessionExpiryInterval(seconds));
        }
        let disconnect = Disconnect {
            reason: ReasonCode::NORMAL_DISCONNECTION,
            properties: Properties::new(&properties.disconnect),
        };
        if let Err(error) = disconnect.encode(ProtocolVersion::V5, &mut [0; MAX_DISCONNECT]) {
            return Err(usage("can't add the properties of disconnect").because(error));
        }
        let topic = url.topic.take();
        Ok(ClientSetup {
            options: ConnectOptions {
                url,
                tls,
                websocket,
                version,
                client_id: self.client_id(verb)?,
                clean_start: !self.disable_clean_session,
                keep_alive: self.keepalive,
                user,
                password,
                will: self.will(properties.will)?,
                properties: connect_properties,
                disconnect: properties.disconnect,
            },
            topic,
            publish: properties.publish,
            subscribe: properties.subscribe,
            unsubscribe: properties.unsubscribe,
        })
    }

    fn password(&self, has_user: bool, of_url: Option<String>) -> Result<Option<Vec<u8>>, Error> {
        if let Some(password) = &self.password {
            return Ok(Some(password.as_encoded_bytes().to_vec()));
        }
        if let Some(path) = &self.password_file {
            let bytes = std::fs::read(path).map_err(|error| {
                usage(format!("can't read the password in {}", path.display())).because(error)
            })?;
            let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or(&[]);
            return Ok(Some(line.strip_suffix(b"\r").unwrap_or(line).to_vec()));
        }
        let of_environment =
            || std::env::var_os(PASSWORD).filter(|password| has_user && !password.is_empty());
        Ok(of_url
            .map(String::into_bytes)
            .or_else(|| of_environment().map(OsString::into_encoded_bytes)))
    }

    fn client_id(&self, verb: &str) -> Result<String, Error> {
        if let Some(id) = &self.id {
            return Ok(id.clone());
        }
        if let Some(prefix) = &self.id_prefix {
            return Ok(format!("{prefix}{}", std::process::id()));
        }
        if self.disable_clean_session {
            return Err(usage("can't keep a session with -c")
                .because("the client id is missing")
                .remedy("Add -i, with the same id each time."));
        }
        let mut random = [0; 5];
        getrandom::fill(&mut random).map_err(|error| {
            Error::new(ExitCode::Failure, "can't make a client id")
                .because(format!("the system gives no random bytes ({error})"))
                .remedy("Choose one with -i.")
        })?;
        // Letters and digits, at most 23: what every broker takes.
        let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(format!("declic{verb}{digits}"))
    }

    fn will(&self, properties: Vec<Property<'static>>) -> Result<Option<OwnedWill>, Error> {
        let Some(topic) = &self.will_topic else {
            if properties.is_empty() {
                return Ok(None);
            }
            return Err(usage("can't add the property of -D")
                .because("there is no will")
                .remedy("Add --will-topic."));
        };
        let payload = self.will_payload.clone().unwrap_or_default();
        if payload.len() > MAX_BINARY {
            return Err(usage("the will's message is too long")
                .because(format!(
                    "it has {} bytes, {MAX_BINARY} are possible",
                    payload.len()
                ))
                .remedy("Shorten it."));
        }
        Ok(Some(OwnedWill {
            topic: topic_name(topic, "as the topic of a will")?,
            payload: payload.into_encoded_bytes(),
            qos: self.will_qos.unwrap_or_default(),
            retain: self.will_retain,
            properties,
        }))
    }
}

/// `text` as a topic to publish to.
///
/// # Errors
/// It is none.
pub fn topic_name(text: &str, purpose: &str) -> Result<TopicName<'static>, Error> {
    TopicName::new(keep(text)).map_err(|error| {
        usage(format!("can't use \"{}\" {purpose}", text.escape_debug()))
            .because(error)
            .remedy("Choose another one with -t, without wildcards.")
    })
}

/// 0, 1 or 2.
pub fn parse_qos(text: &str) -> Result<QoS, String> {
    text.parse()
        .ok()
        .and_then(QoS::from_u8)
        .ok_or_else(|| "it is 0, 1 or 2".to_owned())
}

pub fn usage(what: impl Into<String>) -> Error {
    Error::new(ExitCode::Usage, what)
}

fn parse_version(text: &str) -> Result<ProtocolVersion, String> {
    match text {
        "5" | "mqttv5" => Ok(ProtocolVersion::V5),
        "311" | "mqttv311" => Ok(ProtocolVersion::V3_1_1),
        "31" | "mqttv31" => Err("MQTT 3.1 is not spoken here, 311 and 5 are".to_owned()),
        _ => Err("it is 5 or 311".to_owned()),
    }
}

fn parse_expiry(text: &str) -> Result<u32, String> {
    match text {
        "-1" | "∞" => Ok(FOR_EVER),
        text => text
            .parse()
            .map_err(|_| "it is a number of seconds, -1 or ∞".to_owned()),
    }
}

pub const CONNECTION: &str = "Connection";
const SESSION: &str = "Session";
const WILL: &str = "Will";
const PASSWORD: &str = "DECLIC_PASSWORD";
const FOR_EVER: u32 = u32::MAX;
/// Most bytes of a binary field (section 1.5.6 of 5.0).
const MAX_BINARY: usize = 65_535;
/// The longest DISCONNECT that the client sends.
const MAX_DISCONNECT: usize = 32;

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    #[command(disable_help_flag = true)]
    struct Command {
        #[command(flatten)]
        client: ClientArgs,
    }

    fn setup(flags: &[&str]) -> Result<ClientSetup, Error> {
        let command = [&["declic"], flags].concat();
        Command::try_parse_from(command)
            .expect("known flags")
            .client
            .setup("pub")
    }

    #[test]
    fn without_flags_any_version_is_spoken_to_this_machine() {
        let setup = setup(&[]).expect("valid");
        let options = setup.options;
        assert_eq!(options.url, BrokerUrl::new("localhost", 1883));
        assert_eq!(options.version, None);
        assert!(options.clean_start && options.will.is_none() && options.properties.is_empty());
        assert!(options.client_id.len() <= 23 && options.client_id.starts_with("declicpub"));
    }

    #[test]
    fn a_url_stands_for_host_port_login_and_topic() {
        let setup = setup(&["-L", "mqtt://ann:secret@host:1/a/b"]).expect("valid");
        assert_eq!(setup.options.url, BrokerUrl::new("host", 1));
        assert_eq!(setup.options.user.as_deref(), Some("ann"));
        assert_eq!(setup.options.password.as_deref(), Some(&b"secret"[..]));
        assert_eq!(setup.topic.as_deref(), Some("a/b"));
    }

    #[test]
    fn a_kept_session_lasts_for_ever_unless_something_else_is_said() {
        let expiry = |flags: &[&str]| {
            let options = setup(flags).expect("valid").options;
            (
                options.version,
                Properties::new(&options.properties).session_expiry_interval(),
            )
        };
        assert_eq!(expiry(&["-c", "-i", "me"]), (None, Some(u32::MAX)));
        let v5 = Some(ProtocolVersion::V5);
        assert_eq!(expiry(&["-c", "-i", "me", "-x", "60"]), (v5, Some(60)));
        assert_eq!(expiry(&["-x", "-1"]), (v5, Some(u32::MAX)));
        assert!(setup(&["-c"]).is_err());
        assert!(setup(&["-c", "-I", "me-"]).is_ok());
    }

    #[test]
    fn what_3_1_1_cannot_say_is_said_in_5_0_or_refused() {
        for flags in [
            &["-x", "1"][..],
            &["-P", "x"],
            &["-D", "publish", "content-type", "x"],
        ] {
            let version = setup(flags).expect("valid").options.version;
            assert_eq!(version, Some(ProtocolVersion::V5));
            let error = setup(&[flags, &["-V", "311"]].concat()).expect_err("refused");
            assert_eq!(error.exit_code(), ExitCode::Usage);
        }
    }

    #[test]
    fn properties_go_into_their_packets() {
        let setup = setup(&[
            "-D",
            "publish",
            "user-property",
            "a",
            "b",
            "-D",
            "publish",
            "content-type",
            "text",
            "-D",
            "disconnect",
            "session-expiry-interval",
            "5",
            "-d",
        ])
        .expect("valid");
        assert_eq!(setup.publish.len(), 2);
        assert_eq!(
            setup.options.disconnect,
            [Property::SessionExpiryInterval(5)]
        );
    }

    #[test]
    fn a_will_needs_a_topic_without_wildcards() {
        let error = setup(&["--will-topic", "a/#"]).expect_err("refused");
        assert!(
            error.to_string().contains("\"a/#\" as the topic of a will"),
            "{error}"
        );
        let options = setup(&["--will-topic", "a", "--will-payload", "-x"])
            .expect("valid")
            .options;
        assert_eq!(options.will.expect("a will").payload, b"-x");
    }
}
