//! CONNECT, field by field (section 3.1).

use std::time::Duration;

use declic_mqtt::QoS::AtMostOnce;
use declic_mqtt::packet::{Connect, Packet, PacketKind, Properties, Property, Publish};
use declic_mqtt::{ProtocolVersion, ReasonCode};

use crate::case::{Case, both, join, lasting, packet, string, v3_1_1, v5};
use crate::client::{id, topic};

/// Each CONNECT is refused: nothing comes but, perhaps, a CONNACK of 5.0 with an error.
fn all_refused(case: &Case, connects: &[Vec<u8>]) {
    for bytes in connects {
        let mut client = case.open();
        client.send_bytes(bytes);
        client.refused();
    }
}

const CLEAN: u8 = 0x02;
const WILL: u8 = 0x04;
const WILL_QOS: u8 = 0x08;
const WILL_RETAIN: u8 = 0x20;
const PASSWORD: u8 = 0x40;
const USER_NAME: u8 = 0x80;

/// v3.1.1 [MQTT-3.1.0-1]; v5 [MQTT-3.1.0-1]
#[test]
fn the_first_packet_has_to_be_a_connect() {
    both(|case| {
        let name = string(case.topic("t"));
        for bytes in [
            packet(0x30, &join(&[&name, case.no_properties(), b"x"])),
            packet(0x82, &join(&[&[0, 1], case.no_properties(), &name, &[0]])),
            packet(0xc0, &[]),
            packet(0xe0, &[]),
            packet(0x40, &[0, 1]),
            packet(0x20, &[0, 0]),
        ] {
            let mut client = case.open();
            client.send_bytes(&bytes);
            assert_eq!(client.closed().len(), 0);
        }
    });
}

/// v3.1.1 [MQTT-3.1.0-2]; v5 [MQTT-3.1.0-2]
#[test]
fn a_second_connect_closes_the_connection() {
    both(|case| {
        let mut client = case.client("c");
        let name = case.id("c");
        client.send(Packet::Connect(Connect::new(case.version, &name)));
        client.closed_with(ReasonCode::ProtocolError);
    });
}

/// v3.1.1 [MQTT-3.1.2-1]; v5 [MQTT-3.1.2-1]
#[test]
fn a_wrong_protocol_name_is_not_served() {
    both(|case| {
        for name in ["MQTt", "mqtt", "MQTT5", "MQT", "", "HTTP"] {
            let rest = [case.version as u8, CLEAN, 0, 60];
            let name = string(name);
            let client = string(case.id("c"));
            let body = join(&[&name, &rest, case.no_properties(), &client]);
            let mut client = case.open();
            client.send_bytes(&packet(0x10, &body));
            // Perhaps a CONNACK that says so, in either form.
            for received in client.closed() {
                assert_eq!(received.bytes[0], 0x20);
                assert_ne!(received.bytes[3], 0);
            }
        }
    });
}

/// v3.1.1 [MQTT-3.1.2-2]
#[test]
fn an_unknown_protocol_level_is_answered_with_code_1() {
    v3_1_1(|case| {
        for level in [0, 1, 2, 99] {
            let mut bytes = case.connect_bytes(CLEAN, &case.id("c"), &[]);
            bytes[8] = level;
            let mut client = case.open();
            client.send_bytes(&bytes);
            let received: Vec<_> = client.closed().into_iter().map(|one| one.bytes).collect();
            // A level of the future may be answered in the form of 5.0.
            let future = level > 5 && received == [[0x20, 3, 0, 0x84, 0]];
            assert!(future || received == [[0x20, 2, 0, 1]], "{received:x?}");
        }
    });
}

/// v5 [MQTT-3.1.2-2]
#[test]
fn an_unknown_protocol_version_is_refused() {
    v5(|case| {
        for level in [6, 42, 127] {
            let mut bytes = case.connect_bytes(CLEAN, &case.id("c"), &[]);
            bytes[8] = level;
            let mut client = case.open();
            client.send_bytes(&bytes);
            for received in client.closed() {
                assert_eq!(received.bytes[0], 0x20);
                assert_ne!(received.bytes[3], 0);
            }
        }
    });
}

/// v3.1.1 [MQTT-3.1.2-3]; v5 [MQTT-3.1.2-3]
#[test]
fn the_reserved_flag_has_to_be_0() {
    both(|case| {
        let bytes = case.connect_bytes(CLEAN | 1, &case.id("c"), &[]);
        all_refused(case, &[bytes]);
    });
}

