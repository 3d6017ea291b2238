//! Topic names, topic filters and matching, against a slow oracle that is plainly right.

use declic_mqtt::{InvalidTopic, TopicFilter, TopicName};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::invariants::check_topics;
use crate::strategies::{topic_filter, topic_name};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    // v3.1.1 [MQTT-4.7.1-1], v3.1.1 [MQTT-4.7.1-2], v3.1.1 [MQTT-4.7.1-3]
    // v3.1.1 [MQTT-4.7.2-1], v3.1.1 [MQTT-4.7.3-1], v3.1.1 [MQTT-4.7.3-2], v3.1.1 [MQTT-4.7.3-4]
    // v5 [MQTT-4.7.0-1], v5 [MQTT-4.7.1-1], v5 [MQTT-4.7.1-2]
    // v5 [MQTT-4.7.2-1], v5 [MQTT-4.7.3-1], v5 [MQTT-4.7.3-2], v5 [MQTT-4.7.3-4]
    // v5 [MQTT-4.8.2-1], v5 [MQTT-4.8.2-2]
    #[test]
    fn texts_are_names_and_filters_as_the_plain_rules_say(filter in topic(), name in topic()) {
        check_topics(&filter, &name);
    }

    #[test]
    fn filters_match_as_the_plain_rules_say(filter in topic_filter(), name in topic_name()) {
        check_topics(filter.as_str(), name.as_str());
    }
}

// v3.1.1 [MQTT-4.7.3-3], v5 [MQTT-4.7.3-3]
#[test]
fn a_topic_has_at_most_65_535_bytes() {
    let longest = "é".repeat(32_767) + "a";
    assert!(TopicName::new(&longest).is_ok());
    assert!(TopicFilter::new(&longest).is_ok());
    let too_long = "é".repeat(32_768);
    assert_eq!(TopicName::new(&too_long), Err(InvalidTopic::TooLong));
    assert_eq!(TopicFilter::new(&too_long), Err(InvalidTopic::TooLong));
}

// v3.1.1 [MQTT-4.7.3-4], v5 [MQTT-4.7.3-4], v5 [MQTT-1.5.4-3]
#[test]
fn topics_are_not_normalized() {
    for (filter, name) in [
        ("caf\u{e9}", "cafe\u{301}"),
        ("\u{feff}a", "a"),
        ("a", "a/"),
        ("a", "/a"),
        ("a//b", "a/b"),
        ("A", "a"),
        (" a", "a"),
        ("./a", "a"),
    ] {
        check_topics(filter, name);
        let filter = TopicFilter::new(filter).expect("a valid filter");
        let name = TopicName::new(name).expect("a valid name");
        assert!(!filter.matches(name), "{filter} {name}");
    }
}

#[test]
fn sixty_five_thousand_levels_are_matched_in_one_pass() {
    let name = "/".repeat(65_000);
    for filter in [
        name.clone(),
        "+/".repeat(32_000) + "#",
        "/".repeat(65_000) + "+",
        "/".repeat(64_998) + "/#",
        "$share/g/".to_owned() + &"/".repeat(65_000),
    ] {
        let filter = TopicFilter::new(&filter).expect("a valid filter");
        assert!(filter.matches(TopicName::new(&name).expect("a valid name")));
    }
}

/// Few levels of few texts, right and wrong ones.
fn topic() -> impl Strategy<Value = String> {
    let level = select(vec![
        "", "", "a", "a", "b", "+", "#", "a+", "#a", "++", "$share", "$share", "$SYS", "\0", "é",
    ]);
    vec(level, 1..6).prop_map(|levels| levels.join("/"))
}
