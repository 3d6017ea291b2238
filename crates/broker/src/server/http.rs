//! The HTTP port: WebSocket connections, and pages that tell about the broker. A request is
//! answered and the connection closed; only a WebSocket stays open.

use std::net::IpAddr;

use httparse::{Header, Status};

use super::Handle;
use super::websocket::accept_key;
use crate::metrics;

/// A page: what a GET of its path is answered with.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) path: &'static str,
    /// Shown to other machines only where [`Config::public_pages`](crate::Config::public_pages)
    /// says so.
    pub(super) is_private: bool,
    /// Called in a thread that serves connections: it may ask the broker, and must not take long.
    pub(super) respond: fn(&Handle) -> Response,
}

/// All pages.
pub(super) const PAGES: &[Page] = &[
    Page {
        path: "/health",
        is_private: false,
        respond: health,
    },
    Page {
        path: "/metrics",
        is_private: true,
        respond: figures,
    },
];

/// What the pages and the WebSocket need to know of the configuration and the connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surroundings<'a> {
    pub(super) peer: IpAddr,
    pub(super) public_pages: bool,
    /// Web pages that may connect although they come from elsewhere.
    pub(super) origins: &'a [String],
}

/// What becomes of a request.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The head is not whole yet.
    Incomplete,
    /// The connection is a WebSocket from now on: what to answer, and how long the head was.
    Upgrade { answer: Vec<u8>, head_len: usize },
    /// What to answer before the end.
    Answer(Vec<u8>),
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Response {
    /// The status with its words, such as `200 OK`.
    status: &'static str,
    content_type: &'static str,
    /// More headers, each with its line end.
    headers: &'static str,
    body: Vec<u8>,
}

impl Response {
    /// A page with the status 200.
    pub(super) fn ok(content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: "200 OK",
            content_type,
            headers: "",
            body: body.into(),
        }
    }

    /// A line of text with another status.
    fn text(status: &'static str, line: &str) -> Self {
        Self {
            status,
            content_type: TEXT,
            headers: "",
            body: format!("{line}\n").into(),
        }
    }

    fn with_headers(self, headers: &'static str) -> Self {
        Self { headers, ..self }
    }

    fn encode(&self, is_head: bool) -> Vec<u8> {
        let mut bytes = format!(
            "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n{}Cache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
            self.status,
            self.content_type,
            self.body.len(),
            self.headers,
        )
        .into_bytes();
        if !is_head {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

/// Looks at what came of a request so far.
pub(super) fn request(bytes: &[u8], surroundings: Surroundings<'_>, broker: &Handle) -> Outcome {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let head_len = match request.parse(bytes) {
        Ok(Status::Complete(head_len)) if head_len <= MAX_HEAD => head_len,
        Ok(Status::Partial) if bytes.len() < MAX_HEAD => return Outcome::Incomplete,
        Ok(_) | Err(httparse::Error::TooManyHeaders) => {
            return answer(&Response::text(
                "431 Request Header Fields Too Large",
                "the head of the request is too long",
            ));
        }
        Err(error) => {
            return answer(&Response::text(
                "400 Bad Request",
                &format!("this is no HTTP request: {error}"),
            ));
        }
    };
    let (method, target) = (request.method.unwrap_or(""), request.path.unwrap_or(""));
    let path = target.split(['?', '#']).next().unwrap_or("");
    let headers = Headers(request.headers);
    let is_head = method == "HEAD";
    if method != "GET" && !is_head {
        let response = Response::text("405 Method Not Allowed", "GET is what can be asked here");
        return answer(&response.with_headers("Allow: GET, HEAD\r\n"));
    }
    if headers.has_token("upgrade", "websocket") && !is_head {
        return match upgrade(path, &headers, surroundings) {
            Ok(answer) => Outcome::Upgrade { answer, head_len },
            Err(refusal) => answer(&refusal),
        };
    }
    let response = match PAGES.iter().find(|page| page.path == path) {
        Some(page) if page.is_private && !surroundings.is_trusted(&headers) => {
            Response::text("403 Forbidden", "this page is for the broker's own machine")
        }
        Some(page) => (page.respond)(broker),
        None if MQTT_PATHS.contains(&path) => {
            let response = Response::text(
                "426 Upgrade Required",
                "MQTT over WebSocket is spoken here (ws://, subprotocol mqtt)",
            );
            response.with_headers("Upgrade: websocket\r\n")
        }
        None => Response::text("404 Not Found", "there is no such page"),
    };
    Outcome::Answer(response.encode(is_head))
}

impl Surroundings<'_> {
    /// Whether private pages may be shown. What comes from this machine may still be asked for by a
    /// stranger: through a proxy, or through a browser whose page has a name that was made to point
    /// here (DNS rebinding).
    fn is_trusted(&self, headers: &Headers<'_>) -> bool {
        let is_passed_on = ["forwarded", "x-forwarded-for", "via"]
            .iter()
            .any(|name| headers.is_there(name));
        let is_asked_here = match headers.single("host") {
            Some(host) => is_local(name(host)),
            None => !headers.is_there("host"),
        };
        let is_here = self.peer.to_canonical().is_loopback();
        self.public_pages || (is_here && !is_passed_on && is_asked_here)
    }
}

