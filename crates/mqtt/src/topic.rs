//! Topic names, topic filters and matching (3.1.1 and 5.0, section 4.7).

use core::fmt;

/// Longest topic name or filter in bytes (section 1.5.3 of 3.1.1, 1.5.4 of 5.0).
pub const MAX_TOPIC_LEN: usize = 65_535;

/// A topic name that a message may be published to.
///
/// At least one character, at most [`MAX_TOPIC_LEN`] bytes, no `+`, `#` or U+0000
/// (`[MQTT-3.3.2-2]`, `[MQTT-4.7.3-1]`, `[MQTT-4.7.3-2]`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicName<'a>(&'a str);

impl<'a> TopicName<'a> {
    /// Checks `name` and wraps it.
    ///
    /// # Errors
    /// [`InvalidTopic`] says which rule `name` breaks.
    pub const fn new(name: &'a str) -> Result<Self, InvalidTopic> {
        if let Err(error) = check_length(name) {
            return Err(error);
        }
        let bytes = name.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            match bytes[at] {
                b'+' | b'#' => return Err(InvalidTopic::WildcardInName),
                0 => return Err(InvalidTopic::Nul),
                _ => at += 1,
            }
        }
        Ok(Self(name))
    }

    /// The name as text.
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// Whether the name begins with `$`, which wildcards at a filter's start do not match
    /// (`[MQTT-4.7.2-1]`).
    pub const fn is_dollar(self) -> bool {
        // Never empty.
        self.0.as_bytes()[0] == b'$'
    }
}

impl fmt::Display for TopicName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A topic filter that a client may subscribe with, shared subscriptions included.
///
/// `+` stands for one whole level, `#` for any number of levels at the end (`[MQTT-4.7.1-2]`,
/// `[MQTT-4.7.1-3]`). `$share/<name>/<filter>` is checked as section 4.8.2 of 5.0 asks, in 3.1.1
/// too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicFilter<'a>(&'a str);

impl<'a> TopicFilter<'a> {
    /// Checks `filter` and wraps it.
    ///
    /// # Errors
    /// [`InvalidTopic`] says which rule `filter` breaks.
    pub fn new(filter: &'a str) -> Result<Self, InvalidTopic> {
        check_length(filter)?;
        match filter.strip_prefix(SHARE_PREFIX) {
            None => check_levels(filter)?,
            Some(shared) => {
                let (name, inner) = shared.split_once('/').ok_or(InvalidTopic::Share)?;
                let nested = inner.starts_with(SHARE_PREFIX);
                if name.is_empty() || name.contains(['+', '#', '\0']) || inner.is_empty() || nested
                {
                    return Err(InvalidTopic::Share);
                }
                check_levels(inner)?;
            }
        }
        Ok(Self(filter))
    }

    /// The filter as text, with its `$share/<name>/` where it has one.
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// The share name of a shared subscription, `None` for an ordinary one.
    pub fn share_name(self) -> Option<&'a str> {
        self.shared().map(|(name, _)| name)
    }

    /// The filter that topic names are matched against: `self` without its `$share/<name>/`.
    pub fn without_share(self) -> TopicFilter<'a> {
        self.shared().map_or(self, |(_, inner)| TopicFilter(inner))
    }

    /// Whether the filter contains `+` or `#`.
    pub fn has_wildcard(self) -> bool {
        self.0.contains(['+', '#'])
    }

    /// Whether messages published to `topic` are for this filter (section 4.7).
    pub fn matches(self, topic: TopicName<'_>) -> bool {
        let filter = self.without_share().0;
        if topic.is_dollar() && (filter.starts_with('+') || filter.starts_with('#')) {
            return false;
        }
        let mut levels = topic.0.split('/');
        for wanted in filter.split('/') {
            match (wanted, levels.next()) {
                // `a/#` matches `a` too: the parent level is included.
                ("#", _) => return true,
                ("+", Some(_)) => {}
                (wanted, Some(level)) if wanted == level => {}
                _ => return false,
            }
        }
        levels.next().is_none()
    }

    fn shared(self) -> Option<(&'a str, &'a str)> {
        self.0.strip_prefix(SHARE_PREFIX)?.split_once('/')
    }
}

impl<'a> TryFrom<TopicName<'a>> for TopicFilter<'a> {
    type Error = InvalidTopic;

    /// The filter that matches `name` and nothing else.
    ///
    /// # Errors
    /// [`InvalidTopic::Share`] where `name` begins with `$share/`: messages may be published there,
    /// but a subscription to it would be a shared one.
    fn try_from(name: TopicName<'a>) -> Result<Self, InvalidTopic> {
        if name.0.starts_with(SHARE_PREFIX) {
            return Err(InvalidTopic::Share);
        }
        Ok(Self(name.0))
    }
}

impl fmt::Display for TopicFilter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Why a text is no topic name or no topic filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidTopic {
    /// It has no character (`[MQTT-4.7.3-1]`).
    Empty,
    /// It is longer than [`MAX_TOPIC_LEN`] bytes (`[MQTT-4.7.3-3]`).
    TooLong,
    /// It contains U+0000 (`[MQTT-4.7.3-2]`).
    Nul,
    /// `+` or `#` in a topic name (`[MQTT-3.3.2-2]`).
    WildcardInName,
    /// `#` that is not the last level, or `+` or `#` beside other characters of its level
    /// (`[MQTT-4.7.1-2]`, `[MQTT-4.7.1-3]`).
    WildcardPlace,
    /// `$share` without a valid share name and filter behind it (`[MQTT-4.8.2-1]`,
    /// `[MQTT-4.8.2-2]`).
    Share,
}

