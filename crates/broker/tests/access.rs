//! Who may connect and do what: users with hashed passwords, rights, certificates, and files that
//! are read again.

mod harness;
#[path = "harness/transports.rs"]
mod transports;

use std::fmt::Write as _;

use declic_broker::{
    Access, Config, ReloadError, Tls, generate_password, hash_generated_password, hash_password,
};
use declic_mqtt::packet::{ConnAck, Connect, Packet};
use declic_mqtt::{ProtocolVersion, QoS, ReasonCode};
use harness::Client;
use transports::{Everywhere, Files, Transport};

const V5: ProtocolVersion = ProtocolVersion::V5;

fn start(files: Files, anonymous: bool, rights: bool) -> Everywhere {
    let tls = files.settings();
    start_with(files, anonymous, rights, tls)
}

fn start_with(files: Files, anonymous: bool, rights: bool, tls: Tls) -> Everywhere {
    let config = Config {
        access: Access::File {
            path: files.path("users"),
            anonymous,
        },
        rights: rights.then(|| files.path("rights")),
        ..Config::default()
    };
    Everywhere::start_with(config, files, tls)
}

fn hashed(password: &str) -> String {
    hash_password(password.as_bytes()).expect("random bytes")
}

fn login<'a>(client_id: &'a str, user: &'a str, password: &'a str) -> Connect<'a> {
    Connect {
        user_name: Some(user),
        password: Some(password.as_bytes()),
        ..Connect::new(V5, client_id)
    }
}

/// What the CONNACK says.
fn outcome(client: &mut Client, connect: &Connect<'_>) -> ReasonCode {
    client.send(&[Packet::Connect(*connect)]);
    let mut found = None;
    client.expect(|packet| match packet {
        Packet::ConnAck(ConnAck { reason, .. }) => {
            found = Some(reason);
            true
        }
        _ => false,
    });
    found.expect("a reason")
}

#[test]
fn users_with_hashed_and_plain_passwords_come_in_and_nobody_else() {
    let files = Files::new();
    // The last two were made by Debian's `mosquitto_passwd` 2.0.11.
    let users = format!(
        "# users\nann:{}\nplain:word\n\
         old:$6$sTz/fB7nwxgJSkyy$h8sQUuGUACdQOdY3Uqn4edI2+6BM9qEjBPd906e8erWA9Kj8U3zyDnWGzYuLHihaYTR+\
         cTeyyfpLVJeMlkfumQ==\n\
         new:$7$101$D2HHQzlgSlZzjyf4$EIM9EdBaRz+dQU1+3OZykslJY+NYc/qXmqG+H2HwpcM6YbrSoTYs89XoHdKLz4dO\
         SfZhsN5H1Ua7xx4Wb+zMEQ==\n",
        hashed("secret")
    );
    files.write("users", &users);
    let broker = start(files, false, false);
    let try_as = |user, password| {
        let mut client = broker.open(Transport::Tcp);
        outcome(&mut client, &login("", user, password))
    };
    // Each twice: the second time it is known already.
    for _ in 0..2 {
        for (user, password) in [
            ("ann", "secret"),
            ("plain", "word"),
            ("old", "p:w d"),
            ("new", "p:w d"),
        ] {
            assert_eq!(try_as(user, password), ReasonCode::Success, "{user}");
            let refused = ReasonCode::BadUserNameOrPassword;
            assert_eq!(try_as(user, "wrong"), refused, "{user}");
            assert_eq!(try_as(user, ""), refused, "{user}");
        }
        assert_eq!(
            try_as("nobody", "secret"),
            ReasonCode::BadUserNameOrPassword
        );
    }
    let long = "x".repeat(60_000);
    assert_eq!(try_as("ann", &long), ReasonCode::BadUserNameOrPassword);
    let mut nameless = broker.open(Transport::Tcp);
    let connect = Connect::new(V5, "");
    assert_eq!(
        outcome(&mut nameless, &connect),
        ReasonCode::BadUserNameOrPassword
    );
    // A hash is no password.
    let hash = users.lines().nth(1).and_then(|line| line.split_once(':'));
    let hash = hash.expect("a line").1;
    assert_eq!(try_as("ann", hash), ReasonCode::BadUserNameOrPassword);
}

