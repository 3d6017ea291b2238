//! What a board announces to Home Assistant, checked against the rules for such a document.
//!
//! These are what Home Assistant 2026.2 checks, and what it would leave out without a word;
//! `tests/home_assistant` has its own code look at the same document.

use std::collections::BTreeMap;

use declic_board::{Board, BoardId, RestartReason, Settings, Start, Storage};
use declic_mqtt::packet::{ConnAck, FixedHeader, Packet, Properties};
use declic_mqtt::{Instant, ProtocolVersion, ReasonCode};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const V5: ProtocolVersion = ProtocolVersion::V5;

/// The document of a board with these settings.
fn announced(settings: &[(&str, &str)], has_wifi: bool) -> String {
    let mut all = Settings::default();
    for (key, value) in [("broker", "broker.test"), ("home-assistant", "on")]
        .iter()
        .chain(settings)
    {
        all.set(key, value).expect("a setting");
    }
    let id = BoardId::new([0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f]);
    let mut storage = Storage::new();
    let mut board = Board::new(id, all, 1, storage.memory());
    let now = Instant::from_millis(1);
    let start = Start {
        has_wifi,
        ..Start::new("ESP32-C3", RestartReason::PowerOn)
    };
    board.handle_start(start, now);
    board.handle_link(true, now);
    let mut sent = Vec::new();
    while board.poll_effect().is_some() {}
    board.handle_connected(now);
    drive(&mut board, &mut sent, now);
    let accepted = Packet::ConnAck(ConnAck {
        session_present: false,
        reason: ReasonCode::Success,
        properties: Properties::EMPTY,
    });
    let len = accepted.encode(V5, board.rx_space()).expect("room");
    board.received(len, now);
    drive(&mut board, &mut sent, now);
    let mut rest = &sent[..];
    while let Some(header) = FixedHeader::decode(rest).expect("packets") {
        let packet;
        (packet, rest) = rest.split_at(header.packet_len());
        let packet = Packet::decode(V5, header, &packet[header.len()..]).expect("a packet");
        if let Packet::Publish(publish) = packet
            && let Some(topic) = publish.topic
            && topic.as_str() == "homeassistant/device/declic_0a0b0c0d0e0f/config"
        {
            assert!(publish.retain, "an announcement is retained");
            return String::from_utf8(publish.payload.to_vec()).expect("text");
        }
    }
    panic!("nothing is announced");
}

fn drive(board: &mut Board<'_>, sent: &mut Vec<u8>, now: Instant) {
    loop {
        while board.poll_effect().is_some() {}
        let bytes = board.transmit();
        if bytes.is_empty() {
            return;
        }
        sent.extend_from_slice(bytes);
        let len = bytes.len();
        board.transmitted(len, now);
    }
}

/// Checks a document, and returns its components.
fn check(document: &str) -> BTreeMap<String, Value> {
    let document: Value = serde_json::from_str(document).expect("JSON");
    let root = keys(&document, &["avty_t", "cmps", "dev", "o"]);
    let device = &root["dev"];
    keys(device, &["cns", "ids", "mdl", "mf", "name", "sw"]);
    let id = text(&device["ids"]).strip_prefix("declic_").expect("ours");
    assert!(is_identifier(id) && id.len() == 12, "{id}");
    let [kind, mac] = device["cns"][0].as_array().expect("a pair").as_slice() else {
        panic!("a connection is a pair");
    };
    assert_eq!(text(kind), "mac");
    assert_eq!(text(mac).replace(':', ""), id);
    assert!(!text(&device["name"]).is_empty());
    keys(&root["o"], &["name", "sw"]);
    assert_eq!(text(&root["avty_t"]), format!("declic/{id}/status"));
    let mut unique = Vec::new();
    let components = root["cmps"].as_object().expect("components");
    for (name, component) in components {
        assert!(is_identifier(name), "{name}");
        check_component(id, name, component.as_object().expect("an object"));
        let own = component.get("uniq_id").map(text);
        assert!(own.is_none() || !unique.contains(&own), "{own:?} twice");
        unique.push(own);
    }
    components.clone().into_iter().collect()
}

