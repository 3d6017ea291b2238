//! The packets on their way to the server, in order, in the owner's memory.
//!
//! ```text
//!            head          boundary   cursor      released          tail
//!             |               |          |            |               |
//!  [ free ... | sent, waiting | being sent, may go ... | may not go yet | free ]
//! ```
//!
//! Every packet describes its own length in its fixed header, so none is kept beside it. A packet
//! that is no longer needed becomes a gap: its first byte, which holds the kind, is set to 0. Gaps
//! at the head are given back at once, others when space is short. Behind the boundary there are
//! none.

use crate::packet::{
    FixedHeader, MAX_VARINT, PUBLISH_DUP, PacketId, PacketKind, ProtocolVersion, QoS, read_varint,
    varint_len,
};

pub(super) struct Outbox<'b> {
    buffer: &'b mut [u8],
    /// Where the oldest packet begins.
    head: usize,
    /// Where the first packet begins that has not been sent whole.
    boundary: usize,
    /// Where the first byte is that has not been sent.
    cursor: usize,
    /// Up to here packets may be sent.
    released: usize,
    /// Where the last packet ends.
    tail: usize,
    /// How many packets lie between head and tail, gaps included.
    packets: usize,
    /// The last packet is a PUBLISH whose payload its owner sends.
    stream: Option<Stream>,
    /// In which version the packets are encoded.
    version: ProtocolVersion,
}

#[derive(Clone, Copy)]
struct Stream {
    /// Where the packet begins in the buffer.
    at: usize,
    /// Payload bytes that have not been sent.
    missing: usize,
}

/// A packet in the outbox, as far as its own bytes tell.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    at: usize,
    /// Bytes in the outbox.
    len: usize,
    /// Bytes on the wire.
    pub(super) packet_len: usize,
    /// `None` for a gap.
    kind: Option<PacketKind>,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    /// `None` for a PUBLISH of QoS 0, and for a gap.
    pub(super) packet_id: Option<PacketId>,
}

impl Entry {
    /// Whether it stays when it is sent, until it is acknowledged.
    fn is_kept(&self) -> bool {
        self.kind == Some(PacketKind::Publish) && self.packet_id.is_some()
    }
}

impl<'b> Outbox<'b> {
    pub(super) const fn new(buffer: &'b mut [u8]) -> Self {
        Self {
            buffer,
            head: 0,
            boundary: 0,
            cursor: 0,
            released: 0,
            tail: 0,
            packets: 0,
            stream: None,
            version: ProtocolVersion::V5,
        }
    }

