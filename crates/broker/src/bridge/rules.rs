//! Which topics go over a bridge, which way, and what they are called on the other side.

use std::fmt;

use declic_mqtt::{QoS, TopicFilter, TopicName};

/// Topics that go over a bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Topics, as a filter without its prefix.
    pub topics: String,
    /// Which way they go.
    pub direction: Direction,
    /// The highest QoS; a message keeps its own below.
    pub qos: QoS,
    /// What stands before the topics at this broker.
    pub local_prefix: String,
    /// What stands before the topics at the other broker.
    pub remote_prefix: String,
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            topics: "#".to_owned(),
            direction: Direction::default(),
            qos: QoS::AtLeastOnce,
            local_prefix: String::new(),
            remote_prefix: String::new(),
        }
    }
}

/// Which way messages go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// From this broker to the other one.
    Out,
    /// From the other broker to this one.
    In,
    /// Both ways.
    #[default]
    Both,
}

impl Direction {
    pub(super) const fn is_in(self) -> bool {
        matches!(self, Self::In | Self::Both)
    }

    pub(super) const fn is_out(self) -> bool {
        matches!(self, Self::Out | Self::Both)
    }
}

impl Rule {
    pub(super) fn local_filter(&self) -> String {
        format!("{}{}", self.local_prefix, self.topics)
    }

    pub(super) fn remote_filter(&self) -> String {
        format!("{}{}", self.remote_prefix, self.topics)
    }
}

/// The rules of one direction, ready to be used: none of them overlap.
#[derive(Debug, Clone, Default)]
pub(super) struct Mapping(Vec<Mapped>);

#[derive(Debug, Clone)]
struct Mapped {
    filter: String,
    from: String,
    to: String,
    qos: QoS,
}

impl Mapping {
    pub(super) fn outward(rules: &[Rule]) -> Self {
        let mapped = |rule: &Rule| Mapped {
            filter: rule.local_filter(),
            from: rule.local_prefix.clone(),
            to: rule.remote_prefix.clone(),
            qos: rule.qos,
        };
        let rules = rules.iter().filter(|rule| rule.direction.is_out());
        Self(rules.map(mapped).collect())
    }

