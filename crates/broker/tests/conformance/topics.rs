//! Topic names and filters (section 4.7).

use declic_mqtt::QoS::AtMostOnce;

use crate::case::{Case, both, join, packet, string};

/// Names of those that a subscription to `filter` brings.
fn matching<'a>(case: &Case, filter: &str, names: &[&'a str]) -> Vec<&'a str> {
    let mut client = case.client("c");
    client.subscribe(&case.topic(filter), AtMostOnce);
    let mut publisher = case.client("p");
    for name in names {
        publisher.publish(&case.topic(name), name, AtMostOnce);
    }
    let received = client.payloads();
    names
        .iter()
        .copied()
        .filter(|name| received.iter().any(|one| one == name))
        .collect()
}

/// v3.1.1 [MQTT-4.7.1-2]; v5 [MQTT-4.7.1-1]
#[test]
fn the_multi_level_wildcard_matches_the_parent_and_all_below() {
    both(|case| {
        let names = ["a", "a/b", "a/b/c", "a/", "ab", "b", "b/a"];
        assert_eq!(matching(case, "a/#", &names), ["a", "a/b", "a/b/c", "a/"]);
        assert_eq!(matching(case, "#", &names), names);
    });
}

/// v3.1.1 [MQTT-4.7.1-3]; v5 [MQTT-4.7.1-2]
#[test]
fn the_single_level_wildcard_matches_one_level() {
    both(|case| {
        let names = ["a", "a/b", "a/b/c", "a/", "/a", "b/b", "a/c/c", "/"];
        assert_eq!(matching(case, "a/+", &names), ["a/b", "a/"]);
        assert_eq!(matching(case, "+", &names), ["a"]);
        assert_eq!(
            matching(case, "+/+", &names),
            ["a/b", "a/", "/a", "b/b", "/"]
        );
        assert_eq!(matching(case, "a/+/c", &names), ["a/b/c", "a/c/c"]);
        assert_eq!(matching(case, "+/b/#", &names), ["a/b", "a/b/c", "b/b"]);
    });
}

/// v3.1.1 [MQTT-4.7.1-2], [MQTT-4.7.1-3]; v5 [MQTT-4.7.1-1], [MQTT-4.7.1-2]
#[test]
fn a_wildcard_that_stands_elsewhere_is_not_accepted() {
    both(|case| {
        for filter in [
            "a/#/b", "a#", "#/b", "a/b#", "a+", "+a/b", "a/+b", "##", "++",
        ] {
            let filter = string(case.topic(filter));
            let body = join(&[&[0, 1], case.no_properties(), &filter, &[0]]);
            let mut client = case.client("c");
            client.send_bytes(&packet(0x82, &body));
            client.closed();
        }
    });
}

/// v3.1.1 [MQTT-4.7.2-1]; v5 [MQTT-4.7.2-1]
#[test]
fn wildcards_at_the_beginning_match_no_topic_with_a_dollar_sign() {
    both(|case| {
        let name = format!("$own/{}", case.topic("t"));
        let mut client = case.client("c");
        for filter in ["#", "+/#"] {
            client.subscribe(filter, AtMostOnce);
        }
        client.subscribe(&format!("+/{}", case.topic("t")), AtMostOnce);
        let mut exact = case.client("e");
        exact.subscribe(&name, AtMostOnce);
        let mut below = case.client("b");
        below.subscribe(&format!("$own/{}", case.topic("#")), AtMostOnce);
        case.client("p").publish(&name, "x", AtMostOnce);
        assert_eq!(exact.payloads(), ["x"]);
        assert_eq!(below.payloads(), ["x"]);
        assert!(client.settle().iter().all(|one| one.topic != name));
    });
}

/// v3.1.1 [MQTT-4.7.3-4]; v5 [MQTT-4.7.3-4]
#[test]
fn names_are_compared_character_by_character() {
    both(|case| {
        // The same letter, composed and in two parts.
        let names = [
            "é", "e\u{301}", "É", "a", "A", " a", "a ", "a/", "/a", "//a", "ａ",
        ];
        for name in names {
            assert_eq!(matching(case, name, &names), [name]);
        }
    });
}