    pub(super) const fn into_buffer(self) -> &'b mut [u8] {
        self.buffer
    }

    /// The most bytes that one packet may have.
    pub(super) const fn capacity(&self) -> usize {
        self.buffer.len().saturating_sub(GROWTH)
    }

    /// Space for a packet of `len` bytes behind the others, to be filled by the caller; `None`
    /// where that many don't fit now.
    pub(super) fn append(&mut self, len: usize) -> Option<&mut [u8]> {
        if self.stream.is_some() || !self.make_space(len) {
            return None;
        }
        let at = self.tail;
        self.tail += len;
        self.packets += 1;
        Some(&mut self.buffer[at..self.tail])
    }

    /// As [`Self::append`], for the front of a PUBLISH of which `payload_len` bytes are missing.
    pub(super) fn append_stream(&mut self, len: usize, payload_len: usize) -> Option<&mut [u8]> {
        self.append(len)?;
        let at = self.tail - len;
        self.stream = Some(Stream {
            at,
            missing: payload_len,
        });
        Some(&mut self.buffer[at..self.tail])
    }

    /// Payload bytes that the owner has to send itself before anything else can be sent.
    pub(super) fn missing_payload(&self) -> usize {
        match self.stream {
            Some(stream) if stream.at == self.boundary && self.cursor == self.tail => {
                stream.missing
            }
            _ => 0,
        }
    }

    /// Notes that the owner sent `len` bytes of the missing payload.
    pub(super) fn streamed(&mut self, len: usize) {
        let missing = self.missing_payload();
        if let Some(stream) = &mut self.stream {
            stream.missing -= len.min(missing);
        }
        self.end_stream_if_sent();
    }

    pub(super) const fn is_streaming(&self) -> bool {
        self.stream.is_some()
    }

    /// Bytes that may be sent now.
    pub(super) fn sendable(&self) -> &[u8] {
        &self.buffer[self.cursor..self.released]
    }

    /// Bytes of the packet of which some bytes are sent, up to its end; empty between packets.
    pub(super) fn rest_of_packet(&self) -> &[u8] {
        match self.entry(self.boundary) {
            Some(entry) if self.cursor > self.boundary => {
                &self.buffer[self.cursor..entry.at + entry.len]
            }
            _ => &[],
        }
    }

    pub(super) const fn is_between_packets(&self) -> bool {
        self.cursor == self.boundary
    }

    pub(super) const fn has_unsent(&self) -> bool {
        self.cursor < self.tail || self.stream.is_some()
    }

    /// Releases the packets behind those that may be sent, as long as `may_send` says so. What is
    /// no PUBLISH overtakes one that may not (v5 `[MQTT-3.3.4-8]`).
    pub(super) fn release(&mut self, mut may_send: impl FnMut(&Entry) -> bool) {
        while let Some(entry) = self.entry(self.released) {
            if may_send(&entry) {
                self.released += entry.len;
            } else if !self.bring_request_forward() {
                return;
            }
        }
    }

    /// Moves the first SUBSCRIBE or UNSUBSCRIBE that is not released before all that is not;
    /// `false` where there is none.
    fn bring_request_forward(&mut self) -> bool {
        let mut at = self.released;
        while let Some(entry) = self.entry(at) {
            at += entry.len;
            if entry.kind.is_some_and(|kind| kind != PacketKind::Publish) {
                // A streamed PUBLISH is always the last packet, so none moves.
                self.buffer[self.released..at].rotate_right(entry.len);
                return true;
            }
        }
        false
    }

    /// Notes that `len` more bytes are sent; packets that need no acknowledgement go.
    pub(super) fn sent(&mut self, len: usize) {
        self.cursor = self.cursor.saturating_add(len).min(self.released);
        while let Some(entry) = self.entry(self.boundary) {
            let end = entry.at + entry.len;
            if end > self.cursor || self.stream.is_some_and(|stream| stream.at == entry.at) {
                break;
            }
            self.boundary = end;
            if !entry.is_kept() {
                self.make_gap(&entry);
            }
        }
        self.end_stream_if_sent();
        self.drop_gaps();
    }

    /// Whether the packet `id` is here and not sent whole.
    pub(super) fn is_unsent(&self, id: PacketId) -> bool {
        self.find(id).is_some_and(|entry| entry.at >= self.boundary)
    }

    pub(super) fn contains(&self, id: PacketId) -> bool {
        self.find(id).is_some()
    }

    /// Removes the PUBLISH `id` that was sent.
    pub(super) fn remove_sent(&mut self, id: PacketId) {
        if let Some(entry) = self.find(id).filter(|entry| entry.at < self.boundary) {
            self.make_gap(&entry);
            self.drop_gaps();
        }
    }

    /// Begins again at the head: the connection is gone. What was sent gets DUP; what is no
    /// PUBLISH goes, and a message of QoS 0 of which a part was sent. Returns the QoS of a
    /// streamed PUBLISH that was cut.
    pub(super) fn rewind(&mut self) -> Option<QoS> {
        let cut = self.stream.take().and_then(|stream| {
            let qos = self.entry(stream.at).map(|entry| entry.qos);
            self.tail = stream.at;
            self.packets -= 1;
            qos
        });
        let cursor = self.cursor;
        self.boundary = self.head;
        self.cursor = self.head;
        self.released = self.head;
        let mut at = self.head;
        while let Some(entry) = self.entry(at) {
            at += entry.len;
            let was_sent = entry.at < cursor;
            match entry.kind {
                None => {}
                Some(PacketKind::Publish) if !was_sent => {}
                Some(_) if entry.is_kept() => self.buffer[entry.at] |= PUBLISH_DUP,
                Some(_) => self.make_gap(&entry),
            }
        }
        self.compact();
        cut
    }

    /// Takes DUP from every PUBLISH: the server has no session, so all are new to it.
    pub(super) fn forget_sending(&mut self) {
        let mut at = self.head;
        while let Some(entry) = self.entry(at) {
            at += entry.len;
            if entry.kind == Some(PacketKind::Publish) {
                self.buffer[entry.at] &= !PUBLISH_DUP;
            }
        }
    }

    /// Removes each packet for which `keep` is false. Only between connections.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&Entry) -> bool) {
        let mut at = self.head;
        while let Some(entry) = self.entry(at) {
            at += entry.len;
            if !keep(&entry) {
                self.make_gap(&entry);
            }
        }
        self.compact();
    }

    pub(super) const fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// Encodes the waiting messages for a connection of `version`. Only between connections.
    ///
    /// All that differs is the property section, which 3.1.1 does not have.
    pub(super) fn convert(&mut self, version: ProtocolVersion) {
        let old_version = core::mem::replace(&mut self.version, version);
        if version == old_version {
            return;
        }
        self.compact();
        // To the end of the buffer, then packet by packet to its front. What is written never
        // reaches what is still to be read: `make_space` left `GROWTH` bytes for each packet.
        let mut source = self.buffer.len() - self.tail;
        self.buffer.copy_within(..self.tail, source);
        let mut target = 0;
        while let Ok(Some(header)) = FixedHeader::decode(&self.buffer[source..]) {
            let end = source + header.packet_len();
            let body = source + header.len();
            let first = self.buffer[source];
            let properties = body + variable_header_len(&self.buffer[body..end], first);
            let (payload, section) = match version {
                ProtocolVersion::V5 => (properties, 1),
                ProtocolVersion::V3_1_1 => match read_varint(&self.buffer[properties..end]) {
                    Ok(Some((len, varint))) => (properties + varint + len as usize, 0),
                    _ => (properties, 0),
                },
            };
            let remaining_len = (properties - body) + section + (end - payload);
            self.buffer[target] = first;
            target += 1;
            target += put_varint(&mut self.buffer[target..], remaining_len);
            self.buffer.copy_within(body..properties, target);
            target += properties - body;
            self.buffer[target..target + section].fill(0);
            target += section;
            self.buffer.copy_within(payload..end, target);
            target += end - payload;
            source = end;
        }
        self.tail = target;
    }

    fn find(&self, id: PacketId) -> Option<Entry> {
        let mut at = self.head;
        loop {
            let entry = self.entry(at)?;
            if entry.packet_id == Some(id) {
                return Some(entry);
            }
            at += entry.len;
        }
    }

    /// The packet that begins at `at`; `None` at the tail.
    fn entry(&self, at: usize) -> Option<Entry> {
        let bytes = self.buffer.get(at..self.tail)?;
        let (&first, rest) = bytes.split_first()?;
        let (remaining_len, varint) = read_varint(rest).ok()??;
        let packet_len = 1 + varint + remaining_len as usize;
        let mut entry = Entry {
            at,
            // Of a streamed PUBLISH, only the front is here.
            len: packet_len.min(bytes.len()),
            packet_len,
            kind: PacketKind::from_u8(first >> 4),
            qos: QoS::AtMostOnce,
            retain: first & 1 != 0,
            packet_id: None,
        };
        let body = &rest[varint..];
        let id = match entry.kind {
            None => return Some(entry),
            Some(PacketKind::Publish) => {
                entry.qos = publish_qos(first);
                if entry.qos == QoS::AtMostOnce {
                    return Some(entry);
                }
                variable_header_len(body, first).checked_sub(2)?
            }
            // SUBSCRIBE and UNSUBSCRIBE.
            Some(_) => 0,
        };
        let id = body.get(id..)?.first_chunk()?;
        entry.packet_id = PacketId::new(u16::from_be_bytes(*id));
        Some(entry)
    }

    fn make_gap(&mut self, entry: &Entry) {
        self.buffer[entry.at] = 0;
    }

    /// Gives gaps at the head back.
    fn drop_gaps(&mut self) {
        while let Some(Entry {
            kind: None, len, ..
        }) = self.entry(self.head)
        {
            self.head += len;
            self.packets -= 1;
        }
        if self.head == self.tail {
            self.head = 0;
            self.tail = 0;
            self.packets = 0;
            self.boundary = 0;
            self.cursor = 0;
            self.released = 0;
        }
        self.boundary = self.boundary.max(self.head);
        self.cursor = self.cursor.max(self.head);
        self.released = self.released.max(self.head);
    }

    fn end_stream_if_sent(&mut self) {
        let Some(Stream { at, missing: 0 }) = self.stream else {
            return;
        };
        if at == self.boundary && self.cursor == self.tail {
            self.stream = None;
            self.packets -= 1;
            self.tail = at;
            self.cursor = at;
            self.released = at;
            self.drop_gaps();
        }
    }

    /// Makes `len` bytes free behind the tail; `false` where that many don't fit.
    fn make_space(&mut self, len: usize) -> bool {
        if !self.has_space(len) {
            self.compact();
        }
        self.has_space(len)
    }

    fn has_space(&self, len: usize) -> bool {
        let needed = len.saturating_add((self.packets + 1) * GROWTH);
        self.buffer.len() - self.tail >= needed
    }

    /// Closes all gaps and moves everything to the buffer's front.
    fn compact(&mut self) {
        let into_packet = self.cursor - self.boundary;
        let (boundary, released) = (self.boundary, self.released);
        let (mut source, mut target) = (self.head, 0);
        self.packets = 0;
        loop {
            if source == boundary {
                self.boundary = target;
            }
            if source == released {
                self.released = target;
            }
            let Some(entry) = self.entry(source) else {
                break;
            };
            if entry.kind.is_some() {
                self.buffer.copy_within(source..source + entry.len, target);
                if let Some(stream) = &mut self.stream
                    && stream.at == source
                {
                    stream.at = target;
                }
                target += entry.len;
                self.packets += 1;
            }
            source += entry.len;
        }
        self.cursor = self.boundary + into_packet;
        self.head = 0;
        self.tail = target;
    }
}

fn publish_qos(first: u8) -> QoS {
    QoS::from_u8((first >> 1) & 0b11).unwrap_or_default()
}

/// Bytes of topic and packet identifier at the front of a PUBLISH's `body`.
fn variable_header_len(body: &[u8], first: u8) -> usize {
    let topic_len = body
        .first_chunk()
        .map_or(0, |len| usize::from(u16::from_be_bytes(*len)));
    let id_len = if publish_qos(first) == QoS::AtMostOnce {
        0
    } else {
        2
    };
    (2 + topic_len + id_len).min(body.len())
}

fn put_varint(space: &mut [u8], value: usize) -> usize {
    let mut value = (value as u32).min(MAX_VARINT);
    let len = varint_len(value);
    for (index, byte) in space[..len].iter_mut().enumerate() {
        let more = if index + 1 < len { 0x80 } else { 0 };
        *byte = (value & 0x7f) as u8 | more;
        value >>= 7;
    }
    len
}

/// Bytes by which a PUBLISH grows at most when it becomes one of the other version: the property
/// length, and one more byte of remaining length.
const GROWTH: usize = 2;