/// v3.1.1 [MQTT-3.1.2-11], [MQTT-3.1.2-13], [MQTT-3.1.2-15];
/// v5 [MQTT-3.1.2-11], [MQTT-3.1.2-13]
#[test]
fn without_a_will_its_qos_and_retain_flag_have_to_be_0() {
    both(|case| {
        let flags = [WILL_QOS, 2 * WILL_QOS, 3 * WILL_QOS, WILL_RETAIN];
        let connects = flags.map(|flag| case.connect_bytes(CLEAN | flag, &case.id("c"), &[]));
        all_refused(case, &connects);
    });
}

/// v3.1.1 [MQTT-3.1.2-14]; v5 [MQTT-3.1.2-12]
#[test]
fn a_will_has_no_qos_3() {
    both(|case| {
        let will = join(&[case.no_properties(), &string(case.topic("w")), &string("x")]);
        let connect =
            |qos| case.connect_bytes(CLEAN | WILL | (qos * WILL_QOS), &case.id("c"), &[&will]);
        all_refused(case, &[connect(3)]);
        for qos in 0..3 {
            let mut client = case.open();
            client.send_bytes(&connect(qos));
            let received = client.take(PacketKind::ConnAck);
            assert_eq!(received.connack().reason, ReasonCode::Success);
        }
    });
}

/// v3.1.1 [MQTT-3.1.2-9], [MQTT-3.1.2-11], [MQTT-3.1.2-18], [MQTT-3.1.2-19], [MQTT-3.1.2-20],
/// [MQTT-3.1.2-21], [MQTT-3.1.3-1], [MQTT-3.1.3-3];
/// v5 [MQTT-3.1.2-9], [MQTT-3.1.2-16], [MQTT-3.1.2-17], [MQTT-3.1.2-18], [MQTT-3.1.2-19],
/// [MQTT-3.1.3-1], [MQTT-3.1.3-3]
#[test]
fn the_fields_are_those_that_the_flags_say() {
    both(|case| {
        let id = case.id("c");
        let will = join(&[case.no_properties(), &string(case.topic("w")), &string("x")]);
        let (user, password) = (string("somebody"), string("secret"));
        let short_will = join(&[case.no_properties(), &string(case.topic("w"))]);
        let wrong: [(u8, &[&[u8]]); 8] = [
            (WILL, &[]),
            (WILL, &[&short_will]),
            (USER_NAME, &[]),
            (USER_NAME | PASSWORD, &[&user]),
            (0, &[&user]),
            (USER_NAME, &[&user, &password]),
            (0, &[&will]),
            (WILL | USER_NAME, &[&will]),
        ];
        let connects = wrong.map(|(flags, rest)| case.connect_bytes(CLEAN | flags, &id, rest));
        all_refused(case, &connects);
        // Without a client identifier.
        let mut body = string("MQTT");
        body.extend([case.version as u8, CLEAN, 0, 60]);
        body.extend(case.no_properties());
        all_refused(case, &[packet(0x10, &body)]);
        // In the right order.
        let mut client = case.open();
        let flags = CLEAN | WILL | USER_NAME | PASSWORD;
        client.send_bytes(&case.connect_bytes(flags, &id, &[&will, &user, &password]));
        let received = client.take(PacketKind::ConnAck);
        assert_eq!(received.connack().reason, ReasonCode::Success);
    });
}

/// v3.1.1 [MQTT-3.1.2-22]
#[test]
fn there_is_no_password_without_a_user_name() {
    v3_1_1(|case| {
        let password = string("secret");
        let bytes = case.connect_bytes(CLEAN | PASSWORD, &case.id("c"), &[&password]);
        all_refused(case, &[bytes]);
    });
}

/// v3.1.1 [MQTT-3.1.3-4], [MQTT-3.1.3-10], [MQTT-3.1.3-11];
/// v5 [MQTT-3.1.3-4], [MQTT-3.1.3-11], [MQTT-3.1.3-12]
#[test]
fn client_identifier_will_topic_and_user_name_have_to_be_utf_8() {
    both(|case| {
        let id = case.id("c");
        let will = |topic: &[u8]| join(&[case.no_properties(), &string(topic), &string("x")]);
        let mut body = string("MQTT");
        body.extend([case.version as u8, CLEAN, 0, 60]);
        body.extend(case.no_properties());
        body.extend(string(b"a\xed\xa0\x80"));
        all_refused(
            case,
            &[
                packet(0x10, &body),
                case.connect_bytes(CLEAN | WILL, &id, &[&will(b"w\xff")]),
                case.connect_bytes(CLEAN | USER_NAME, &id, &[&string(b"u\xc0\x80")]),
            ],
        );
    });
}

