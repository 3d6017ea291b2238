//! What the durable state looks like as keys and values.
//!
//! The key's first byte says what a record is; numbers in keys are big-endian, so that the order
//! of the keys is theirs. Each session has a number of its own that is never used again.
//!
//! | key | value |
//! |---|---|
//! | `m` number | a message that waits for one session or more |
//! | `r` topic | the topic's retained message |
//! | `s` session | a session: its client identifier, whose it is, its will, how long it lasts |
//! | `s` session `f` filter | a subscription |
//! | `s` session `i` packet identifier | a message on its way to the client |
//! | `s` session `q` number | a message that waits for the client |
//! | `s` session `r` packet identifier | a message of QoS 2 that the client has not released |

use declic_mqtt::packet::SubscriptionId;
use declic_mqtt::{Instant, QoS};

use super::connect::Identity;
use super::lists::Lists;
use super::messages::Message;
use super::session::{Replay, SubscriptionIds};
use super::tree::Subscriber;
use super::wills::Will;

/// The version of these records. A change that an older broker can't read makes it another.
#[cfg(feature = "store")]
pub(crate) const VERSION: u16 = 2;

/// The value of a record of an older version as it looks in this one.
#[cfg(feature = "store")]
pub(crate) fn upgraded(version: u16, key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut upgraded = value.to_vec();
    // Version 1 did not say whose a session is.
    if version == 1
        && let Some(Key::Session(_)) = Key::decode(key)
        && let Some(rest) = behind_client_id(value)
    {
        upgraded.insert(value.len() - rest, Owner::UNKNOWN);
    }
    upgraded
}

/// Bytes of a session's record behind its client identifier.
#[cfg(feature = "store")]
fn behind_client_id(value: &[u8]) -> Option<usize> {
    let mut reader = Reader(value);
    let _ = (reader.u32()?, reader.instant()?, reader.bytes()?);
    Some(reader.0.len())
}

