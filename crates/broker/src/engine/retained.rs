//! Retained messages: the last one of each topic, for those who subscribe later.

use std::collections::BTreeMap;
use std::ops::Bound;

use declic_mqtt::{QoS, TopicFilter, TopicName};

use super::messages::MessageRef;
use super::timers::TimerId;

/// The retained message of one topic.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) message: MessageRef,
    pub(super) qos: QoS,
    pub(super) timer: Option<TimerId>,
}

#[derive(Debug, Default)]
pub(super) struct Retained {
    /// In the order of topics, so that a subscriber can be served in parts; each with its number.
    topics: BTreeMap<Box<str>, (u64, Kept)>,
    /// The number of the newest message; they count up.
    newest: u64,
    /// How many of them are the broker's own.
    own: usize,
    pub(super) bytes: usize,
}

impl Retained {
    pub(super) fn insert(&mut self, topic: &str, kept: Kept) {
        self.restore(topic, self.newest + 1, kept);
    }

    /// A message that was stored with its number.
    pub(super) fn restore(&mut self, topic: &str, number: u64, kept: Kept) {
        self.seen(number);
        let old = self.topics.insert(topic.into(), (number, kept));
        self.own += usize::from(is_own(topic) && old.is_none());
    }

    /// There was a message with this number.
    pub(super) fn seen(&mut self, number: u64) {
        self.newest = self.newest.max(number);
    }

    /// The number of a topic's message, and the message.
    pub(super) fn numbered(&self, topic: &str) -> Option<(u64, &Kept)> {
        self.topics.get(topic).map(|(number, kept)| (*number, kept))
    }

    pub(super) fn remove(&mut self, topic: &str) -> Option<Kept> {
        let (_, kept) = self.topics.remove(topic)?;
        self.own -= usize::from(is_own(topic));
        Some(kept)
    }

    pub(super) fn get(&self, topic: &str) -> Option<&Kept> {
        self.topics.get(topic).map(|(_, kept)| kept)
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &Kept> {
        self.topics.values().map(|(_, kept)| kept)
    }

    #[cfg(test)]
    pub(super) fn iter_with_topics(&self) -> impl Iterator<Item = (&str, &Kept)> {
        self.topics
            .iter()
            .map(|(topic, (_, kept))| (&**topic, kept))
    }

    pub(super) fn len(&self) -> usize {
        self.topics.len()
    }

    /// How many of them are clients'.
    pub(super) fn of_clients(&self) -> usize {
        self.topics.len() - self.own
    }

    /// The number of the newest message, for [`Self::next`].
    pub(super) const fn newest(&self) -> u64 {
        self.newest
    }

    /// The first message behind the topic `after` that `filter` matches, looking at no more than
    /// `budget` topics; it is counted down. Messages newer than `until` are passed over: whoever
    /// subscribed then has had them when they came.
    pub(super) fn next(
        &self,
        filter: TopicFilter<'_>,
        after: Option<&str>,
        until: u64,
        budget: &mut usize,
    ) -> Next<'_> {
        let prefix = literal_prefix(filter);
        let from = match after {
            Some(after) => Bound::Excluded(after),
            None => Bound::Included(prefix),
        };
        let mut last = None;
        for (topic, (number, kept)) in self.topics.range::<str, _>((from, Bound::Unbounded)) {
            if !topic.starts_with(prefix) {
                break;
            }
            if *budget == 0 {
                return last.map_or(Next::Later(None), Next::Later);
            }
            *budget -= 1;
            let is_match = || TopicName::new(topic).is_ok_and(|topic| filter.matches(topic));
            if *number <= until && is_match() {
                return Next::Found(topic, kept);
            }
            last = Some(Some(&**topic));
        }
        Next::End
    }
}

/// What [`Retained::next`] found.
#[derive(Debug)]
pub(super) enum Next<'a> {
    /// A message and its topic.
    Found(&'a str, &'a Kept),
    /// Nothing so far; go on behind this topic.
    Later(Option<&'a str>),
    /// There is no more.
    End,
}

/// Whether the broker itself keeps the topic's message. Only clients' messages are limited in number,
/// and only they are stored.
pub(super) fn is_own(topic: &str) -> bool {
    topic.starts_with("$SYS/")
}

/// The levels before the first wildcard, without the `/` behind them.
fn literal_prefix(filter: TopicFilter<'_>) -> &str {
    let text = filter.without_share().as_str();
    text.find(['+', '#']).map_or(text, |at| {
        text[..at].strip_suffix('/').unwrap_or(&text[..at])
    })
}

#[cfg(test)]
mod tests {
    use super::super::messages::Messages;
    use super::*;

    fn found(retained: &Retained, filter: &str, step: usize) -> Vec<String> {
        let filter = TopicFilter::new(filter).expect("a valid filter");
        let (mut found, mut after) = (Vec::new(), None::<String>);
        loop {
            let mut budget = step;
            match retained.next(filter, after.as_deref(), u64::MAX, &mut budget) {
                Next::Found(topic, _) => {
                    found.push(topic.to_owned());
                    after = Some(topic.to_owned());
                }
                Next::Later(topic) => after = topic.map(str::to_owned).or(after),
                Next::End => return found,
            }
        }
    }

    #[test]
    fn all_that_match_are_found_in_parts_of_any_size() {
        let (mut retained, mut messages) = (Retained::default(), Messages::default());
        for topic in ["a", "a!", "a/b", "a/b/c", "ab", "$SYS/x", "/", "", "b/a"] {
            if topic.is_empty() {
                continue;
            }
            let message = messages.insert(topic, [], b"", None);
            let kept = Kept {
                message,
                qos: QoS::AtMostOnce,
                timer: None,
            };
            retained.insert(topic, kept);
        }
        for step in [1, 2, 100] {
            assert_eq!(found(&retained, "a/#", step), ["a", "a/b", "a/b/c"]);
            assert_eq!(found(&retained, "a", step), ["a"]);
            assert_eq!(found(&retained, "+/+", step), ["/", "a/b", "b/a"]);
            assert_eq!(found(&retained, "#", step).len(), 7);
            assert_eq!(found(&retained, "$SYS/#", step), ["$SYS/x"]);
            assert_eq!(found(&retained, "c/+", step), Vec::<String>::new());
        }
    }
}