/// v3.1.1 [MQTT-3.1.3-5]; v5 [MQTT-3.1.3-5]
#[test]
fn identifiers_of_1_to_23_letters_and_digits_are_accepted() {
    both(|case| {
        const LETTERS: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        for start in (0..LETTERS.len()).step_by(10) {
            // One letter or the other may be in use elsewhere, so each comes with our prefix.
            let mut name = case.id(&LETTERS[start..LETTERS.len().min(start + 10)]);
            name.truncate(23);
            case.connect(&Connect::new(case.version, &name));
        }
        let mut name = case.id("");
        name.push_str(&"Z".repeat(23 - name.len()));
        case.connect(&Connect::new(case.version, &name));
        case.connect(&Connect::new(case.version, "Q"));
    });
}

/// v3.1.1 [MQTT-3.1.3-2]; v5 [MQTT-3.1.3-2]
#[test]
fn a_session_belongs_to_its_client_identifier_alone() {
    both(|case| {
        let name = case.topic("t");
        let mut first = case.lasting("a");
        first.subscribe(&name, AtMostOnce);
        first.disconnect();
        assert!(!case.lasting_present("A").1, "case counts");
        assert!(!case.lasting_present("aa").1);
        assert!(case.lasting_present("a").1);
    });
}

/// v3.1.1 [MQTT-3.1.3-6]
#[test]
fn an_empty_identifier_with_a_clean_session_is_given_one() {
    v3_1_1(|case| {
        let mut first = case.connect(&Connect::new(case.version, ""));
        let mut second = case.connect(&Connect::new(case.version, ""));
        // They are two, and both are served.
        let name = case.topic("t");
        first.subscribe(&name, AtMostOnce);
        second.publish(&name, "x", AtMostOnce);
        assert_eq!(first.message().payload(), "x");
    });
}

/// v5 [MQTT-3.1.3-6], [MQTT-3.1.3-7], [MQTT-3.2.2-16]
#[test]
fn an_empty_identifier_is_given_one_and_told() {
    v5(|case| {
        let assigned = || {
            let mut client = case.open();
            let connack = client.try_connect(&lasting(case.version, ""));
            assert_eq!(connack.connack().reason, ReasonCode::Success);
            let properties = connack.connack().properties;
            let id = properties.assigned_client_identifier();
            (client, id.expect("an identifier").to_owned())
        };
        let ((first, first_id), (_second, second_id)) = (assigned(), assigned());
        assert_ne!(first_id, second_id);
        assert_ne!(first_id, "");
        // It is a session as any other.
        first.disconnect();
        let (_, present) = case.connect_present(&lasting(case.version, &first_id));
        assert!(present);
    });
}

/// v5 [MQTT-3.2.2-16]
#[test]
fn who_brings_an_identifier_is_assigned_none() {
    v5(|case| {
        let name = case.id("c");
        let mut client = case.open();
        let received = client.try_connect(&Connect::new(case.version, &name));
        let properties = received.connack().properties;
        assert_eq!(properties.assigned_client_identifier(), None);
    });
}

/// v3.1.1 [MQTT-3.1.3-7], [MQTT-3.1.3-8], [MQTT-3.1.3-9], [MQTT-3.2.2-4], [MQTT-3.2.2-5]
#[test]
fn an_empty_identifier_with_a_lasting_session_is_rejected() {
    v3_1_1(|case| {
        let mut client = case.open();
        client.send_bytes(&case.connect_bytes(0, "", &[]));
        let received: Vec<_> = client.closed().into_iter().map(|one| one.bytes).collect();
        assert_eq!(received, [[0x20, 2, 0, 2]]);
    });
}

/// v3.1.1 [MQTT-3.1.2-24], [MQTT-3.1.2-23]; v5 [MQTT-3.1.2-22], [MQTT-3.1.2-20], [MQTT-3.2.2-22]
#[test]
fn a_client_that_is_silent_for_too_long_is_closed_and_its_will_published() {
    both(|case| {
        let (name, will) = (case.id("c"), case.topic("w"));
        let mut watcher = case.client("w");
        watcher.subscribe(&will, AtMostOnce);
        let client = case.connect(&Connect {
            keep_alive: 1,
            will: Some(crate::wills::will(&will, b"silent", AtMostOnce)),
            ..Connect::new(case.version, &name)
        });
        let begin = std::time::Instant::now();
        client.closed_with(ReasonCode::KeepAliveTimeout);
        assert!(begin.elapsed() >= Duration::from_secs(1), "too early");
        assert_eq!(watcher.message().payload(), "silent");
    });
}

