//! `mqtt://user:password@host:port/topic`, and the same with TLS and WebSocket.

use std::fmt;

/// What MQTT is spoken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Mqtt,
    Mqtts,
    Ws,
    Wss,
}

impl Scheme {
    fn parse(text: &str) -> Option<Self> {
        let known = ALL.iter().find(|(name, _)| text.eq_ignore_ascii_case(name));
        known.map(|(_, scheme)| *scheme)
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt",
            Self::Mqtts => "mqtts",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    pub const fn is_encrypted(self) -> bool {
        matches!(self, Self::Mqtts | Self::Wss)
    }

    pub const fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }

    /// The same with TLS.
    pub const fn encrypted(self) -> Self {
        match self {
            Self::Mqtt | Self::Mqtts => Self::Mqtts,
            Self::Ws | Self::Wss => Self::Wss,
        }
    }

    pub const fn default_port(self) -> u16 {
        match self {
            Self::Mqtt => BrokerUrl::DEFAULT_PORT,
            Self::Mqtts => 8883,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }
}

/// Where a broker is, and what its URL says besides.
#[derive(Clone, PartialEq, Eq)]
pub struct BrokerUrl {
    pub scheme: Scheme,
    /// A name or an address; an IPv6 address without brackets.
    pub host: String,
    pub port: u16,
    pub user: Option<String>,
    pub password: Option<String>,
    pub topic: Option<String>,
}

impl BrokerUrl {
    /// The port of MQTT without TLS.
    pub const DEFAULT_PORT: u16 = 1883;

    /// The broker at `host` and `port`, with nothing else said.
    pub fn new(host: &str, port: u16) -> Self {
        Self {
            scheme: Scheme::Mqtt,
            host: host.to_owned(),
            port,
            user: None,
            password: None,
            topic: None,
        }
    }

    /// Reads a URL. User name and password may have `%` escapes; the topic stands as it is, as
    /// `mosquitto_sub` takes it.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => match Scheme::parse(scheme) {
                Some(scheme) => (scheme, rest),
                None => {
                    let known = "mqtt://, mqtts://, ws:// and wss:// are";
                    return Err(format!("{scheme}:// is not known, {known}"));
                }
            },
            None => return Err("it has to begin with mqtt://".to_owned()),
        };
        let (authority, topic) = match rest.split_once('/') {
            Some((authority, topic)) => (authority, Some(topic)),
            None => (rest, None),
        };
        let (login, address) = match authority.rsplit_once('@') {
            Some((login, address)) => (Some(login), address),
            None => (None, authority),
        };
        let (host, port) = split_port(address, scheme)?;
        let (user, password) = match login.map(|login| login.split_once(':').ok_or(login)) {
            Some(Ok((user, password))) => (Some(decode(user)?), Some(decode(password)?)),
            Some(Err(user)) => (Some(decode(user)?), None),
            None => (None, None),
        };
        Ok(Self {
            scheme,
            host: host.to_owned(),
            port: port.unwrap_or(scheme.default_port()),
            user,
            password,
            topic: topic.filter(|topic| !topic.is_empty()).map(str::to_owned),
        })
    }

    /// Reads a URL of a board: they speak neither TLS nor WebSocket.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_plain(text: &str) -> Result<Self, String> {
        match Self::parse(text)? {
            url if url.scheme == Scheme::Mqtt => Ok(url),
            url => Err(format!(
                "boards don't speak {}://, mqtt:// only",
                url.scheme.name()
            )),
        }
    }

    /// `host:port`, as people write it.
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Without user name and password: it is printed.
impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.name(), self.address())
    }
}

impl fmt::Debug for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const ALL: &[(&str, Scheme)] = &[
    ("mqtt", Scheme::Mqtt),
    ("mqtts", Scheme::Mqtts),
    ("ssl", Scheme::Mqtts),
    ("ws", Scheme::Ws),
    ("wss", Scheme::Wss),
];

