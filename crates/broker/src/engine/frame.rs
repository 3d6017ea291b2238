//! The bytes of a publish, as one client gets it.

use declic_mqtt::packet::{MAX_VARINT, PacketKind, SubscriptionId};
use declic_mqtt::{Instant, PacketId, ProtocolVersion, QoS};

use super::aliases::Naming;
use super::messages::Message;
use super::session::SubscriptionIds;

/// How a publish is framed for one client.
pub(super) struct Frame {
    first: u8,
    v5: bool,
    packet_id: Option<PacketId>,
    pub(super) naming: Naming,
}

/// What became of a publish that was to be written.
pub(super) enum Written {
    /// It is written.
    Whole(usize),
    /// It doesn't fit; this is what comes before its properties and payload.
    Head(Vec<u8>),
    /// The client accepts no packet as large.
    TooLarge,
}

impl Frame {
    pub(super) fn new(
        version: &ProtocolVersion,
        qos: QoS,
        retain: bool,
        dup: bool,
        packet_id: Option<PacketId>,
    ) -> Self {
        let flags = u8::from(dup) << 3 | (qos as u8) << 1 | u8::from(retain);
        Self {
            first: (PacketKind::Publish as u8) << 4 | flags,
            v5: *version == ProtocolVersion::V5,
            packet_id,
            naming: Naming::Name,
        }
    }

    /// Whether the client knows a new alias once it has what was written.
    pub(super) fn is_new_alias(&self, written: &Written) -> bool {
        matches!(self.naming, Naming::New(_)) && !matches!(written, Written::TooLarge)
    }

    pub(super) fn write(
        &self,
        message: &Message,
        ids: (SubscriptionIds, &[SubscriptionId]),
        packet_size: u32,
        buffer: &mut [u8],
        now: Instant,
    ) -> Written {
        let expiry = message.expiry(now);
        let single = ids.0.single();
        let ids = single.as_ref().map_or(ids.1, std::slice::from_ref);
        let id_len = if self.packet_id.is_some() { 2 } else { 0 };
        let (topic, alias) = match self.naming {
            Naming::Name => (message.encoded_topic(), None),
            Naming::New(alias) => (message.encoded_topic(), Some(alias)),
            Naming::Alias(alias) => (&[0, 0][..], Some(alias)),
        };
        let (own, properties, properties_len) = if self.v5 {
            let ids_len: usize = ids.iter().map(|id| 1 + varint_len(id.get())).sum();
            let own = ids_len
                + if expiry.is_some() { 5 } else { 0 }
                + if alias.is_some() { 3 } else { 0 };
            let all = own + message.properties().len();
            (own + varint_len(all as u32), message.properties(), all)
        } else {
            (0, &[][..], 0)
        };
        let payload = message.payload();
        let remaining = topic.len() + id_len + own + properties.len() + payload.len();
        let head_len = 1 + varint_len(remaining as u32) + topic.len() + id_len + own;
        let total = head_len + properties.len() + payload.len();
        if total > packet_size as usize || remaining > MAX_VARINT as usize {
            return Written::TooLarge;
        }
        let whole = total <= buffer.len();
        let mut head = if whole { Vec::new() } else { vec![0; head_len] };
        let mut cursor = Cursor {
            buffer: if whole { buffer } else { &mut head },
            at: 0,
        };
        cursor.put(&[self.first]);
        cursor.varint(remaining as u32);
        cursor.put(topic);
        if let Some(id) = self.packet_id {
            cursor.put(&id.get().to_be_bytes());
        }
        if self.v5 {
            cursor.varint(properties_len as u32);
            if let Some(expiry) = expiry {
                cursor.put(&[MESSAGE_EXPIRY_INTERVAL]);
                cursor.put(&expiry.to_be_bytes());
            }
            if let Some(alias) = alias {
                cursor.put(&[TOPIC_ALIAS]);
                cursor.put(&alias.get().to_be_bytes());
            }
            for id in ids {
                cursor.put(&[SUBSCRIPTION_IDENTIFIER]);
                cursor.varint(id.get());
            }
        }
        if whole {
            cursor.put(properties);
            cursor.put(payload);
            return Written::Whole(cursor.at);
        }
        Written::Head(head)
    }
}

/// Writes into a buffer that is known to be large enough.
struct Cursor<'a> {
    buffer: &'a mut [u8],
    at: usize,
}

impl Cursor<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.buffer[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.put(&[value as u8 | 0x80]);
            value >>= 7;
        }
        self.put(&[value as u8]);
    }
}

const fn varint_len(value: u32) -> usize {
    match value {
        0..=0x7f => 1,
        0x80..=0x3fff => 2,
        0x4000..=0x1f_ffff => 3,
        _ => 4,
    }
}

const MESSAGE_EXPIRY_INTERVAL: u8 = 0x02;
const SUBSCRIPTION_IDENTIFIER: u8 = 0x0b;
const TOPIC_ALIAS: u8 = 0x23;