/// v3.1.1 [MQTT-3.1.4-1], [MQTT-3.2.2-6]
#[test]
fn a_connect_that_is_no_mqtt_is_closed_without_an_answer() {
    v3_1_1(|case| {
        let id = case.id("c");
        let mut long = case.connect_bytes(CLEAN, &id, &[]);
        long[1] += 1;
        long.push(0);
        all_refused(
            case,
            &[
                long,
                packet(0x10, &[]),
                packet(0x10, b"\0\x04MQTT"),
                packet(0x10, &[0xff; 12]),
            ],
        );
    });
}

/// v5 [MQTT-3.1.4-1], [MQTT-4.13.1-1]
#[test]
fn a_connect_with_wrong_properties_is_refused() {
    v5(|case| {
        let id = string(case.id("c"));
        let connect = |properties: &[u8]| {
            let mut body = string("MQTT");
            body.extend([5, CLEAN, 0, 60, properties.len() as u8]);
            body.extend(properties);
            body.extend(&id);
            packet(0x10, &body)
        };
        all_refused(
            case,
            &[
                // A receive maximum or a maximum packet size of 0.
                connect(&[0x21, 0, 0]),
                connect(&[0x27, 0, 0, 0, 0]),
                // Twice the same, a value that is no flag, one that belongs elsewhere, one that
                // there is not.
                connect(&[0x11, 0, 0, 0, 1, 0x11, 0, 0, 0, 1]),
                connect(&[0x17, 2]),
                connect(&[0x23, 0, 1]),
                connect(&[0x7f, 0]),
                // Data without a method, and a part of a property.
                connect(&[0x16, 0, 1, 7]),
                connect(&[0x11, 0, 0]),
            ],
        );
    });
}

/// v5 [MQTT-3.1.4-2], [MQTT-3.2.2-6], [MQTT-3.2.2-7], [MQTT-3.2.2-8], [MQTT-4.13.2-1]
#[test]
fn a_connect_that_is_not_permitted_is_refused_and_closed() {
    v5(|case| {
        let name = case.id("c");
        case.lasting("c").disconnect();
        let properties = [Property::AuthenticationMethod("none that there is")];
        let mut client = case.open();
        client.send(Packet::Connect(Connect {
            clean_start: false,
            properties: Properties::new(&properties),
            ..Connect::new(case.version, &name)
        }));
        // Whatever is decoded has a code that a CONNACK may have.
        for received in client.closed() {
            assert!(received.connack().reason.is_error());
            assert_eq!(received.bytes[2], 0, "session present");
        }
        assert!(case.lasting_present("c").1, "the session is still there");
    });
}

/// v3.1.1 [MQTT-3.1.4-4], [MQTT-3.1.4-3]; v5 [MQTT-3.1.4-5], [MQTT-3.1.4-4]
#[test]
fn a_valid_connect_is_answered_with_success() {
    both(|case| {
        let mut client = case.open();
        client.send_bytes(&case.connect_bytes(CLEAN, &case.id("c"), &[]));
        let received = client.take(PacketKind::ConnAck);
        assert_eq!(received.bytes[2..4], [0, 0]);
    });
}

/// v3.1.1 [MQTT-3.1.4-5]; v5 [MQTT-3.1.4-6]
#[test]
fn nothing_behind_a_refused_connect_is_processed() {
    both(|case| {
        let name = case.topic("t");
        let mut watcher = case.client("w");
        watcher.subscribe(&name, AtMostOnce);
        let mut connect = match case.version {
            ProtocolVersion::V3_1_1 => case.connect_bytes(0, "", &[]),
            ProtocolVersion::V5 => {
                let mut body = string("MQTT");
                let method = join(&[&[0x15], &string("none")]);
                body.extend([5, CLEAN, 0, 60, method.len() as u8]);
                body.extend(method);
                body.extend(string(case.id("c")));
                packet(0x10, &body)
            }
        };
        let publish = join(&[&string(&name), case.no_properties(), b"not allowed"]);
        connect.extend(packet(0x30, &publish));
        let mut client = case.open();
        client.send_bytes(&connect);
        client.closed();
        assert_eq!(watcher.payloads(), Vec::<String>::new());
    });
}