#[test]
fn many_clients_of_one_user_are_checked_together() {
    let files = Files::new();
    files.write("users", &format!("ann:{}", hashed("secret")));
    let broker = start(files, false, false);
    let mut clients: Vec<_> = (0..200).map(|_| broker.open(Transport::Tcp)).collect();
    for client in &mut clients {
        client.send(&[Packet::Connect(login("", "ann", "secret"))]);
    }
    for client in &mut clients {
        client.expect(
            |packet| matches!(packet, Packet::ConnAck(one) if one.reason == ReasonCode::Success),
        );
    }
}

#[test]
fn a_generated_password_lets_in_and_no_other_one() {
    let files = Files::new();
    let password = generate_password().expect("random bytes");
    let hash = hash_generated_password(&password).expect("random bytes");
    files.write("users", &format!("lamp:{hash}"));
    let broker = start(files, false, false);
    let mut lamp = broker.open(Transport::Tcp);
    let right = login("lamp", "lamp", &password);
    assert_eq!(outcome(&mut lamp, &right), ReasonCode::Success);
    let mut other = broker.open(Transport::Tcp);
    let wrong = login("other", "lamp", &password[1..]);
    assert_eq!(
        outcome(&mut other, &wrong),
        ReasonCode::BadUserNameOrPassword
    );
}

#[test]
fn those_without_a_name_come_in_only_where_it_is_said() {
    let files = Files::new();
    files.write("users", "ann:secret");
    let broker = start(files, true, false);
    let mut client = broker.open(Transport::WebSocket);
    assert_eq!(
        outcome(&mut client, &Connect::new(V5, "")),
        ReasonCode::Success
    );
    // With a name, it has to be right.
    let mut client = broker.open(Transport::Tcp);
    let refused = ReasonCode::BadUserNameOrPassword;
    assert_eq!(outcome(&mut client, &login("", "ann", "wrong")), refused);
    let mut client = broker.open(Transport::Tcp);
    assert_eq!(outcome(&mut client, &login("", "eve", "")), refused);
}

#[test]
fn files_are_read_again_without_disconnecting_anybody() {
    let files = Files::new();
    files.write("users", "ann:old");
    files.write("rights", "user ann\ntopic readwrite a\n");
    let broker = start(files, false, true);
    let mut ann = broker.open(Transport::Tls);
    assert_eq!(
        outcome(&mut ann, &login("ann", "ann", "old")),
        ReasonCode::Success
    );
    ann.subscribe("#", QoS::AtMostOnce);
    ann.publish("a", b"1", QoS::AtLeastOnce);
    ann.expect(|packet| matches!(packet, Packet::Publish(one) if one.payload == b"1"));
    broker.files.write("users", "ann:new\nbob:secret");
    broker.files.write(
        "rights",
        "user bob\ntopic write #\nuser ann\ntopic read b\n",
    );
    broker.server.handle.reload().expect("valid files");
    // Her old right is gone at once, the new one is there, and she is still connected.
    ann.publish("a", b"2", QoS::AtLeastOnce);
    ann.expect(
        |packet| matches!(packet, Packet::PubAck(one) if one.reason == ReasonCode::NotAuthorized),
    );
    let mut bob = broker.open(Transport::Tcp);
    assert_eq!(
        outcome(&mut bob, &login("bob", "bob", "secret")),
        ReasonCode::Success
    );
    bob.publish("a", b"3", QoS::AtMostOnce);
    bob.publish("b", b"4", QoS::AtMostOnce);
    ann.expect(|packet| match packet {
        Packet::Publish(one) => {
            assert_eq!(one.payload, b"4");
            true
        }
        _ => false,
    });
    let mut again = broker.open(Transport::Tcp);
    let refused = ReasonCode::BadUserNameOrPassword;
    assert_eq!(outcome(&mut again, &login("other", "ann", "old")), refused);
}