    pub(super) fn inward(rules: &[Rule]) -> Self {
        let mapped = |rule: &Rule| Mapped {
            filter: rule.remote_filter(),
            from: rule.remote_prefix.clone(),
            to: rule.local_prefix.clone(),
            qos: rule.qos,
        };
        let rules = rules.iter().filter(|rule| rule.direction.is_in());
        Self(rules.map(mapped).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What to subscribe to.
    pub(super) fn filters(&self) -> impl Iterator<Item = (TopicFilter<'_>, QoS)> {
        let filter = |one| TopicFilter::new(one).ok();
        self.0
            .iter()
            .filter_map(move |one| Some((filter(&one.filter)?, one.qos)))
    }

    /// The topic on the other side, and the highest QoS there; `None` if no rule is about it.
    pub(super) fn map(&self, topic: TopicName<'_>) -> Option<(String, QoS)> {
        let is_match =
            |one: &&Mapped| TopicFilter::new(&one.filter).is_ok_and(|filter| filter.matches(topic));
        let rule = self.0.iter().find(is_match)?;
        // `a/#` matches `a` too, which has not all of the prefix `a/`.
        let rest = topic.as_str().strip_prefix(&*rule.from)?;
        let mapped = format!("{}{rest}", rule.to);
        TopicName::new(&mapped).ok()?;
        Some((mapped, rule.qos))
    }
}

/// Checks rules before they are used, so that no message goes over the bridge twice, or back where
/// it came from. `no_echo` says whether the other broker spares us our own messages (5.0).
pub(super) fn check(rules: &[Rule], no_echo: bool) -> Result<(), InvalidRule> {
    if rules.is_empty() {
        return Err(InvalidRule::None);
    }
    for (number, rule) in rules.iter().enumerate() {
        for filter in [rule.local_filter(), rule.remote_filter()] {
            let wrong = |why: String| InvalidRule::Filter {
                number,
                filter: filter.clone(),
                why,
            };
            let valid = TopicFilter::new(&filter).map_err(|error| wrong(error.to_string()))?;
            if valid.share_name().is_some() {
                return Err(wrong("shared subscriptions can't be bridged".to_owned()));
            }
            if filter.starts_with("$SYS") {
                return Err(wrong("each broker has its own topics there".to_owned()));
            }
        }
        for prefix in [&rule.local_prefix, &rule.remote_prefix] {
            if prefix.contains(['+', '#']) {
                return Err(InvalidRule::Filter {
                    number,
                    filter: prefix.clone(),
                    why: "a prefix has no wildcards".to_owned(),
                });
            }
        }
    }
    let pairs = (0..rules.len()).flat_map(|one| (0..rules.len()).map(move |other| (one, other)));
    for (one, other) in pairs {
        let (first, second) = (&rules[one], &rules[other]);
        let both = |is: fn(Direction) -> bool| is(first.direction) && is(second.direction);
        let twice = one < other
            && (both(Direction::is_out) && overlap(&first.local_filter(), &second.local_filter())
                || both(Direction::is_in)
                    && overlap(&first.remote_filter(), &second.remote_filter()));
        if twice {
            return Err(InvalidRule::Overlap { one, other });
        }
        let back = first.direction.is_out()
            && second.direction.is_in()
            && overlap(&first.remote_filter(), &second.remote_filter());
        if back && !no_echo {
            return Err(InvalidRule::Echo { one, other });
        }
    }
    Ok(())
}

/// Whether there is a topic that both filters match.
fn overlap(one: &str, other: &str) -> bool {
    // A wildcard in front matches no topic that begins with `$`.
    let hidden =
        |filter: &str, other: &str| other.starts_with('$') && filter.starts_with(['+', '#']);
    if hidden(one, other) || hidden(other, one) {
        return false;
    }
    let (mut one, mut other) = (one.split('/'), other.split('/'));
    loop {
        match (one.next(), other.next()) {
            (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
            (Some("+"), Some(_)) | (Some(_), Some("+")) => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

/// What is wrong with the rules of a bridge; they are counted from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvalidRule {
    /// There are none.
    None,
    /// A filter or prefix can't be used.
    Filter {
        /// The rule.
        number: usize,
        /// The text.
        filter: String,
        /// What is wrong.
        why: String,
    },
    /// A message would go over the bridge twice.
    Overlap {
        /// A rule.
        one: usize,
        /// The other one.
        other: usize,
    },
    /// A message would come back: 3.1.1 has no way to leave out one's own.
    Echo {
        /// The rule that sends it.
        one: usize,
        /// The rule that takes it back.
        other: usize,
    },
}

impl fmt::Display for InvalidRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("no topics go over it"),
            Self::Filter {
                number,
                filter,
                why,
            } => write!(f, "topic rule {}: {filter:?}: {why}", number + 1),
            Self::Overlap { one, other } => write!(
                f,
                "topic rules {} and {} overlap: a message would go over it twice",
                one + 1,
                other + 1
            ),
            Self::Echo { one, other } => write!(
                f,
                "what topic rule {} sends, topic rule {} would take back; only MQTT 5.0 can leave \
                 that out",
                one + 1,
                other + 1
            ),
        }
    }
}

impl std::error::Error for InvalidRule {}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(topics: &str, direction: Direction, local: &str, remote: &str) -> Rule {
        Rule {
            topics: topics.to_owned(),
            direction,
            local_prefix: local.to_owned(),
            remote_prefix: remote.to_owned(),
            ..Rule::default()
        }
    }

    fn mapped(mapping: &Mapping, topic: &str) -> Option<String> {
        let topic = TopicName::new(topic).expect("a topic name");
        mapping.map(topic).map(|(topic, _)| topic)
    }

    #[test]
    fn prefixes_are_exchanged_on_the_way() {
        let rules = [rule("sensors/#", Direction::Both, "house/", "site-1/")];
        let (out, inward) = (Mapping::outward(&rules), Mapping::inward(&rules));
        let remote = mapped(&out, "house/sensors/1").expect("a rule is about it");
        assert_eq!(remote, "site-1/sensors/1");
        assert_eq!(mapped(&inward, &remote).as_deref(), Some("house/sensors/1"));
        assert_eq!(mapped(&out, "house/lamps/1"), None);
        assert_eq!(mapped(&out, "site-1/sensors/1"), None);
        // `house/#` matches `house`, which can't have its prefix taken away.
        let rules = [rule("#", Direction::Out, "house/", "x/")];
        assert_eq!(mapped(&Mapping::outward(&rules), "house"), None);
    }

    #[test]
    fn filters_overlap_when_a_topic_matches_both() {
        let levels = ["a", "b", "", "$x"];
        let mut topics: Vec<String> = levels.iter().map(|level| (*level).to_owned()).collect();
        for _ in 0..2 {
            let longer: Vec<_> = topics
                .iter()
                .flat_map(|topic| levels.iter().map(move |level| format!("{topic}/{level}")))
                .collect();
            topics.extend(longer);
        }
        topics.retain(|topic| !topic.is_empty());
        let filters = [
            "#", "+", "a", "b", "a/#", "a/+", "+/a", "+/+", "+/b/#", "a/a/a", "$x/#", "$x", "/+",
            "+/#",
        ];
        for one in filters {
            for other in filters {
                let both = |text: &String| {
                    let topic = TopicName::new(text).expect("a topic name");
                    let matches = |filter| TopicFilter::new(filter).expect("valid").matches(topic);
                    matches(one) && matches(other)
                };
                let expected = topics.iter().any(both);
                assert_eq!(overlap(one, other), expected, "{one} {other}");
            }
        }
    }

    #[test]
    fn what_would_go_over_twice_is_refused() {
        let twice = [
            rule("a/#", Direction::Out, "", ""),
            rule("+/b", Direction::Both, "", ""),
        ];
        let expected = InvalidRule::Overlap { one: 0, other: 1 };
        assert_eq!(check(&twice, true), Err(expected));
        let apart = [
            rule("a/#", Direction::Out, "", ""),
            rule("+/b", Direction::In, "", ""),
        ];
        assert_eq!(check(&apart, true), Ok(()));
    }

    #[test]
    fn without_no_local_what_would_come_back_is_refused() {
        let both = [rule("a/#", Direction::Both, "", "")];
        assert_eq!(check(&both, true), Ok(()));
        let expected = InvalidRule::Echo { one: 0, other: 0 };
        assert_eq!(check(&both, false), Err(expected));
        // It would grow for ever: x, cloud/site/x, cloud/site/cloud/site/x, ...
        let growing = [
            rule("#", Direction::Out, "", "site/"),
            rule("#", Direction::In, "cloud/", ""),
        ];
        let expected = InvalidRule::Echo { one: 0, other: 1 };
        assert_eq!(check(&growing, false), Err(expected));
        let apart = [
            rule("#", Direction::Out, "up/", "up/"),
            rule("#", Direction::In, "down/", "down/"),
        ];
        assert_eq!(check(&apart, false), Ok(()));
    }

    #[test]
    fn what_is_no_filter_is_refused_with_its_number() {
        let wrong = |rule: Rule| {
            check(&[Rule::default(), rule], true)
                .expect_err("wrong")
                .to_string()
        };
        let text = wrong(rule("a#", Direction::Out, "", ""));
        assert!(text.starts_with("topic rule 2: \"a#\": "), "{text}");
        let text = wrong(rule("$share/g/a", Direction::Out, "", ""));
        assert!(text.contains("shared"), "{text}");
        let text = wrong(rule("a", Direction::Out, "x/+/", ""));
        assert!(text.contains("no wildcards"), "{text}");
        let text = wrong(rule("#", Direction::In, "", "$SYS/"));
        assert!(text.contains("its own topics"), "{text}");
        assert!(check(&[], true).is_err());
    }
}