/// What a key says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key<'a> {
    Message(u64),
    Retained(&'a str),
    Session(u64),
    Subscription(u64, &'a str),
    InFlight(u64, u16),
    Queued(u64, u64),
    Received(u64, u16),
}

impl<'a> Key<'a> {
    pub(super) fn encode(self) -> Vec<u8> {
        let mut key = Vec::with_capacity(20);
        match self {
            Self::Message(number) => {
                key.push(b'm');
                key.extend(number.to_be_bytes());
            }
            Self::Retained(topic) => {
                key.push(b'r');
                key.extend_from_slice(topic.as_bytes());
            }
            Self::Session(session)
            | Self::Subscription(session, _)
            | Self::InFlight(session, _)
            | Self::Queued(session, _)
            | Self::Received(session, _) => {
                key.push(b's');
                key.extend(session.to_be_bytes());
            }
        }
        match self {
            Self::Message(_) | Self::Retained(_) | Self::Session(_) => {}
            Self::Subscription(_, filter) => {
                key.push(b'f');
                key.extend_from_slice(filter.as_bytes());
            }
            Self::InFlight(_, id) => {
                key.push(b'i');
                key.extend(id.to_be_bytes());
            }
            Self::Queued(_, number) => {
                key.push(b'q');
                key.extend(number.to_be_bytes());
            }
            Self::Received(_, id) => {
                key.push(b'r');
                key.extend(id.to_be_bytes());
            }
        }
        key
    }

    pub(super) fn decode(key: &'a [u8]) -> Option<Self> {
        let (kind, rest) = key.split_first()?;
        let text = |bytes| std::str::from_utf8(bytes).ok();
        match kind {
            b'm' => Some(Self::Message(u64::from_be_bytes(rest.try_into().ok()?))),
            b'r' => Some(Self::Retained(text(rest)?)),
            b's' => {
                let (session, rest) = rest.split_first_chunk()?;
                let session = u64::from_be_bytes(*session);
                let Some((kind, rest)) = rest.split_first() else {
                    return Some(Self::Session(session));
                };
                let id = || rest.try_into().ok().map(u16::from_be_bytes);
                match kind {
                    b'f' => Some(Self::Subscription(session, text(rest)?)),
                    b'i' => Some(Self::InFlight(session, id()?)),
                    b'q' => {
                        let number = u64::from_be_bytes(rest.try_into().ok()?);
                        Some(Self::Queued(session, number))
                    }
                    b'r' => Some(Self::Received(session, id()?)),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// A session's own record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SessionRecord<'a> {
    pub(super) client_id: &'a str,
    pub(super) owner: Option<Owner<'a>>,
    /// Seconds that it is kept without a connection; 0 for one that ends with the connection, and
    /// is stored for its will only.
    pub(super) expiry: u32,
    /// When its connection ended; `None` while there is one.
    pub(super) lost_at: Option<Instant>,
    pub(super) will: Option<WillRecord<'a>>,
}

/// Whose a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner<'a> {
    Anonymous,
    User(&'a str),
    Trusted,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct WillRecord<'a> {
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) delay: u32,
    pub(super) expiry: Option<u32>,
    pub(super) content: Content<'a>,
}

/// A message's topic, properties and payload. A retained message has its topic in the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Content<'a> {
    pub(super) topic: &'a str,
    pub(super) properties: &'a [u8],
    pub(super) payload: &'a [u8],
}

/// A message that waits, or is on its way.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EntryRecord {
    /// The number of its [`Key::Message`]; 0 when only the release of QoS 2 is missing.
    pub(super) message: u64,
    /// Counts up with the messages that were sent; 0 in a queue.
    pub(super) order: u64,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    /// It comes from a shared subscription.
    pub(super) is_shared: bool,
    pub(super) ids: Vec<SubscriptionId>,
}

impl<'a> SessionRecord<'a> {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut value = Vec::new();
        value.extend(self.expiry.to_be_bytes());
        put_instant(&mut value, self.lost_at);
        put_bytes(&mut value, self.client_id.as_bytes());
        match self.owner {
            None => value.push(Owner::UNKNOWN),
            Some(Owner::Anonymous) => value.push(Owner::ANONYMOUS),
            Some(Owner::Trusted) => value.push(Owner::TRUSTED),
            Some(Owner::User(name)) => {
                value.push(Owner::USER);
                put_bytes(&mut value, name.as_bytes());
            }
        }
        if let Some(will) = &self.will {
            value.push(flags(will.qos, will.retain));
            value.extend(will.delay.to_be_bytes());
            // No lifetime is as long as that.
            let expiry = will.expiry.map_or(u64::MAX, u64::from);
            value.extend(expiry.to_be_bytes());
            put_bytes(&mut value, will.content.topic.as_bytes());
            put_bytes(&mut value, will.content.properties);
            value.extend_from_slice(will.content.payload);
        }
        value
    }

    pub(super) fn decode(value: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(value);
        let (expiry, lost_at) = (reader.u32()?, reader.instant()?);
        let client_id = reader.text()?;
        let owner = match reader.u8()? {
            Owner::UNKNOWN => None,
            Owner::ANONYMOUS => Some(Owner::Anonymous),
            Owner::TRUSTED => Some(Owner::Trusted),
            Owner::USER => Some(Owner::User(reader.text()?)),
            _ => return None,
        };
        let will = if reader.0.is_empty() {
            None
        } else {
            let (qos, retain) = reader.flags()?;
            let (delay, expiry) = (reader.u32()?, reader.u64()?);
            let (topic, properties) = (reader.text()?, reader.bytes()?);
            Some(WillRecord {
                qos,
                retain,
                delay,
                expiry: u32::try_from(expiry).ok(),
                content: Content {
                    topic,
                    properties,
                    payload: reader.0,
                },
            })
        };
        Some(Self {
            client_id,
            owner,
            expiry,
            lost_at,
            will,
        })
    }
}

impl<'a> Owner<'a> {
    const UNKNOWN: u8 = 0;
    const ANONYMOUS: u8 = 1;
    const USER: u8 = 2;
    const TRUSTED: u8 = 3;

    pub(super) fn of(identity: &'a Identity) -> Self {
        match identity {
            Identity::Anonymous => Self::Anonymous,
            Identity::User(name) => Self::User(name),
            Identity::Trusted => Self::Trusted,
        }
    }

    pub(super) fn identity(self) -> Identity {
        match self {
            Self::Anonymous => Identity::Anonymous,
            Self::User(name) => Identity::User(name.into()),
            Self::Trusted => Identity::Trusted,
        }
    }
}

impl<'a> WillRecord<'a> {
    pub(super) fn new(will: &Will, message: &'a Message) -> Self {
        Self {
            qos: will.qos,
            retain: will.retain,
            delay: will.delay,
            expiry: will.expiry,
            content: Content::of(message),
        }
    }
}

impl<'a> Content<'a> {
    pub(super) fn of(message: &'a Message) -> Self {
        Self {
            topic: message.topic(),
            properties: message.properties(),
            payload: message.payload(),
        }
    }
}

/// The value of a [`Key::Message`].
pub(super) fn encode_message(message: &Message) -> Vec<u8> {
    let mut value = Vec::with_capacity(message.bytes().len() + 16);
    put_instant(&mut value, message.expires());
    put_bytes(&mut value, message.topic().as_bytes());
    put_bytes(&mut value, message.properties());
    value.extend_from_slice(message.payload());
    value
}

pub(super) fn decode_message(value: &[u8]) -> Option<(Option<Instant>, Content<'_>)> {
    let mut reader = Reader(value);
    let expires = reader.instant()?;
    let content = Content {
        topic: reader.text()?,
        properties: reader.bytes()?,
        payload: reader.0,
    };
    Some((expires, content))
}

/// The value of a [`Key::Retained`].
pub(super) fn encode_retained(message: &Message, qos: QoS, number: u64) -> Vec<u8> {
    let mut value = Vec::with_capacity(message.payload().len() + 24);
    value.push(flags(qos, true));
    value.extend(number.to_be_bytes());
    put_instant(&mut value, message.expires());
    put_bytes(&mut value, message.properties());
    value.extend_from_slice(message.payload());
    value
}

/// A retained message from its record.
pub(super) struct RetainedRecord<'a> {
    pub(super) qos: QoS,
    /// Counts up with the messages that were retained.
    pub(super) number: u64,
    pub(super) expires: Option<Instant>,
    pub(super) content: Content<'a>,
}

