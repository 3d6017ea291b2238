//! Messages: each held once, however many sessions it waits for.

use std::num::NonZeroU32;

use declic_mqtt::Instant;

/// One reference to a message. It is given back with [`Messages::release`], never just dropped.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(super) struct MessageRef(NonZeroU32);

impl MessageRef {
    fn index(&self) -> usize {
        self.0.get() as usize - 1
    }

    /// A number that is the message's own as long as it is held.
    pub(super) fn slot(&self) -> u32 {
        self.0.get()
    }
}

/// A message as it goes out: `topic`, `properties` and `payload` in one buffer.
#[derive(Debug, Default)]
pub(super) struct Message {
    references: u32,
    /// Of the topic with its two bytes of length.
    topic_len: u32,
    properties_len: u32,
    expires: Option<Instant>,
    bytes: Vec<u8>,
}

impl Message {
    /// The topic name with its two bytes of length.
    pub(super) fn encoded_topic(&self) -> &[u8] {
        &self.bytes[..self.topic_len as usize]
    }

    pub(super) fn topic(&self) -> &str {
        // It was a `str` when it was put in.
        std::str::from_utf8(self.topic_bytes()).unwrap_or_default()
    }

    pub(super) fn topic_bytes(&self) -> &[u8] {
        &self.bytes[2..self.topic_len as usize]
    }

    /// Properties that are passed on, without their length and without the message's expiry.
    pub(super) fn properties(&self) -> &[u8] {
        let start = self.topic_len as usize;
        &self.bytes[start..start + self.properties_len as usize]
    }

    pub(super) fn payload(&self) -> &[u8] {
        &self.bytes[self.topic_len as usize + self.properties_len as usize..]
    }

    /// Topic, properties and payload, one behind the other.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Seconds that are left of the message's lifetime, begun ones counted; 0 when it is over.
    pub(super) fn expiry(&self, now: Instant) -> Option<u32> {
        self.expires.map(|expires| {
            let seconds = expires.since(now).as_micros().div_ceil(1_000_000);
            u32::try_from(seconds).unwrap_or(u32::MAX)
        })
    }

    pub(super) const fn expires(&self) -> Option<Instant> {
        self.expires
    }

