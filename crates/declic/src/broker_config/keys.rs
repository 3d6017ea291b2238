//! Every key of the configuration: its name, its kind, where its value is kept, and what it means.

use declic_broker::bridge::Rule;
use toml::de::DeValue;

use super::Settings;
use super::bridge::BridgeSettings;
use super::value::{
    Addresses, Bytes, Choice, Count, File, Files, Kind, OrNone, Quality, SlowConsumers, Switch,
    Text, Texts, Time, Version, Way,
};

/// A table of the file.
pub struct Section {
    pub name: &'static str,
    pub doc: &'static str,
    pub keys: &'static [Key<Settings>],
}

/// A key of a table whose values are kept in a `T`.
pub struct Key<T> {
    pub name: &'static str,
    /// Whole sentences.
    pub doc: &'static str,
    /// What its value may be.
    pub allowed: fn() -> String,
    /// Takes the value over; `false` if it isn't allowed.
    pub read: fn(&mut T, &DeValue<'_>) -> bool,
    /// The value as it stands in a file.
    pub write: fn(&T) -> String,
}

/// `key!("name", Kind: Type, path.of.the.field, "What it means.")`
macro_rules! key {
    ($name:literal, $kind:ty: $type:ty, $($field:ident).+, $doc:literal) => {
        Key {
            name: $name,
            doc: $doc,
            allowed: <$kind as Kind<$type>>::allowed,
            read: |target, value| match <$kind as Kind<$type>>::read(value) {
                Some(value) => {
                    target.$($field).+ = value;
                    true
                }
                None => false,
            },
            write: |target| <$kind as Kind<$type>>::write(&target.$($field).+),
        }
    };
}

pub const SECTIONS: &[Section] = &[
    Section {
        name: "listen",
        doc: "Where clients can connect.",
        keys: &[
            key!(
                "addresses",
                Addresses: Vec<std::net::SocketAddr>,
                listen,
                "Addresses to listen on without TLS. Where nothing is listened on at all, an empty \
                 list stands for 127.0.0.1:1883, which only this machine can reach, or with `lan` \
                 for 0.0.0.0:1883. (--listen)"
            ),
            key!(
                "tls",
                Addresses: Vec<std::net::SocketAddr>,
                tls_listen,
                "Addresses to listen on with TLS; the usual port is 8883. (--listen-tls)"
            ),
            key!(
                "http",
                Addresses: Vec<std::net::SocketAddr>,
                http_listen,
                "Addresses to listen on for HTTP: MQTT over WebSocket at /mqtt, /health, and for \
                 Prometheus /metrics. (--listen-http)"
            ),
            key!(
                "https",
                Addresses: Vec<std::net::SocketAddr>,
                https_listen,
                "The same with TLS. (--listen-https)"
            ),
            key!(
                "unix",
                Files: Vec<std::path::PathBuf>,
                unix_listen,
                "Unix sockets to listen on. Who may enter their directory may connect. Not on \
                 Windows. (--listen-unix)"
            ),
            key!(
                "lan",
                Switch: bool,
                lan,
                "Open the broker to the network, and ask every client for a password, which is \
                 made once and kept, unless `access` says something else. (--lan)"
            ),
            key!(
                "announce",
                Switch: bool,
                announce,
                "Tell the local network that there is a broker (_mqtt._tcp in mDNS), where it can be \
                 reached from there. Boards without an address of a broker find it by that."
            ),
            key!(
                "tcp_keep_alive",
                Time: std::time::Duration,
                tcp_keep_alive,
                "After how much silence TCP asks whether a client is still there that announces no \
                 keep-alive of its own; 0 for never."
            ),
        ],
    },
    Section {
        name: "tls",
        doc: "Certificates, in files of PEM. They are read again on SIGHUP and `declic broker ctl \
              reload`; a broken file changes nothing.",
        keys: &[
            key!(
                "certificate",
                File: Option<std::path::PathBuf>,
                tls.certificate,
                "The broker's certificate, and behind it those that lead to one that clients trust. \
                 (--certificate)"
            ),
            key!(
                "key",
                File: Option<std::path::PathBuf>,
                tls.key,
                "The key of the first certificate. (--key)"
            ),
            key!(
                "client_ca",
                File: Option<std::path::PathBuf>,
                tls.client_ca,
                "Certificates whose holders may vouch for clients. A client with a certificate from \
                 one of them is the user whom its common name says, and needs no password."
            ),
            key!(
                "client_crl",
                File: Option<std::path::PathBuf>,
                tls.client_crl,
                "Clients' certificates that count no more, from the same authorities."
            ),
            key!(
                "require_client_certificate",
                Switch: bool,
                tls.require_client_certificate,
                "Turn away clients without a certificate."
            ),
        ],
    },
    Section {
        name: "http",
        doc: "What the HTTP port serves.",
        keys: &[
            key!(
                "public_pages",
                Switch: bool,
                public_pages,
                "Let other machines see the pages that tell about the broker, such as /metrics. \
                 /health may be seen by everyone."
            ),
            key!(
                "origins",
                Texts: Vec<String>,
                web_origins,
                "Web pages that may connect over WebSocket, such as \"https://example.org\"; \"*\" for \
                 all. Those from this host may anyway, if it is called by an address or a name like \
                 nas or nas.local."
            ),
            key!(
                "threads",
                Count: usize,
                threads,
                "Threads for TLS, WebSocket and HTTP, and as many for hashing passwords; 0 for one per \
                 core, four at most, and sixteen for passwords."
            ),
        ],
    },
    Section {
        name: "access",
        doc: "Who may connect.",
        keys: &[
            key!(
                "anonymous",
                Switch: bool,
                anonymous,
                "Let clients connect without a password, also from the network; with `users`, only \
                 those that give no user name. (--anonymous)"
            ),
            key!(
                "users",
                File: Option<std::path::PathBuf>,
                users,
                "A file with a line `name:password` for each user who may connect; `declic broker \
                 passwd` puts hashed passwords in it. It is read again on SIGHUP and `declic broker \
                 ctl reload`. (--users)"
            ),
            key!(
                "rights",
                File: Option<std::path::PathBuf>,
                rights,
                "A file that says who may publish and read what, in the form of Mosquitto's \
                 acl_file; without it everyone may do everything. It is read again like `users`. \
                 (--rights)"
            ),
        ],
    },
    Section {
        name: "limits",
        doc: "What clients may use up. What is refused or dropped because of a limit is counted.",
        keys: LIMITS,
    },
    Section {
        name: "store",
        doc: "What outlives the broker: retained messages, and sessions that last. A broker that is \
              killed loses nothing that it has acknowledged; the modes differ in what a loss of \
              power may take.",
        keys: &[
            key!(
                "directory",
                File: Option<std::path::PathBuf>,
                store_directory,
                "A directory of its own, made if it is not there. Without it everything is kept in \
                 memory only. (--store)"
            ),
            key!(
                "durability",
                Choice: super::DurabilityMode,
                store_durability,
                "When what was stored is safe from a loss of power: \"always\" before it is \
                 acknowledged, \"interval\" a moment later, \"never\" when the system gets round to \
                 it. (--durability)"
            ),
            key!(
                "interval",
                Time: std::time::Duration,
                store_interval,
                "How long that moment is at most, for \"interval\"."
            ),
        ],
    },
    Section {
        name: "sys",
        doc: "The broker's own topics, below $SYS/broker.",
        keys: &[key!(
            "interval",
            Time: std::time::Duration,
            sys_interval,
            "How often they are brought up to date; 0 for no such topics. (--sys-interval)"
        )],
    },
    Section {
        name: "responses",
        doc: "Where clients of MQTT 5.0 may have answers sent to.",
        keys: &[key!(
            "prefix",
            Text: String,
            response_prefix,
            "A client that asks for response information is told this topic, a slash and its client \
             id; \"\" for nothing."
        )],
    },
    Section {
        name: "control",
        doc: "The local socket through which `declic broker ctl` asks the broker. Only the user who \
              runs the broker can use it. There is none on Windows.",
        keys: &[key!(
            "socket",
            Text: String,
            control_socket,
            "Where it is: a path, \"auto\" or \"none\". \"auto\" is `broker.sock` in the directory that \
             systemd names, else in `declic` in $XDG_RUNTIME_DIR, else in the state directory; where \
             another broker has that one, there is none. (--control)"
        )],
    },
    Section {
        name: "log",
        doc: "What is told on standard error.",
        keys: &[
            key!(
                "level",
                Choice: crate::log::LogLevel,
                log_level,
                "How much: \"info\" tells who connects and leaves, \"debug\" why connections end. \
                 (--log-level)"
            ),
            key!(
                "format",
                Choice: crate::log::LogFormat,
                log_format,
                "How lines look. (--log-format)"
            ),
        ],
    },
];

/// A bridge, but for its topics.
pub const BRIDGE: &[Key<BridgeSettings>] = &[
    key!(
        "name",
        Text: String,
        bridge.name,
        "What it is called, here and in logs; each bridge has another name."
    ),
    key!(
        "host",
        Text: String,
        bridge.host,
        "The other broker's host: a name or an address."
    ),
    key!(
        "port",
        Count: u16,
        bridge.port,
        "Its port; with TLS it is 8883 as a rule."
    ),
    key!(
        "ca",
        File: Option<std::path::PathBuf>,
        bridge.ca,
        "Certificates that vouch for the other broker, in a file of PEM: the connection is encrypted \
         then. On Debian, those that browsers trust are in /etc/ssl/certs/ca-certificates.crt."
    ),
    key!(
        "certificate",
        File: Option<std::path::PathBuf>,
        bridge.certificate,
        "The bridge's own certificate, in a file of PEM, where the other broker wants one. Needs `ca`."
    ),
    key!(
        "key",
        File: Option<std::path::PathBuf>,
        bridge.key,
        "The key of its certificate, in a file of PEM."
    ),
    key!(
        "client_id",
        Text: String,
        bridge.client_id,
        "The client identifier there; \"\" for `declic-` and the bridge's name."
    ),
    key!(
        "user",
        Text: String,
        bridge.user_name,
        "The user's name there; \"\" for none."
    ),
    key!(
        "password",
        Text: Option<String>,
        bridge.password,
        "The password there. Better in a file of its own: `password_file`."
    ),
    key!(
        "password_file",
        File: Option<std::path::PathBuf>,
        password_file,
        "A file whose first line is the password."
    ),
    key!(
        "version",
        Version: declic_mqtt::ProtocolVersion,
        bridge.version,
        "The version of MQTT spoken there. With 3.1.1, no topic can go both ways, and retained \
         messages lose that they are. With 5.0, a broker that knows only 3.1.1 is spoken to with \
         that, if the rules allow it."
    ),
    key!(
        "keep_alive",
        Count: u16,
        bridge.keep_alive,
        "Seconds between two signs of life; 0 for none."
    ),
    key!(
        "session_expiry",
        Time: std::time::Duration,
        bridge.session_expiry,
        "How long the other broker keeps what is for the bridge while it is away (5.0)."
    ),
    key!(
        "packet_size",
        Bytes: usize,
        bridge.packet_size,
        "Largest packet either way; larger ones are dropped."
    ),
    key!(
        "shortest_pause",
        Time: std::time::Duration,
        bridge.shortest_pause,
        "The pause after the first failure to connect; it doubles with each, at random in between."
    ),
    key!(
        "longest_pause",
        Time: std::time::Duration,
        bridge.longest_pause,
        "The longest pause between two attempts."
    ),
];

/// Topics of a bridge.
pub const BRIDGE_TOPIC: &[Key<Rule>] = &[
    key!(
        "filter",
        Text: String,
        topics,
        "Topics, as a filter without its prefix."
    ),
    key!(
        "direction",
        Way: declic_broker::bridge::Direction,
        direction,
        "Which way they go: \"out\" from this broker to the other one."
    ),
    key!(
        "qos",
        Quality: declic_mqtt::QoS,
        qos,
        "The highest QoS; a message keeps its own below."
    ),
    key!(
        "local_prefix",
        Text: String,
        local_prefix,
        "What stands before the topics at this broker."
    ),
    key!(
        "remote_prefix",
        Text: String,
        remote_prefix,
        "What stands before the topics at the other broker, in its place."
    ),
];

const LIMITS: &[Key<Settings>] = &[
    key!(
        "connections",
        Count: usize,
        limits.connections,
        "Connections at the same time; more are closed at once. (--max-connections)"
    ),
    key!(
        "connections_per_address",
        Count: usize,
        limits.connections_per_address,
        "Connections at the same time from one address; more are closed at once. The addresses of \
         one IPv6 network (the first 64 bits) count as one."
    ),
    key!(
        "connect_timeout",
        Time: std::time::Duration,
        limits.connect_timeout,
        "Time that a connection has for its CONNECT."
    ),
    key!(
        "connect_packet_size",
        Bytes: usize,
        limits.connect_packet_size,
        "Largest CONNECT: the most that is buffered for a stranger."
    ),
    key!(
        "packet_size",
        Bytes: usize,
        limits.packet_size,
        "Largest packet that a client may send. (--max-packet-size)"
    ),
    key!(
        "connection_bytes",
        Bytes: usize,
        limits.connection_bytes,
        "Unfinished packets and topics that have an alias, of all connections together."
    ),
    key!(
        "answer_bytes",
        Bytes: usize,
        limits.answer_bytes,
        "Answers that wait for one connection, above which nothing more is read from it."
    ),
    key!(
        "inbound_in_flight",
        Count: u16,
        limits.inbound_in_flight,
        "Publishes of QoS 1 and 2 that a client may have unfinished (receive maximum)."
    ),
    key!(
        "outbound_in_flight",
        Count: u16,
        limits.outbound_in_flight,
        "Publishes of QoS 1 and 2 sent to a client before it has acknowledged the first."
    ),
    key!(
        "queued_messages",
        Count: usize,
        limits.queued_messages,
        "Messages that wait for one client; more are dropped. (--max-queued)"
    ),
    key!(
        "queued_bytes",
        Bytes: usize,
        limits.queued_bytes,
        "Messages that wait for one client, in bytes; more are dropped."
    ),
    key!(
        "queued_in_all",
        Count: usize,
        limits.queued_in_all,
        "Messages that wait for all clients together, each counted for each client."
    ),
    key!(
        "slow_consumer",
        SlowConsumers: declic_broker::SlowConsumer,
        limits.slow_consumer,
        "What happens when the queue of a client is full: the new message is dropped, or the \
         oldest, or the client is disconnected. Messages of QoS 0 go first."
    ),
    key!(
        "messages_per_second",
        Count: u32,
        limits.messages_per_second,
        "Messages that a client may publish in a second; one that publishes more is read from less \
         often. 0 for no limit."
    ),
    key!(
        "bytes_per_second",
        Bytes: usize,
        limits.bytes_per_second,
        "Bytes that a client may send in a second; one that sends more is read from less often. 0 \
         for no limit."
    ),
    key!(
        "message_bytes",
        Bytes: usize,
        limits.message_bytes,
        "Memory for all messages: waiting, in flight and retained. From three quarters of it on, \
         those are slowed down who publish for clients that have fallen behind; from seven eighths \
         on, such clients lose messages. (--max-memory)"
    ),
    key!(
        "retained_messages",
        Count: usize,
        limits.retained_messages,
        "Retained messages of clients; the broker's own, in `$SYS`, are not counted."
    ),
    key!(
        "retained_bytes",
        Bytes: usize,
        limits.retained_bytes,
        "Memory for retained messages."
    ),
    key!(
        "sessions",
        Count: usize,
        limits.sessions,
        "Sessions, of connected clients and kept ones together."
    ),
    key!(
        "session_bytes",
        Bytes: usize,
        limits.session_bytes,
        "Client identifiers and topic filters of all sessions."
    ),
    key!(
        "session_expiry",
        OrNone<Time>: Option<std::time::Duration>,
        limits.session_expiry,
        "Longest time that a session is kept for a client that is away; \"none\" for what the \
         client asks. (--max-session-expiry)"
    ),
    key!(
        "subscriptions",
        Count: usize,
        limits.subscriptions,
        "Subscriptions of one session."
    ),
    key!(
        "topic_levels",
        Count: usize,
        limits.topic_levels,
        "Levels of a topic name or filter."
    ),
    key!(
        "topic_aliases",
        Count: u16,
        limits.topic_aliases,
        "Topic aliases that a client of MQTT 5.0 may use on a connection; 0 for none."
    ),
    key!(
        "outbound_topic_aliases",
        Count: u16,
        limits.outbound_topic_aliases,
        "Topic aliases in what is sent to a client of MQTT 5.0 that accepts as many; 0 for none."
    ),
    key!(
        "keep_alive",
        OrNone<Count>: Option<u16>,
        limits.keep_alive,
        "Longest keep-alive in seconds: a client of MQTT 5.0 that asks for more, or for none, is \
         given it; \"none\" leaves the choice to the client."
    ),
];