pub(super) fn decode_retained<'a>(topic: &'a str, value: &'a [u8]) -> Option<RetainedRecord<'a>> {
    let mut reader = Reader(value);
    let (qos, _) = reader.flags()?;
    let (number, expires) = (reader.u64()?, reader.instant()?);
    let content = Content {
        topic,
        properties: reader.bytes()?,
        payload: reader.0,
    };
    Some(RetainedRecord {
        qos,
        number,
        expires,
        content,
    })
}

/// The value of a [`Key::Subscription`], with how far the sending of its retained messages came,
/// if that is not over.
pub(super) fn encode_subscription(subscriber: &Subscriber, replay: Option<&Replay>) -> Vec<u8> {
    let mut value = vec![subscriber.options()];
    let id = subscriber.id.map_or(0, SubscriptionId::get);
    value.extend(id.to_be_bytes());
    if let Some(replay) = replay {
        value.extend(replay.until.to_be_bytes());
        let after = replay.after.as_deref().unwrap_or_default();
        value.extend_from_slice(after.as_bytes());
    }
    value
}

/// A subscription from its record.
pub(super) struct SubscriptionRecord<'a> {
    pub(super) subscriber: Subscriber,
    /// The number of the newest retained message that is still to be sent, and the topic behind
    /// which to look for the first, perhaps empty.
    pub(super) replay: Option<(u64, &'a str)>,
}

pub(super) fn decode_subscription(session: u32, value: &[u8]) -> Option<SubscriptionRecord<'_>> {
    let mut reader = Reader(value);
    let options = reader.u8()?;
    let id = SubscriptionId::new(reader.u32()?);
    let replay = if reader.0.is_empty() {
        None
    } else {
        let until = reader.u64()?;
        Some((until, std::str::from_utf8(reader.0).ok()?))
    };
    Some(SubscriptionRecord {
        subscriber: Subscriber::restored(session, options, id),
        replay,
    })
}

