use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

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
        assert_eq!(settings.value(*key), key.default_value());
        assert!(key.doc().ends_with('.'), "{key}");
    }
    assert_eq!(settings.get_key(Key::Port).to_string(), "1883");
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
            "broker can't be `mqtt://x`: it is names or addresses without mqtt://, with or without :port, or mdns, at most 96 bytes",
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

#[test]
fn numbers_of_keys_are_never_changed() {
    let numbers: Vec<_> = Key::ALL.iter().map(|key| (key.number(), *key)).collect();
    let mut sorted = numbers.clone();
    sorted.sort_by_key(|(number, _)| *number);
    sorted.dedup_by_key(|(number, _)| *number);
    assert_eq!(sorted.len(), Key::ALL.len(), "every key has one of its own");
    // A board that was set up years ago has these in its flash.
    let names: Vec<_> = sorted.iter().map(|(_, key)| key.name()).collect();
    assert_eq!(
        names.join(" "),
        "role name broker port user password client-id topic pair payload-on payload-off qos \
         retain topics debounce keep-alive ping-timeout connect-timeout session-expiry mqtt \
         backoff-base backoff-cap stable-uptime wifi-ssid wifi-password hostname address gateway \
         dns board button-pin button-active-low led-pin led-kind log-level factory-reset-button \
         led-restore led-status double-press hold-press info-interval sleep home-assistant \
         home-assistant-prefix"
    );
    assert_eq!(sorted[0].0, 16);
    assert_eq!(sorted[41].0, 57);
    assert_eq!(sorted.last().map(|(number, _)| *number), Some(71));
}

#[test]
fn the_longest_value_of_every_key_has_room() {
    for key in Key::ALL {
        let longest = match key.accepts() {
            Accepts::Number { max, .. } => max.to_string().len(),
            Accepts::OneOf(words) => words.iter().map(|word| word.len()).max().unwrap(),
            Accepts::Text { max_len, .. } => max_len,
        };
        assert!(longest <= LONGEST_VALUE, "{key}");
    }
}

#[test]
fn what_a_chip_needs_is_auto_or_nothing_at_first() {
    let settings = Settings::default();
    assert_eq!(settings.wifi_ssid(), None);
    assert_eq!(settings.wifi_password(), None);
    assert_eq!(settings.host_name(), None);
    assert_eq!(settings.address(), None);
    assert_eq!(settings.gateway(), None);
    assert_eq!(settings.board(), None);
    assert_eq!(settings.button_pin(), None);
    assert_eq!(settings.button_active_low(), None);
    assert_eq!(settings.led_pin(), None);
    assert_eq!(settings.led_kind(), LedKind::Auto);
    assert_eq!(settings.log_level(), LogLevel::Info);
    assert!(settings.factory_reset_button());
}

#[test]
fn a_wifi_password_has_the_length_that_wifi_wants() {
    let mut settings = Settings::default();
    let key = "wifi-password";
    for good in [
        "",
        "8 letter",
        &"x".repeat(63),
        &"0123456789abcDEF".repeat(4),
    ] {
        settings.set(key, good).unwrap();
        assert_eq!(settings.value(Key::WifiPassword), good);
    }
    for bad in ["short", &"x".repeat(64), &"0".repeat(65)] {
        let error = settings.set(key, bad).unwrap_err().to_string();
        assert_eq!(
            error,
            "wifi-password can't be that: it is 8 to 63 characters or 64 hex digits, or nothing \
             for an open network, at most 64 bytes"
        );
    }
}

#[test]
fn addresses_are_those_of_machines() {
    let mut settings = Settings::default();
    settings.set("address", "192.168.1.50/24").unwrap();
    settings.set("gateway", "192.168.1.1").unwrap();
    assert_eq!(settings.address(), Some(([192, 168, 1, 50].into(), 24)));
    assert_eq!(settings.gateway(), Some([192, 168, 1, 1].into()));
    for bad in [
        "192.168.1.50",
        "192.168.1.50/",
        "192.168.1.50/33",
        "192.168.1.50/0",
        "192.168.1/24",
        "0.0.0.0/24",
        "127.0.0.1/8",
        "224.0.0.1/24",
        "255.255.255.255/24",
        "a/24",
        " 10.0.0.1/8",
    ] {
        settings.set("address", bad).expect_err(bad);
    }
    for bad in ["192.168.1.1/24", "router", "192.168.1.256"] {
        settings.set("dns", bad).expect_err(bad);
    }
}

#[test]
fn pins_and_names_are_checked() {
    let mut settings = Settings::default();
    for (key, value) in [
        ("button-pin", "0"),
        ("button-pin", "63"),
        ("led-pin", "auto"),
        ("led-kind", "none"),
        ("button-active-low", "off"),
        ("hostname", "kitchen-2"),
        ("board", "esp32-s3-devkitc-1-v1.0"),
    ] {
        settings.set(key, value).unwrap();
    }
    assert_eq!(settings.button_pin(), Some(63));
    assert_eq!(settings.button_active_low(), Some(false));
    for (key, value) in [
        ("button-pin", "64"),
        ("button-pin", ""),
        ("led-pin", "-1"),
        ("led-kind", "rgb"),
        ("hostname", "-a"),
        ("hostname", "a."),
        ("hostname", "a_b"),
        ("board", "my board"),
        ("log-level", "all"),
        ("factory-reset-button", "yes"),
    ] {
        settings.set(key, value).expect_err(value);
    }
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
                let numeric = [Key::Address, Key::ButtonPin, Key::LedPin];
                if !matches!(key.accepts(), Accepts::Number { .. }) && !numeric.contains(&key) {
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
