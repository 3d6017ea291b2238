use std::format;
use std::string::{String, ToString};

use proptest::prelude::*;

use super::*;

#[test]
fn a_new_board_is_the_board_of_the_tutorial() {
    let settings = Settings::default();
    assert_eq!(settings.link_topic().as_str(), "esp32/data");
    assert_eq!(settings.payload(true), "ON");
    assert_eq!(settings.payload(false), "OFF");
    assert_eq!(settings.port(), 1883);
    assert_eq!(settings.debounce(), Duration::from_millis(50));
    assert_eq!(settings.qos(), QoS::AtLeastOnce);
    assert!(settings.retain());
    assert_eq!(settings.client_id(), None);
    assert_eq!(settings.user(), None);
    assert_eq!(settings.broker(), None);
}

#[test]
fn every_default_is_a_value_and_every_key_has_a_name_of_its_own() {
    let settings = Settings::default();
    for key in Key::ALL {
        assert_eq!(Key::from_name(key.name()), Some(*key));
        assert_eq!(settings.get_key(*key).to_string(), key.default_value());
        assert!(key.doc().ends_with('.'), "{key}");
    }
}

#[test]
fn a_pair_has_a_topic_of_its_own_below_the_links() {
    let mut settings = Settings::default();
    settings.set("pair", "table-7").unwrap();
    assert_eq!(settings.link_topic().as_str(), "esp32/data/table-7");
    settings.set("topic", &"t".repeat(64)).unwrap();
    settings.set("pair", &"p".repeat(32)).unwrap();
    assert_eq!(settings.link_topic().as_str().len(), 64 + 1 + 32);
    settings.set("pair", "").unwrap();
    assert_eq!(settings.link_topic().as_str().len(), 64);
}

#[test]
fn an_error_names_the_key_the_value_and_the_limit() {
    let mut settings = Settings::default();
    for (key, value, message) in [
        (
            "debounce",
            "1001",
            "debounce can't be `1001`: it is a number from 0 to 1000 (ms)",
        ),
        (
            "debounce",
            "+5",
            "debounce can't be `+5`: it is a number from 0 to 1000 (ms)",
        ),
        (
            "port",
            "0",
            "port can't be `0`: it is a number from 1 to 65535",
        ),
        (
            "role",
            "pub",
            "role can't be `pub`: it is publisher, subscriber or both",
        ),
        ("retain", "yes", "retain can't be `yes`: it is on or off"),
        (
            "topic",
            "a/#",
            "topic can't be `a/#`: it is a topic without + and #, not starting with $, at most 64 bytes",
        ),
        (
            "topic",
            "",
            "topic can't be ``: it is a topic without + and #, not starting with $, at most 64 bytes",
        ),
        (
            "broker",
            "mqtt://x",
            "broker can't be `mqtt://x`: it is a host name or an address, without mqtt:// and port, at most 64 bytes",
        ),
        (
            "name",
            "\u{7}",
            "name can't be `?`: it is a text, at most 32 bytes",
        ),
        ("colour", "red", "there is no setting `colour`"),
        (
            "payload-on",
            "off",
            "payload-on and payload-off must differ",
        ),
    ] {
        assert_eq!(settings.set(key, value).unwrap_err().to_string(), message);
    }
    assert_eq!(settings, Settings::default());
}

#[test]
fn a_password_is_never_shown() {
    let mut settings = Settings::default();
    settings.set("password", "hunter2").unwrap();
    assert_eq!(settings.password(), Some("hunter2"));
    assert_eq!(settings.get("password").unwrap().to_string(), "(set)");
    assert!(!format!("{settings:?}").contains("hunter2"));
    let error = settings.set("password", &"hunter2".repeat(10)).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    assert_eq!(settings.password(), Some("hunter2"));
}

#[test]
fn payloads_are_read_as_set_in_any_case() {
    let mut settings = Settings::default();
    assert_eq!(settings.read_payload(b"ON"), Some(true));
    assert_eq!(settings.read_payload(b"off\n"), Some(false));
    assert_eq!(settings.read_payload(b"1"), None);
    assert_eq!(settings.read_payload(b""), None);
    settings.set("payload-on", "1").unwrap();
    assert_eq!(settings.read_payload(b"1"), Some(true));
    assert_eq!(settings.read_payload(b"ON"), None);
}

proptest! {
    #[test]
    fn what_is_set_is_what_is_got_and_stored(
        key in prop::sample::select(Key::ALL),
        value in prop_oneof!["\\PC{0,70}", "[0-9]{0,7}", "[a-z/+#$ .]{0,70}", ".*"],
    ) {
        let mut settings = Settings::default();
        match settings.set(key.name(), &value) {
            Err(_) => prop_assert_eq!(settings, Settings::default()),
            Ok(()) => {
                let mut stored = String::new();
                settings.write_value(key, &mut stored).unwrap();
                let mut again = Settings::default();
                again.set_key(key, &stored).unwrap();
                prop_assert_eq!(&again, &settings);
                if !matches!(key.accepts(), Accepts::Number { .. }) {
                    prop_assert_eq!(&stored, &value);
                }
                // Whatever was set, the topic is one.
                let topic = settings.link_topic();
                prop_assert_eq!(topic.name().as_str(), topic.as_str());
                prop_assert_eq!(settings.read_payload(settings.payload_on().as_bytes()), Some(true));
                prop_assert_eq!(settings.read_payload(settings.payload_off().as_bytes()), Some(false));
            }
        }
    }
}