#[test]
fn a_broken_file_is_refused_with_its_line_and_the_old_one_stays() {
    let files = Files::new();
    files.write("users", "ann:secret");
    files.write("rights", "user ann\ntopic readwrite a\n");
    let broker = start(files, false, true);
    let files = &broker.files;
    let problem = || match broker.server.handle.reload() {
        Err(ReloadError::Source(error)) => {
            let place = (error.line(), error.column());
            (error.to_string(), place)
        }
        other => panic!("{other:?}"),
    };
    for (name, text, place, cause) in [
        ("users", "", (1, 1), "no user at all"),
        ("users", "bob:x\neve", (2, 1), "no `:`"),
        (
            "users",
            "bob:x\neve:$7$1$x",
            (2, 5),
            "the hash of Mosquitto ($7$) is malformed",
        ),
        ("rights", "", (1, 1), "there is no rule"),
        ("rights", "topic a\n  allow b", (2, 3), "a line begins with"),
    ] {
        let good = std::fs::read_to_string(files.path(name)).expect("a file");
        files.write(name, text);
        let (error, (line, column)) = problem();
        assert_eq!((line, column), (Some(place.0), Some(place.1)), "{error}");
        let mut expected = files.path(name).display().to_string();
        write!(expected, ": line {}, column {}: {cause}", place.0, place.1).expect("a string");
        assert!(error.starts_with(&expected), "{error}");
        // Nothing of it counts, of no file.
        let mut ann = broker.open(Transport::Tcp);
        assert_eq!(
            outcome(&mut ann, &login("", "ann", "secret")),
            ReasonCode::Success
        );
        ann.publish("a", b"x", QoS::AtLeastOnce);
        ann.expect(|packet| {
            matches!(packet, Packet::PubAck(one) if one.reason != ReasonCode::NotAuthorized)
        });
        files.write(name, &good);
    }
    std::fs::remove_file(files.path("users")).expect("a file");
    assert_eq!(problem().1, (None, None));
    std::fs::write(files.path("users"), b"ann:a\nb\xff").expect("a place to write");
    assert_eq!(problem().1, (Some(2), Some(2)));
}

#[test]
fn a_client_certificate_names_the_user_whatever_the_client_says() {
    let files = Files::new();
    files.make("lamp", "lamp");
    files.write("users", "ann:secret");
    files.write("rights", "pattern readwrite own/%u\n");
    let tls = Tls {
        client_ca: Some(files.path("ca.pem")),
        ..files.settings()
    };
    let broker = start_with(files, false, true, tls);
    for transport in [Transport::Tls, Transport::SecureWebSocket] {
        let mut lamp = broker.open_as(transport, Some("lamp"));
        assert_eq!(
            outcome(&mut lamp, &login("", "ann", "guess")),
            ReasonCode::Success
        );
        lamp.publish("own/lamp", b"x", QoS::AtLeastOnce);
        lamp.expect(|packet| {
            matches!(packet, Packet::PubAck(one) if one.reason != ReasonCode::NotAuthorized)
        });
        lamp.publish("own/ann", b"x", QoS::AtLeastOnce);
        lamp.expect(|packet| {
            matches!(packet, Packet::PubAck(one) if one.reason == ReasonCode::NotAuthorized)
        });
        // Without a certificate, a password is needed.
        let mut client = broker.open(transport);
        let refused = ReasonCode::BadUserNameOrPassword;
        assert_eq!(outcome(&mut client, &Connect::new(V5, "")), refused);
        let mut client = broker.open(transport);
        assert_eq!(
            outcome(&mut client, &login("", "ann", "secret")),
            ReasonCode::Success
        );
    }
}