/// v3.1.1 [MQTT-3.2.0-1]; v5 [MQTT-3.2.0-1], [MQTT-3.2.0-2]
#[test]
fn what_is_sent_right_behind_the_connect_is_served_after_the_connack() {
    both(|case| {
        let name = case.topic("t");
        let mut client = case.open();
        let mut bytes = case.connect_bytes(CLEAN, &case.id("c"), &[]);
        let subscribe = join(&[&[0, 1], case.no_properties(), &string(&name), &[0]]);
        bytes.extend(packet(0x82, &subscribe));
        let publish = join(&[&string(&name), case.no_properties(), b"x"]);
        bytes.extend(packet(0x30, &publish));
        bytes.extend(packet(0xc0, &[]));
        client.send_bytes(&bytes);
        let first = client.next().expect("a packet");
        assert_eq!(first.kind(), PacketKind::ConnAck);
        let mut kinds: Vec<_> = (0..3)
            .map(|_| client.next().expect("a packet").kind())
            .collect();
        kinds.sort_by_key(|kind| *kind as u8);
        let all = [
            PacketKind::Publish,
            PacketKind::SubAck,
            PacketKind::PingResp,
        ];
        assert_eq!(kinds, all);
        client.ping();
        assert!(client.payloads().is_empty());
    });
}

/// v3.1.1 [MQTT-7.1.1-1]; v5 [MQTT-4.2.0-1], [MQTT-4.2-1]
#[test]
fn packets_may_come_in_any_pieces() {
    both(|case| {
        let name = case.topic("t");
        let mut bytes = case.connect_bytes(CLEAN, &case.id("c"), &[]);
        let subscribe = join(&[&[0, 1], case.no_properties(), &string(&name), &[1]]);
        bytes.extend(packet(0x82, &subscribe));
        for number in 0..3 {
            let publish = join(&[&string(&name), &[0, 9], case.no_properties(), &[number]]);
            bytes.extend(packet(0x32, &publish));
        }
        for size in [1, 3, bytes.len()] {
            let mut client = case.open();
            for part in bytes.chunks(size) {
                client.send_bytes(part);
            }
            for number in 0..3 {
                assert_eq!(client.message().publish().payload, [number]);
                assert_eq!(client.take(PacketKind::PubAck).ack().packet_id, id(9));
            }
            client.disconnect();
        }
    });
}

/// v5 [MQTT-3.1.2-28]
#[test]
fn response_information_is_not_sent_unless_it_is_asked_for() {
    v5(|case| {
        let name = case.id("c");
        for properties in [&[][..], &[Property::RequestResponseInformation(false)]] {
            let mut client = case.open();
            let received = client.try_connect(&Connect {
                properties: Properties::new(properties),
                ..Connect::new(case.version, &name)
            });
            assert_eq!(received.connack().properties.response_information(), None);
        }
    });
}

/// A broker may tell nothing; ours does.
#[test]
fn response_information_is_a_topic_of_the_clients_own() {
    v5(|case| {
        let properties = [Property::RequestResponseInformation(true)];
        let connect = |client_id| Connect {
            properties: Properties::new(&properties),
            ..Connect::new(case.version, client_id)
        };
        let name = case.id("c");
        let received = case.open().try_connect(&connect(&name));
        let told = received.connack().properties.response_information();
        if case.subject.ours {
            assert_eq!(told, Some(&*format!("responses/{name}")));
        }
        // It can be published to, so it has no wildcards, whatever the client is called.
        let received = case.open().try_connect(&connect(&case.id("#/+")));
        let told = received.connack().properties.response_information();
        assert!(told.is_none_or(|topic| declic_mqtt::TopicName::new(topic).is_ok()));
    });
}

/// v5 [MQTT-3.1.2-21], [MQTT-3.2.2-21]
#[test]
fn the_server_keep_alive_is_told_where_the_client_wants_more() {
    v5(|case| {
        let name = case.id("c");
        let mut client = case.open();
        let received = client.try_connect(&Connect {
            keep_alive: 6_000,
            ..Connect::new(case.version, &name)
        });
        let server = received.connack().properties.server_keep_alive();
        assert_eq!(server, Some(600));
        let mut client = case.open();
        let received = client.try_connect(&Connect {
            keep_alive: 30,
            ..Connect::new(case.version, &name)
        });
        assert_eq!(received.connack().properties.server_keep_alive(), None);
        client.send(Packet::Publish(Publish::new(topic(&case.topic("t")), b"x")));
        client.ping();
    });
}