/// The answer that makes a WebSocket of the connection.
fn upgrade(
    path: &str,
    headers: &Headers<'_>,
    surroundings: Surroundings<'_>,
) -> Result<Vec<u8>, Response> {
    let bad = |line: &str| Err(Response::text("400 Bad Request", line));
    if !MQTT_PATHS.contains(&path) {
        return Err(Response::text(
            "404 Not Found",
            "MQTT over WebSocket is at /mqtt",
        ));
    }
    if !headers.has_token("connection", "upgrade") {
        return bad("the header Connection has to say Upgrade");
    }
    if headers.single("sec-websocket-version") != Some("13") {
        let response = Response::text("426 Upgrade Required", "WebSocket is spoken in version 13");
        return Err(response.with_headers("Sec-WebSocket-Version: 13\r\n"));
    }
    let Some(key) = headers
        .single("sec-websocket-key")
        .filter(|key| is_key(key))
    else {
        return bad("the header Sec-WebSocket-Key has to hold 16 bytes in base64");
    };
    // `[MQTT-6.0.0-3]`, `[MQTT-6.0.0-4]`
    if !headers.has_token("sec-websocket-protocol", "mqtt") {
        return bad("the subprotocol mqtt has to be offered");
    }
    let is_welcome = match headers.single("origin") {
        Some(origin) => is_welcome(origin, headers.single("host"), surroundings.origins),
        // No browser.
        None => !headers.is_there("origin"),
    };
    if !is_welcome {
        return Err(Response::text(
            "403 Forbidden",
            "pages of this origin may not connect; the broker's configuration can allow it",
        ));
    }
    Ok(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n",
        accept_key(key)
    )
    .into_bytes())
}

/// Whether a web page of `origin` may connect: one from this very host, or one that is listed. A
/// browser runs the pages of strangers, who must not reach a broker on the user's own machine. A
/// stranger's name can be made to point to this host (DNS rebinding), so only names count that no
/// stranger can have.
fn is_welcome(origin: &str, host: Option<&str>, listed: &[String]) -> bool {
    let of_origin = origin.split_once("://").map(|(_, rest)| name(rest));
    let of_host = host.map(name);
    let is_own = of_origin
        .zip(of_host)
        .is_some_and(|(one, other)| is_local(one) && one.eq_ignore_ascii_case(other));
    let is_listed = |one: &String| one == "*" || one.eq_ignore_ascii_case(origin);
    is_own || listed.iter().any(is_listed)
}

/// Whether a host is an address or a name that the Internet's DNS does not have.
fn is_local(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let address = host.strip_prefix('[').and_then(|one| one.strip_suffix(']'));
    address.unwrap_or(&host).parse::<IpAddr>().is_ok()
        || (!host.is_empty() && !host.contains('.'))
        || host.ends_with(".localhost")
        || host.ends_with(".local")
}

/// The host without its port.
fn name(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

fn is_key(key: &str) -> bool {
    use base64ct::{Base64, Encoding as _};

    let mut bytes = [0; 18];
    Base64::decode(key, &mut bytes).is_ok_and(|bytes| bytes.len() == 16)
}

/// The headers of a request. Values that are no text count as missing.
struct Headers<'a>(&'a [Header<'a>]);

impl<'a> Headers<'a> {
    fn all(&self, name: &'static str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |header| header.name.eq_ignore_ascii_case(name))
            .filter_map(|header| std::str::from_utf8(header.value).ok())
            .map(str::trim)
    }

    /// Whether there is such a header, whatever it says.
    fn is_there(&self, name: &str) -> bool {
        self.0
            .iter()
            .any(|header| header.name.eq_ignore_ascii_case(name))
    }

    /// The value of a header that may be there once.
    fn single(&self, name: &'static str) -> Option<&'a str> {
        let mut all = self.all(name);
        all.next().filter(|_| all.next().is_none())
    }

    /// Whether a list in a header holds `token`.
    fn has_token(&self, name: &'static str, token: &str) -> bool {
        self.all(name)
            .flat_map(|value| value.split(','))
            .any(|one| one.trim().eq_ignore_ascii_case(token))
    }
}

fn answer(response: &Response) -> Outcome {
    Outcome::Answer(response.encode(false))
}

/// For those who start and watch the broker: it answers while the engine's loop does.
fn health(broker: &Handle) -> Response {
    match broker.stats() {
        Ok(_) => Response::ok(TEXT, "ok\n"),
        Err(error) => Response::text("503 Service Unavailable", &error.to_string()),
    }
}

/// For Prometheus.
fn figures(broker: &Handle) -> Response {
    match broker
        .stats()
        .and_then(|stats| Ok((stats, broker.uptime()?)))
    {
        Ok((stats, uptime)) => Response::ok(metrics::CONTENT_TYPE, metrics::render(&stats, uptime)),
        Err(error) => Response::text("503 Service Unavailable", &error.to_string()),
    }
}

/// Where MQTT over WebSocket is; `/` is what MQTT.js takes when nothing is said.
const MQTT_PATHS: [&str; 2] = ["/mqtt", "/"];
const TEXT: &str = "text/plain; charset=utf-8";
/// Bytes of a request's head.
pub(super) const MAX_HEAD: usize = 8 * 1_024;
const MAX_HEADERS: usize = 64;