impl fmt::Display for InvalidTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a topic has at least one character",
            Self::TooLong => "a topic has at most 65,535 bytes",
            Self::Nul => "a topic has no U+0000",
            Self::WildcardInName => "a topic to publish to has no `+` or `#`",
            Self::WildcardPlace => "`+` stands for one whole level and `#` for the last levels",
            Self::Share => "a shared subscription is `$share/<name>/<filter>`",
        })
    }
}

impl core::error::Error for InvalidTopic {}

const fn check_length(topic: &str) -> Result<(), InvalidTopic> {
    match topic.len() {
        0 => Err(InvalidTopic::Empty),
        len if len > MAX_TOPIC_LEN => Err(InvalidTopic::TooLong),
        _ => Ok(()),
    }
}

fn check_levels(filter: &str) -> Result<(), InvalidTopic> {
    let mut ended = false;
    for level in filter.split('/') {
        if ended {
            return Err(InvalidTopic::WildcardPlace);
        }
        if level.len() > 1 && level.contains(['+', '#']) {
            return Err(InvalidTopic::WildcardPlace);
        }
        if level.contains('\0') {
            return Err(InvalidTopic::Nul);
        }
        ended = level == "#";
    }
    Ok(())
}

const SHARE_PREFIX: &str = "$share/";

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::String;

    use super::*;

    fn name(text: &str) -> TopicName<'_> {
        TopicName::new(text).expect("a valid name")
    }

    fn filter(text: &str) -> TopicFilter<'_> {
        TopicFilter::new(text).expect("a valid filter")
    }

    #[test]
    fn names_follow_the_rules_of_section_4_7() {
        assert_eq!(TopicName::new(""), Err(InvalidTopic::Empty));
        assert_eq!(TopicName::new("a/+"), Err(InvalidTopic::WildcardInName));
        assert_eq!(TopicName::new("a#"), Err(InvalidTopic::WildcardInName));
        assert_eq!(TopicName::new("a\0"), Err(InvalidTopic::Nul));
        let long = String::from_utf8(std::vec![b'a'; 65_536]).unwrap();
        assert_eq!(TopicName::new(&long), Err(InvalidTopic::TooLong));
        assert!(TopicName::new(&long[1..]).is_ok());
        assert!(TopicName::new("/").is_ok());
        assert!(TopicName::new(" ").is_ok());
    }

    #[test]
    fn filters_follow_the_rules_of_section_4_7() {
        for good in [
            "#", "+", "a/#", "a/+/b", "+/+", "/", "/+", "a//b", "$SYS/#", "$share",
        ] {
            assert!(TopicFilter::new(good).is_ok(), "{good}");
        }
        for bad in ["a#", "a/#/b", "#/a", "a+", "a/b+/c", "++", "##"] {
            assert_eq!(
                TopicFilter::new(bad),
                Err(InvalidTopic::WildcardPlace),
                "{bad}"
            );
        }
        assert_eq!(TopicFilter::new(""), Err(InvalidTopic::Empty));
        assert_eq!(TopicFilter::new("a\0"), Err(InvalidTopic::Nul));
    }

    #[test]
    fn malformed_shared_subscriptions_are_refused() {
        for bad in [
            "$share/",
            "$share/g",
            "$share/g/",
            "$share//a",
            "$share/+/a",
            "$share/g#/a",
            "$share/g/$share/h/a",
        ] {
            assert_eq!(TopicFilter::new(bad), Err(InvalidTopic::Share), "{bad}");
        }
        let shared = filter("$share/group/a/+");
        assert_eq!(shared.share_name(), Some("group"));
        assert_eq!(shared.without_share(), filter("a/+"));
        assert!(shared.matches(name("a/b")));
        assert!(filter("$share/g//a").matches(name("/a")));
    }

    #[test]
    fn a_topic_name_becomes_the_filter_that_matches_it_alone() {
        assert_eq!(TopicFilter::try_from(name("a/b")), Ok(filter("a/b")));
        assert_eq!(TopicFilter::try_from(name("$SYS/a")), Ok(filter("$SYS/a")));
        for shared in ["$share/", "$share/g", "$share/g/a", "$share//a"] {
            assert_eq!(
                TopicFilter::try_from(name(shared)),
                Err(InvalidTopic::Share),
                "{shared}"
            );
        }
    }

    #[test]
    fn matching_follows_the_examples_of_section_4_7() {
        for (wanted, topic, expected) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            (
                "sport/tennis/player1/#",
                "sport/tennis/player1/ranking",
                true,
            ),
            (
                "sport/tennis/player1/#",
                "sport/tennis/player1/score/wimbledon",
                true,
            ),
            ("sport/#", "sport", true),
            ("#", "sport/a", true),
            ("sport/tennis/+", "sport/tennis/player1", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/a", false),
            ("+/monitor/Clients", "$SYS/monitor/Clients", false),
            ("$SYS/#", "$SYS/", true),
            ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
            ("ACCOUNTS", "Accounts", false),
            ("a//b", "a//b", true),
            ("a/+/b", "a//b", true),
            ("a/b", "a/b/", false),
        ] {
            assert_eq!(
                filter(wanted).matches(name(topic)),
                expected,
                "{wanted} ~ {topic}"
            );
        }
    }
}