    pub(super) fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// All messages, by slots that are used again together with their buffers, so that passing a
/// message on allocates nothing.
#[derive(Debug, Default)]
pub(super) struct Messages {
    slots: Vec<Message>,
    free: Vec<u32>,
    /// Free slots that kept their buffer.
    kept: usize,
    bytes: usize,
}

impl Messages {
    /// Takes in a message, with one reference to it. `properties` are parts of encoded
    /// properties.
    pub(super) fn insert<'a>(
        &mut self,
        topic: &str,
        properties: impl IntoIterator<Item = &'a [u8]>,
        payload: &[u8],
        expires: Option<Instant>,
    ) -> MessageRef {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Message::default());
            self.slots.len() as u32 - 1
        });
        let message = &mut self.slots[index as usize];
        if message.bytes.capacity() > 0 {
            self.kept -= 1;
        }
        message.references = 1;
        message.expires = expires;
        message.bytes.reserve_exact(2 + topic.len() + payload.len());
        message
            .bytes
            .extend_from_slice(&(topic.len() as u16).to_be_bytes());
        message.bytes.extend_from_slice(topic.as_bytes());
        message.topic_len = message.bytes.len() as u32;
        for part in properties {
            message.bytes.extend_from_slice(part);
        }
        message.properties_len = message.bytes.len() as u32 - message.topic_len;
        message.bytes.extend_from_slice(payload);
        self.bytes += message.bytes.len();
        MessageRef(NonZeroU32::MIN.saturating_add(index))
    }

    /// One more reference to the same message.
    pub(super) fn share(&mut self, message: &MessageRef) -> MessageRef {
        self.slots[message.index()].references += 1;
        MessageRef(message.0)
    }

    /// Gives a reference back; the message goes with its last one.
    pub(super) fn release(&mut self, reference: MessageRef) {
        let message = &mut self.slots[reference.index()];
        message.references -= 1;
        if message.references > 0 {
            return;
        }
        self.bytes -= message.bytes.len();
        if self.kept < KEPT_BUFFERS && message.bytes.capacity() <= KEPT_CAPACITY {
            message.bytes.clear();
            if message.bytes.capacity() > 0 {
                self.kept += 1;
            }
        } else {
            message.bytes = Vec::new();
        }
        self.free.push(reference.index() as u32);
        if self.is_empty() && self.slots.len() > KEPT_BUFFERS {
            // A flood is over.
            *self = Self::default();
        }
    }

    pub(super) fn get(&self, message: &MessageRef) -> &Message {
        &self.slots[message.index()]
    }

    /// The message in `slot` (see [`MessageRef::slot`]), if there is one.
    pub(super) fn in_slot(&self, slot: u32) -> Option<&Message> {
        self.slots
            .get((slot as usize).checked_sub(1)?)
            .filter(|message| message.references > 0)
    }

    pub(super) fn set_expires(&mut self, message: &MessageRef, expires: Option<Instant>) {
        self.slots[message.index()].expires = expires;
    }

    /// The references are these.
    #[cfg(test)]
    pub(super) fn check(&self, references: &std::collections::BTreeMap<u32, u32>) {
        let mut bytes = 0;
        for (slot, message) in (1..).zip(&self.slots) {
            let expected = references.get(&slot).copied().unwrap_or(0);
            assert_eq!(message.references, expected, "{:?}", message.topic());
            bytes += message.bytes.len();
        }
        assert_eq!(self.bytes, bytes);
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all messages.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Memory that all messages take, roughly: many small ones take more than their bytes.
    pub(super) fn memory(&self) -> usize {
        self.bytes + self.len() * MESSAGE_OVERHEAD
    }
}

/// Memory of a message besides its bytes: its slot, that slot's number when it is free, and what
/// the allocator adds.
pub(super) const MESSAGE_OVERHEAD: usize = size_of::<Message>() + size_of::<u32>() + 16;
/// Buffers that free slots keep for the next messages.
const KEPT_BUFFERS: usize = 4_096;
const KEPT_CAPACITY: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_goes_with_its_last_reference() {
        let mut messages = Messages::default();
        let first = messages.insert("a/b", [&b"pp"[..]], b"payload", None);
        let second = messages.share(&first);
        messages.release(first);
        let message = messages.get(&second);
        assert_eq!(message.topic(), "a/b");
        assert_eq!(message.encoded_topic(), b"\0\x03a/b");
        assert_eq!(message.properties(), b"pp");
        assert_eq!(message.payload(), b"payload");
        assert_eq!((messages.len(), messages.bytes()), (1, 14));
        messages.release(second);
        assert_eq!((messages.len(), messages.bytes()), (0, 0));
    }

    #[test]
    fn a_flood_leaves_no_memory_behind() {
        let mut messages = Messages::default();
        let held: Vec<_> = (0..20_000)
            .map(|_| messages.insert("topic", [], &[0; 100], None))
            .collect();
        for message in held {
            messages.release(message);
        }
        assert!(messages.slots.capacity() <= KEPT_BUFFERS);
    }

    #[test]
    fn the_lifetime_counts_begun_seconds() {
        let mut messages = Messages::default();
        let at = Instant::from_millis;
        let message = messages.insert("t", [], b"", Some(at(10_000)));
        let expiry = |now| messages.get(&message).expiry(at(now));
        assert_eq!(expiry(0), Some(10));
        assert_eq!(expiry(300), Some(10));
        assert_eq!(expiry(1_000), Some(9));
        assert_eq!(expiry(9_999), Some(1));
        assert_eq!(expiry(10_000), Some(0));
        assert!(messages.get(&message).is_expired(at(10_000)));
        let _ = message;
    }
}