fn split_port(address: &str, scheme: Scheme) -> Result<(&str, Option<u16>), String> {
    let (host, port) = if let Some(rest) = address.strip_prefix('[') {
        let (host, rest) = rest
            .split_once(']')
            .ok_or("the ] of the address is missing")?;
        match rest.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if rest.is_empty() => (host, None),
            None => return Err(format!("{rest} is not a port")),
        }
    } else {
        match address.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err(format!(
                    "an IPv6 address stands in brackets: {}://[{address}]",
                    scheme.name()
                ));
            }
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        }
    };
    if host.is_empty() {
        return Err("the host is missing".to_owned());
    }
    let port = port
        .map(|port| match port.parse() {
            Ok(0) | Err(_) => Err(format!("{port} is not a port: 1 to 65535")),
            Ok(port) => Ok(port),
        })
        .transpose()?;
    Ok((host, port))
}

/// Replaces `%41` by `A`.
fn decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = tail.first_chunk::<2>().and_then(|[high, low]| {
            let digit = |byte: &u8| char::from(*byte).to_digit(16);
            u8::try_from(digit(high)? * 16 + digit(low)?).ok()
        });
        match (first, escaped) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            (b'%', None) => return Err("a % is followed by two hexadecimal digits".to_owned()),
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_but_the_host_may_be_left_out() {
        let url = BrokerUrl::parse("mqtt://ann:p%40ss@example.org:1884/a/%2/#").expect("valid");
        assert_eq!(url.host, "example.org");
        assert_eq!(url.port, 1884);
        assert_eq!(url.user.as_deref(), Some("ann"));
        assert_eq!(url.password.as_deref(), Some("p@ss"));
        assert_eq!(url.topic.as_deref(), Some("a/%2/#"));
        assert_eq!(
            BrokerUrl::parse("MQTT://host").expect("valid"),
            BrokerUrl::new("host", 1883)
        );
        let url = BrokerUrl::parse("mqtt://ann@[::1]/").expect("valid");
        assert_eq!(
            (url.host.as_str(), url.password, url.topic),
            ("::1", None, None)
        );
    }

    #[test]
    fn the_scheme_says_what_mqtt_is_spoken_over() {
        for (text, scheme, port) in [
            ("mqtts://a", Scheme::Mqtts, 8883),
            ("ssl://a", Scheme::Mqtts, 8883),
            ("ws://a/topic", Scheme::Ws, 80),
            ("WSS://a:8443", Scheme::Wss, 8443),
        ] {
            let url = BrokerUrl::parse(text).expect(text);
            assert_eq!((url.scheme, url.port), (scheme, port), "{text}");
            let error = BrokerUrl::parse_plain(text).expect_err(text);
            assert!(error.starts_with("boards don't speak"), "{error}");
        }
        assert!(BrokerUrl::parse_plain("mqtt://a").is_ok());
    }

    #[test]
    fn it_is_printed_without_the_password() {
        let url = BrokerUrl::parse("mqtt://ann:secret@[::1]:1/t").expect("valid");
        assert_eq!(url.to_string(), "mqtt://[::1]:1");
        assert_eq!(format!("{url:?}"), "mqtt://[::1]:1");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, expected) in [
            ("localhost", "it has to begin with mqtt://"),
            ("http://a", "http:// is not known"),
            ("mqtt://:1883", "the host is missing"),
            ("mqtt://a:x", "x is not a port"),
            ("mqtt://a:0", "0 is not a port"),
            ("mqtt://a:70000", "70000 is not a port"),
            ("mqtt://::1", "an IPv6 address stands in brackets"),
            ("mqtt://[::1", "the ] of the address is missing"),
            ("mqtt://a%zz@b", "two hexadecimal digits"),
            ("mqtt://%ff@b", "UTF-8"),
        ] {
            let error = BrokerUrl::parse(text).expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
