//! Another version on the next connection: the waiting messages are written anew.

use super::*;

const PROPERTIES: &[Property<'_>] = &[
    Property::ContentType("text/plain"),
    Property::UserProperty(("name", "value")),
];

/// The connection is lost, and the next one speaks `version`.
#[track_caller]
fn change(bench: &mut Bench, version: ProtocolVersion, session_present: bool) {
    bench.lose();
    bench.version = version;
    bench.begin(false);
    bench.accept(session_present, &[]);
    assert_eq!(bench.client.version(), version);
}

#[test]
fn messages_published_before_the_first_connection_are_sent_in_its_version() {
    for version in BOTH {
        let mut bench = Bench::new(version);
        let message = Message {
            properties: Properties::new(PROPERTIES),
            retain: true,
            ..message(QoS::AtLeastOnce, "x")
        };
        assert_eq!(bench.client.publish(&message), Ok(Some(id(1))));
        bench.begin(true);
        bench.accept(false, &[]);
        let properties = match version {
            V3 => Properties::EMPTY,
            V5 => Properties::new(PROPERTIES),
        };
        let expected = Publish {
            delivery: Delivery::AtLeastOnce(id(1)),
            retain: true,
            properties,
            ..Publish::new(topic(), b"x")
        };
        assert_eq!(bench.sent(), [Packet::Publish(expected)]);
    }
}

#[test]
fn waiting_messages_follow_the_version_back_and_forth() {
    let mut bench = Bench::online(V5);
    bench.publish(QoS::AtLeastOnce, "1");
    bench.publish(QoS::ExactlyOnce, "2");
    bench.publish(QoS::ExactlyOnce, "");
    bench.sent();
    bench.publish(QoS::AtMostOnce, "4");
    let mut not_sent_yet = Some(publish(QoS::AtMostOnce, 0, "4"));
    for version in [V3, V5, V5, V3, V3, V5] {
        change(&mut bench, version, true);
        let mut expected = std::vec![
            again(QoS::AtLeastOnce, 1, "1"),
            again(QoS::ExactlyOnce, 2, "2"),
            again(QoS::ExactlyOnce, 3, ""),
        ];
        expected.extend(not_sent_yet.take());
        assert_eq!(bench.sent(), expected);
    }
    bench.say(puback(1));
    bench.say(pubrec(2));
    bench.sent();
    change(&mut bench, V3, true);
    assert_eq!(bench.sent(), [pubrel(2), again(QoS::ExactlyOnce, 3, "")]);
}

#[test]
fn a_full_outbox_has_room_for_the_other_version() {
    // Every length of payload around the steps of the remaining length, the outbox filled to the
    // last byte that it accepts.
    for base in [0, 120, 16_375] {
        for extra in 0..12 {
            let payload = "x".repeat(base + extra);
            for slack in 0..5 {
                let packet = encoded(V3, publish(QoS::AtLeastOnce, 1, &payload));
                let sizes = Sizes {
                    outbox: 3 * packet.len() + 6 + slack,
                    ..Sizes::default()
                };
                let mut bench = Bench::with(V3, sizes);
                bench.begin(false);
                bench.accept(false, &[]);
                for _ in 0..3 {
                    bench.publish(QoS::AtLeastOnce, &payload);
                }
                let full = bench.client.publish(&message(QoS::AtMostOnce, "y"));
                assert_eq!(full, Err(RequestError::Full));
                for version in [V5, V3, V5, V3] {
                    change(&mut bench, version, false);
                    let expected =
                        [1, 2, 3].map(|number| publish(QoS::AtLeastOnce, number, &payload));
                    assert_eq!(bench.sent(), expected);
                    change(&mut bench, version, true);
                    bench.sent();
                }
            }
        }
    }
}

#[test]
fn a_conversion_with_gaps_keeps_the_rest() {
    let mut bench = Bench::online(V3);
    for number in 1..=6 {
        let payload = "x".repeat(number);
        bench.publish(QoS::AtLeastOnce, &payload);
    }
    bench.sent();
    for number in [1, 3, 6] {
        bench.say(puback(number));
    }
    change(&mut bench, V5, true);
    assert_eq!(
        bench.sent(),
        [
            again(QoS::AtLeastOnce, 2, "xx"),
            again(QoS::AtLeastOnce, 4, "xxxx"),
            again(QoS::AtLeastOnce, 5, "xxxxx"),
        ]
    );
}

#[test]
fn a_5_client_falls_back_to_3_1_1_with_what_it_has_to_say() {
    let mut bench = Bench::new(V5);
    bench.publish(QoS::AtLeastOnce, "ON");
    bench.begin(true);
    let refusal = CloseReason::Refused(ReasonCode::UnsupportedProtocolVersion);
    assert_eq!(bench.say_bytes(&[0x20, 2, 0, 1]), [Event::Closed(refusal)]);
    bench.version = V3;
    bench.begin(true);
    bench.accept(false, &[]);
    assert_eq!(bench.sent(), [publish(QoS::AtLeastOnce, 1, "ON")]);
}
