//! Numbers that stand for topics in what is sent to a client (section 3.3.2.3.4 of 5.0).

use std::num::NonZeroU16;

/// The topic aliases that a client of 5.0 was told.
///
/// A topic has one place only, by its hash, and gives it up when it was not seen the last few times
/// that another one wanted it. So looking costs the same however many there are, and topics that
/// come once don't drive out those that come often.
#[derive(Debug)]
pub(super) struct SentAliases(Box<[Place]>);

#[derive(Debug, Default, Clone)]
struct Place {
    topic: Box<[u8]>,
    /// Times that another topic wanted the place since this one was sent.
    wanted: u8,
}

/// How a topic is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Naming {
    /// By its name.
    Name,
    /// By its name, which from now on has this alias.
    New(NonZeroU16),
    /// By its alias alone.
    Alias(NonZeroU16),
}

impl SentAliases {
    /// `None` where there are to be none.
    pub(super) fn new(maximum: u16) -> Option<Box<Self>> {
        let places = vec![Place::default(); usize::from(maximum)];
        (maximum > 0).then(|| Box::new(Self(places.into_boxed_slice())))
    }

    /// How to write a topic with this hash.
    pub(super) fn naming(&mut self, topic: &[u8], hash: u64) -> Naming {
        let (place, alias) = self.place(hash);
        if *place.topic == *topic {
            place.wanted = 0;
            return Naming::Alias(alias);
        }
        place.wanted = place.wanted.saturating_add(1);
        let is_free = place.topic.is_empty() || place.wanted >= PATIENCE;
        if is_free && topic.len() > SHORT {
            Naming::New(alias)
        } else {
            Naming::Name
        }
    }

    /// The client has been sent the topic with its new alias. Returns the bytes of the one that had
    /// it before.
    pub(super) fn told(&mut self, topic: &[u8], hash: u64) -> usize {
        let (place, _) = self.place(hash);
        let before = std::mem::replace(&mut place.topic, topic.into());
        place.wanted = 0;
        before.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(|place| place.topic.len()).sum()
    }

    fn place(&mut self, hash: u64) -> (&mut Place, NonZeroU16) {
        let at = (hash % self.0.len() as u64) as usize;
        // There are no more than 65,535 places.
        (&mut self.0[at], NonZeroU16::MIN.saturating_add(at as u16))
    }
}

/// Naming an alias takes three bytes, so topics of as many gain nothing.
const SHORT: usize = 3;
const PATIENCE: u8 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_has_an_alias_from_the_second_time_on() {
        let mut aliases = SentAliases::new(2).expect("two aliases");
        let two = NonZeroU16::new(2).expect("not 0");
        assert_eq!(aliases.naming(b"topic", 5), Naming::New(two));
        // Not told: the packet was not sent.
        assert_eq!(aliases.naming(b"topic", 5), Naming::New(two));
        assert_eq!(aliases.told(b"topic", 5), 0);
        assert_eq!(aliases.naming(b"topic", 5), Naming::Alias(two));
        assert_eq!((aliases.bytes(), aliases.told(b"other", 7)), (5, 5));
        assert_eq!(aliases.naming(b"abc", 4), Naming::Name);
        assert!(SentAliases::new(0).is_none());
    }

    #[test]
    fn topics_that_come_once_do_not_drive_out_one_that_comes_often() {
        let mut aliases = SentAliases::new(1).expect("one alias");
        aliases.told(b"often", 0);
        for _ in 0..100 {
            assert_eq!(aliases.naming(b"once", 0), Naming::Name);
            assert_eq!(aliases.naming(b"often", 0), Naming::Alias(NonZeroU16::MIN));
        }
        // But it has to come.
        let named = (0..100).take_while(|_| aliases.naming(b"other", 0) == Naming::Name);
        assert_eq!(named.count(), usize::from(PATIENCE) - 1);
    }
}