fn check_component(id: &str, name: &str, component: &Map<String, Value>) {
    let platform = text(&component["p"]);
    let (needed, possible): (&[&str], &[&str]) = match platform {
        "light" => (&["cmd_t", "stat_t"], &["name"]),
        "event" => (&["stat_t", "evt_typ"], &["name", "dev_cla", "qos"]),
        "sensor" => (
            &["stat_t", "val_tpl", "ent_cat", "unit_of_meas", "dev_cla"],
            &["name", "stat_cla"],
        ),
        "button" => (&["cmd_t", "pl_prs"], &["name", "dev_cla", "ent_cat"]),
        "device_automation" => (
            &["atype", "type", "stype", "t", "pl", "val_tpl", "qos"],
            &[],
        ),
        platform => panic!("{name}: platform {platform}"),
    };
    for key in needed {
        assert!(component.contains_key(*key), "{name} has no {key}");
    }
    let is_entity = platform != "device_automation";
    for key in component.keys() {
        let key = key.as_str();
        let is_common = key == "p" || is_entity && ["~", "uniq_id"].contains(&key);
        let is_known = is_common || needed.contains(&key) || possible.contains(&key);
        assert!(is_known, "{name} has {key}");
    }
    if !is_entity {
        assert_eq!(text(&component["atype"]), "trigger");
        assert_eq!(text(&component["stype"]), "button_1");
        assert_eq!(text(&component["t"]), format!("declic/{id}/button"));
        return;
    }
    // The base topic must stand in the component itself, and each needs an identifier.
    assert_eq!(text(&component["~"]), format!("declic/{id}"));
    let own = text(&component["uniq_id"]);
    assert_eq!(own, format!("declic_{id}_{name}"));
    assert!(is_identifier(own), "{own}");
    for topic in ["cmd_t", "stat_t"]
        .iter()
        .filter_map(|key| component.get(*key))
    {
        assert!(text(topic).starts_with("~/"), "{topic}");
    }
}

#[track_caller]
fn keys<'a>(value: &'a Value, expected: &[&str]) -> &'a Map<String, Value> {
    let object = value.as_object().expect("an object");
    let found: Vec<_> = object.keys().map(String::as_str).collect();
    assert_eq!(found, expected);
    object
}

#[track_caller]
fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn is_identifier(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    !text.is_empty() && text.bytes().all(is_allowed)
}

fn names(components: &BTreeMap<String, Value>) -> Vec<&str> {
    components.keys().map(String::as_str).collect()
}

#[test]
fn a_device_has_its_light_its_button_and_what_helps_to_look_after_it() {
    let settings = [("double-press", "300"), ("hold-press", "1000")];
    let components = check(&announced(&settings, true));
    assert_eq!(
        names(&components),
        [
            "button", "double", "hold", "led", "press", "restart", "rssi", "uptime"
        ]
    );
    for (name, kind) in [
        ("press", "button_short_press"),
        ("double", "button_double_press"),
        ("hold", "button_long_press"),
    ] {
        assert_eq!(components[name]["type"], kind);
        assert_eq!(components[name]["pl"], name);
    }
    let events = json!(["press", "double", "hold"]);
    assert_eq!(components["button"]["evt_typ"], events);
    assert_eq!(components["press"]["val_tpl"], "{{value_json.event_type}}");
}

#[test]
fn what_a_board_does_not_tell_apart_or_measure_is_not_announced() {
    let components = check(&announced(&[], false));
    assert_eq!(
        names(&components),
        ["button", "led", "press", "restart", "uptime"]
    );
    assert_eq!(components["button"]["evt_typ"], json!(["press"]));
}

proptest! {
    #[test]
    fn any_name_is_the_name_of_the_device(name in "\\PC{1,8}", has_wifi in any::<bool>()) {
        let document = announced(&[("name", &name)], has_wifi);
        check(&document);
        let document: Value = serde_json::from_str(&document).expect("JSON");
        prop_assert_eq!(text(&document["dev"]["name"]), name);
    }
}
