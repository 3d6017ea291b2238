//! The HTTP port, request by request.

mod harness;

use std::io::{Read as _, Write as _};

use declic_broker::Config;
use harness::{LIMIT, Server, dial};

fn server(config: Config) -> Server {
    Server::start(Config {
        http_listeners: vec!["127.0.0.1:0".parse().expect("an address")],
        ..config
    })
}

/// Everything that comes back.
fn ask(server: &Server, request: &[u8]) -> String {
    let mut stream = dial(server.http_addresses[0]);
    // The broker may answer before it has read all of it.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let mut buffer = [0; 4_096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&buffer[..count]),
            // What it has not read is thrown away by the system.
            Err(_) if !answer.is_empty() => break,
            Err(error) => panic!("no answer: {error}"),
        }
        if answer.starts_with(b"HTTP/1.1 101") && answer.ends_with(b"\r\n\r\n") {
            break;
        }
    }
    String::from_utf8(answer).expect("text")
}

fn upgrade(path: &str, changes: &[(&str, Option<&str>)]) -> Vec<u8> {
    let mut headers = vec![
        ("Host", "localhost:8080"),
        ("Upgrade", "websocket"),
        ("Connection", "keep-alive, Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Protocol", "mqttv3.1, mqtt"),
    ];
    for (name, value) in changes {
        headers.retain(|(other, _)| other != name);
        headers.extend(value.map(|value| (*name, value)));
    }
    let mut request = format!("GET {path} HTTP/1.1\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    (request + "\r\n").into_bytes()
}

#[test]
fn pages_tell_how_the_broker_is() {
    let server = server(Config::default());
    let health = ask(&server, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(health.starts_with("HTTP/1.1 200 OK\r\n") && health.ends_with("\r\n\r\nok\n"));
    let metrics = ask(&server, b"GET /metrics?x=1 HTTP/1.0\r\n\r\n");
    assert!(
        metrics.contains("Content-Type: text/plain; version=0.0.4"),
        "{metrics}"
    );
    assert!(
        metrics.contains("\ndeclic_broker_connections "),
        "{metrics}"
    );
    let head = ask(&server, b"HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.contains("Content-Length: 3\r\n") && head.ends_with("\r\n\r\n"));
    // They are no clients.
    assert_eq!(server.stats().opened, 0);
}

#[test]
fn other_requests_are_answered_with_what_is_wrong() {
    let server = server(Config::default());
    let long = [b"GET /".to_vec(), vec![b'x'; 100_000]].concat();
    let many = [
        b"GET /health HTTP/1.1\r\n".to_vec(),
        b"a: b\r\n".repeat(100),
        b"\r\n".to_vec(),
    ]
    .concat();
    let endless = [b"GET / HTTP/1.1\r\na: ".to_vec(), vec![b'x'; 1 << 20]].concat();
    for (request, status) in [
        (&b"GET /nowhere HTTP/1.1\r\n\r\n"[..], "404 Not Found"),
        (b"GET /mqtt HTTP/1.1\r\n\r\n", "426 Upgrade Required"),
        (
            b"POST /mqtt HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
            "405 Method Not Allowed",
        ),
        (b"\x10\x0e\0\x04MQTT\x04\x02\0\0\0\x02me", "400 Bad Request"),
        (
            b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
            "400 Bad Request",
        ),
        (&long, "431 Request Header Fields Too Large"),
        (&many, "431 Request Header Fields Too Large"),
        (&endless, "431 Request Header Fields Too Large"),
    ] {
        let answer = ask(&server, request);
        let line = answer.lines().next();
        assert_eq!(line, Some(&*format!("HTTP/1.1 {status}")), "{answer}");
        assert!(answer.contains("Connection: close\r\n"));
    }
}

/// `[MQTT-6.0.0-3]`, `[MQTT-6.0.0-4]`
#[test]
fn a_websocket_has_to_be_asked_for_properly_and_for_mqtt() {
    let server = server(Config::default());
    for path in ["/mqtt", "/", "/mqtt?session=1"] {
        let answer = ask(&server, &upgrade(path, &[]));
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        assert!(answer.contains("Sec-WebSocket-Protocol: mqtt\r\n"));
        assert!(answer.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    }
    for (path, header, value, status) in [
        ("/metrics", "Host", Some("x"), "404"),
        ("/mqtt", "Connection", Some("close"), "400"),
        ("/mqtt", "Sec-WebSocket-Version", Some("8"), "426"),
        ("/mqtt", "Sec-WebSocket-Key", None, "400"),
        ("/mqtt", "Sec-WebSocket-Key", Some("AAAA"), "400"),
        ("/mqtt", "Sec-WebSocket-Protocol", None, "400"),
        (
            "/mqtt",
            "Sec-WebSocket-Protocol",
            Some("mqttv3.1, chat"),
            "400",
        ),
    ] {
        let answer = ask(&server, &upgrade(path, &[(header, value)]));
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{header}: {answer}"
        );
    }
}

#[test]
fn a_page_of_a_stranger_may_not_use_the_browser_to_connect() {
    let own = server(Config::default());
    let listed = server(Config {
        web_origins: vec!["https://dashboard.example".to_owned()],
        ..Config::default()
    });
    let from = |server, origin| ask(server, &upgrade("/mqtt", &[("Origin", Some(origin))]));
    assert!(from(&own, "http://localhost").starts_with("HTTP/1.1 101 "));
    assert!(from(&own, "http://localhost:3000").starts_with("HTTP/1.1 101 "));
    for origin in [
        "https://dashboard.example",
        "null",
        "",
        "http://localhost.example",
    ] {
        let answer = from(&own, origin);
        assert!(answer.starts_with("HTTP/1.1 403 "), "{origin}: {answer}");
    }
    assert!(from(&listed, "https://dashboard.example").starts_with("HTTP/1.1 101 "));
    assert!(from(&listed, "https://other.example").starts_with("HTTP/1.1 403 "));
}

/// DNS rebinding: a stranger's page has a name of its own that points to the broker's machine.
#[test]
fn a_page_whose_name_was_made_to_point_here_may_neither_connect_nor_see_private_pages() {
    let own = server(Config::default());
    let with = |host: &str, origin: &str| {
        let changes = [("Host", Some(host)), ("Origin", Some(origin))];
        ask(&own, &upgrade("/mqtt", &changes))
    };
    for (host, origin) in [
        ("evil.example:1880", "http://evil.example:1880"),
        ("evil.example.", "https://evil.example."),
        ("127.0.0.1.evil.example", "http://127.0.0.1.evil.example"),
        ("localhost.evil.example", "http://localhost.evil.example"),
        ("local", "http://other"),
        ("", "http://"),
    ] {
        let answer = with(host, origin);
        assert!(answer.starts_with("HTTP/1.1 403 "), "{host}: {answer}");
    }
    for (host, origin) in [
        ("127.0.0.1:1880", "http://127.0.0.1:3000"),
        ("[::1]:1880", "http://[::1]"),
        ("NAS:1880", "http://nas"),
        ("nas.local", "https://nas.local:8443"),
    ] {
        let answer = with(host, origin);
        assert!(answer.starts_with("HTTP/1.1 101 "), "{host}: {answer}");
    }
    // Said twice, it is not clear who asks.
    let mut twice = upgrade("/mqtt", &[("Origin", Some("http://localhost"))]);
    twice.splice(twice.len() - 2.., *b"Origin: http://localhost\r\n\r\n");
    assert!(ask(&own, &twice).starts_with("HTTP/1.1 403 "));
    let metrics = |headers: &str| {
        let request = format!("GET /metrics HTTP/1.1\r\n{headers}\r\n");
        ask(&own, request.as_bytes())
    };
    for headers in [
        "Host: evil.example:1880\r\n",
        "Host: localhost\r\nHost: evil.example\r\n",
        "Host: localhost\r\nX-Forwarded-For: 192.0.2.1\r\n",
        "Host: localhost\r\nForwarded: for=192.0.2.1\r\n",
        "Host: localhost\r\nVia: 1.1 proxy\r\n",
    ] {
        let answer = metrics(headers);
        assert!(answer.starts_with("HTTP/1.1 403 "), "{headers}: {answer}");
    }
    for headers in ["", "Host: localhost:1880\r\n", "Host: nas\r\n"] {
        let answer = metrics(headers);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{headers}: {answer}");
    }
}

#[test]
fn bytes_behind_the_request_are_the_first_of_mqtt() {
    let server = server(Config::default());
    let mut request = upgrade("/mqtt", &[]);
    let connect = b"\x10\x0e\0\x04MQTT\x04\x02\0\0\0\x02me";
    // A mask of zeros changes nothing.
    request.extend([0x82, 0x80 | connect.len() as u8, 0, 0, 0, 0]);
    request.extend(connect);
    let mut stream = dial(server.http_addresses[0]);
    stream.write_all(&request).expect("the broker reads");
    let connected = server.events.recv_timeout(LIMIT);
    assert!(connected.is_ok(), "{connected:?}");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n\x82\x04\x20\x02\0\0") {
        let mut buffer = [0; 512];
        let count = stream.read(&mut buffer).expect("an answer");
        assert!(count > 0, "{answer:?}");
        answer.extend_from_slice(&buffer[..count]);
    }
}