impl EntryRecord {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(17 + 4 * self.ids.len());
        value.push(flags(self.qos, self.retain) | u8::from(self.is_shared) << 3);
        value.extend(self.message.to_be_bytes());
        value.extend(self.order.to_be_bytes());
        for id in &self.ids {
            value.extend(id.get().to_be_bytes());
        }
        value
    }

    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let is_shared = value.first()? & 1 << 3 != 0;
        let mut reader = Reader(value);
        let (qos, retain) = reader.flags()?;
        let (message, order) = (reader.u64()?, reader.u64()?);
        let mut ids = Vec::new();
        while !reader.0.is_empty() {
            ids.push(SubscriptionId::new(reader.u32()?)?);
        }
        Some(Self {
            message,
            order,
            qos,
            retain,
            is_shared,
            ids,
        })
    }
}

impl EntryRecord {
    /// Takes the identifiers out, as they are held.
    pub(super) fn ids(&mut self, lists: &mut Lists) -> SubscriptionIds {
        let ids = lists.add(std::mem::take(&mut self.ids));
        if self.is_shared { ids.shared() } else { ids }
    }
}

fn flags(qos: QoS, retain: bool) -> u8 {
    qos as u8 | u8::from(retain) << 2
}

/// Microseconds; all ones for none.
fn put_instant(value: &mut Vec<u8>, at: Option<Instant>) {
    let micros = at.map_or(u64::MAX, Instant::as_micros);
    value.extend(micros.to_be_bytes());
}

fn put_bytes(value: &mut Vec<u8>, bytes: &[u8]) {
    value.extend((bytes.len() as u32).to_be_bytes());
    value.extend_from_slice(bytes);
}

/// Reads a value from its beginning.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn u8(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (chunk, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*chunk)
    }

    fn u32(&mut self) -> Option<u32> {
        self.chunk().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.chunk().map(u64::from_be_bytes)
    }

    fn flags(&mut self) -> Option<(QoS, bool)> {
        let flags = self.u8()?;
        Some((QoS::from_u8(flags & 0b11)?, flags & 0b100 != 0))
    }

    fn instant(&mut self) -> Option<Option<Instant>> {
        let micros = self.u64()?;
        Some((micros != u64::MAX).then(|| Instant::from_micros(micros)))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()? as usize;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_as_they_were_and_stand_in_order() {
        let keys = [
            Key::Message(1),
            Key::Message(256),
            Key::Retained("a"),
            Key::Retained("a/b"),
            Key::Session(1),
            Key::Subscription(1, "a/+"),
            Key::InFlight(1, 7),
            Key::Queued(1, 3),
            Key::Queued(1, 300),
            Key::Received(1, 9),
            Key::Session(2),
        ];
        let encoded: Vec<_> = keys.into_iter().map(Key::encode).collect();
        assert!(encoded.is_sorted());
        for (key, bytes) in keys.into_iter().zip(&encoded) {
            assert_eq!(Key::decode(bytes), Some(key));
        }
        for wrong in [&b""[..], b"x", b"m123", b"s123", b"r\xff", b"s12345678x"] {
            assert_eq!(Key::decode(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_record_that_is_cut_short_is_none() {
        let record = SessionRecord {
            client_id: "client",
            owner: Some(Owner::User("ann")),
            expiry: 60,
            lost_at: Some(Instant::from_micros(5)),
            will: Some(WillRecord {
                qos: QoS::AtLeastOnce,
                retain: true,
                delay: 3,
                expiry: None,
                content: Content {
                    topic: "t",
                    properties: b"pp",
                    payload: b"",
                },
            }),
        };
        let value = record.encode();
        assert_eq!(SessionRecord::decode(&value).as_ref(), Some(&record));
        let without_will = 4 + 8 + (4 + 6) + 1 + (4 + 3);
        for cut in (0..value.len()).filter(|cut| *cut != without_will) {
            assert_eq!(SessionRecord::decode(&value[..cut]), None, "{cut}");
        }
        let entry = EntryRecord {
            message: 1,
            order: 2,
            qos: QoS::ExactlyOnce,
            retain: false,
            is_shared: true,
            ids: SubscriptionId::new(5).into_iter().collect(),
        };
        let value = entry.encode();
        assert_eq!(EntryRecord::decode(&value).as_ref(), Some(&entry));
        assert_eq!(EntryRecord::decode(&value[..16]), None);
        assert_eq!(EntryRecord::decode(&value[..20]), None);
    }
}
