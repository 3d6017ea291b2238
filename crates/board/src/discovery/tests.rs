use std::collections::BTreeMap;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

/// Checks a document against the rules for announcing a device, and returns its components.
///
/// What is checked is what Home Assistant 2026.2 checks, and what it would leave out without a
/// word; `tests/interop/test_home_assistant.py` has its own code do the same.
pub fn check(document: &str) -> BTreeMap<String, Value> {
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
        let component = component.as_object().expect("an object");
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
        if is_entity {
            // The base topic must stand in the component, and each has an identifier.
            assert_eq!(text(&component["~"]), format!("declic/{id}"));
            let own = text(&component["uniq_id"]);
            assert_eq!(own, format!("declic_{id}_{name}"));
            assert!(is_identifier(own) && !unique.contains(&own), "{own}");
            unique.push(own);
            for key in ["cmd_t", "stat_t"] {
                let topic = component.get(key).map(text);
                assert!(
                    topic.is_none_or(|topic| topic.starts_with("~/")),
                    "{topic:?}"
                );
            }
        } else {
            assert_eq!(text(&component["atype"]), "trigger");
            assert_eq!(text(&component["stype"]), "button_1");
            assert_eq!(text(&component["t"]), format!("declic/{id}/button"));
        }
    }
    components.clone().into_iter().collect()
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

fn announcement(name: &str) -> Announcement<'_> {
    Announcement {
        id: BoardId::new([0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f]),
        name,
        chip: "ESP32-C3",
        has_wifi: true,
        double: true,
        hold: true,
    }
}

fn whole(announcement: &Announcement<'_>) -> String {
    let mut text = String::new();
    let written = announcement.write_parts(&mut text);
    written.expect("a string takes all");
    text
}

fn names(components: &BTreeMap<String, Value>) -> Vec<&str> {
    components.keys().map(String::as_str).collect()
}

#[test]
fn a_device_has_its_light_its_button_and_what_helps_to_look_after_it() {
    let components = check(&whole(&announcement("kitchen")));
    assert_eq!(
        names(&components),
        [
            "button", "double", "hold", "led", "press", "restart", "rssi", "uptime"
        ]
    );
    let kind = |name: &str| text(&components[name]["type"]).to_string();
    assert_eq!(kind("press"), "button_short_press");
    assert_eq!(kind("double"), "button_double_press");
    assert_eq!(kind("hold"), "button_long_press");
    let events = json!(["press", "double", "hold"]);
    assert_eq!(components["button"]["evt_typ"], events);
    assert_eq!(components["press"]["val_tpl"], "{{value_json.event_type}}");
}

#[test]
fn what_a_board_does_not_tell_apart_or_measure_is_not_announced() {
    let mut board = announcement("");
    (board.double, board.hold, board.has_wifi) = (false, false, false);
    let components = check(&whole(&board));
    assert_eq!(
        names(&components),
        ["button", "led", "press", "restart", "uptime"]
    );
    assert_eq!(components["button"]["evt_typ"], json!(["press"]));
}

#[test]
fn a_board_without_a_name_goes_by_the_end_of_its_address() {
    let document = whole(&announcement(""));
    assert!(document.contains(r#""name":"Déclic 0d0e0f""#), "{document}");
}

#[test]
fn the_longest_document_has_little_more_than_two_kilobytes() {
    assert!(whole(&announcement(&"x".repeat(32))).len() < 2_560);
}

proptest! {
    #[test]
    fn a_document_in_chunks_is_the_same_document(
        name in "\\PC{0,12}",
        flags in any::<[bool; 3]>(),
        sizes in prop::collection::vec(1_usize..300, 1..40),
    ) {
        let mut board = announcement(&name);
        [board.has_wifi, board.double, board.hold] = flags;
        let document = whole(&board);
        check(&document);
        prop_assert_eq!(board.len(), document.len());
        let mut chunk = Chunk::new();
        let mut sent = Vec::new();
        for size in sizes.iter().cycle() {
            let missing = document.len() - sent.len();
            if missing == 0 {
                break;
            }
            chunk.next(&board, missing);
            prop_assert!(!chunk.bytes().is_empty());
            let len = chunk.bytes().len().min(*size);
            sent.extend_from_slice(&chunk.bytes()[..len]);
            prop_assert_eq!(chunk.sent(*size), len);
        }
        prop_assert_eq!(String::from_utf8(sent).expect("text"), document);
    }
}
