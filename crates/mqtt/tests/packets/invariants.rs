//! What holds for any bytes whatever. The fuzz targets (`fuzz/`) include this file.

use declic_mqtt::packet::{DecodeError, EncodeError, FixedHeader, Packet, PacketKind, Publish};
use declic_mqtt::{ProtocolVersion, TopicFilter, TopicName};

/// Input of the fuzz target `packet`: a packet as it is, and, so that the remaining length is
/// right more often, the first byte with all others as body.
pub fn check_packet_input(input: &[u8]) {
    for version in BOTH {
        check_packet(version, input);
        if let Some((first, body)) = input.split_first() {
            check_packet(version, &framed(*first, body));
        }
    }
}

/// Input of the fuzz target `stream`: how many lengths, the lengths, the stream.
pub fn check_stream_input(input: &[u8]) {
    let Some((count, rest)) = input.split_first() else {
        return;
    };
    let Some((lengths, stream)) = rest.split_at_checked(usize::from(*count)) else {
        return;
    };
    for version in BOTH {
        let lengths = lengths.iter().copied().map(usize::from);
        check_stream(version, stream, lengths);
        check_stream(version, stream, core::iter::repeat_n(1, stream.len()));
    }
}

/// Input of the fuzz target `topic`: a filter and a name, a line each.
pub fn check_topic_input(input: &[u8]) {
    let Ok(input) = core::str::from_utf8(input) else {
        return;
    };
    if let Some((filter, name)) = input.split_once('\n') {
        check_topics(filter, name);
    }
}

/// Both versions make a packet or an error of `bytes`. A packet is encoded, decoded again and
/// equal, and a PUBLISH is the same in header and payload as it is whole.
pub fn check_packet(version: ProtocolVersion, bytes: &[u8]) {
    let Ok(Some(header)) = FixedHeader::decode(bytes) else {
        return;
    };
    assert!((2..=FixedHeader::MAX_LEN).contains(&header.len()));
    assert_eq!(header.packet_len(), header.len() + header.remaining_len());
    let behind = &bytes[header.len()..];
    let Some(body) = behind.get(..header.remaining_len()) else {
        if header.kind() == PacketKind::Publish {
            check_publish_header(version, header, behind, None);
        }
        return;
    };
    let decoded = Packet::decode(version, header, body);
    if header.kind() == PacketKind::Publish {
        check_publish_header(version, header, behind, Some(decoded));
    }
    let Ok(packet) = decoded else {
        return;
    };
    assert_eq!(packet.kind(), header.kind());
    let canonical = check_encode(version, &packet);
    let whole = &bytes[..header.packet_len()];
    if canonical.len() > whole.len() {
        // A server of 3.1.1 answered a client of 5.0.
        assert_eq!(whole, [0x20, 2, 0, 1]);
    }
}

/// `packet` fits exactly into `encoded_len` bytes, which decode to it, and into no buffer that is
/// smaller. Returns its bytes.
pub fn check_encode(version: ProtocolVersion, packet: &Packet<'_>) -> Vec<u8> {
    let len = packet.encoded_len(version).expect("a valid packet");
    let mut buffer = vec![CANARY; len + 8];
    assert_eq!(packet.encode(version, &mut buffer), Ok(len));
    assert!(buffer[len..].iter().all(|byte| *byte == CANARY));
    buffer.truncate(len);
    assert_eq!(packet.encode(version, &mut buffer), Ok(len));
    let mut small = buffer.clone();
    assert_eq!(
        packet.encode(version, &mut small[..len - 1]),
        Err(EncodeError::BufferTooSmall {
            needed: len,
            available: len - 1
        })
    );
    let header = FixedHeader::decode(&buffer)
        .expect("a valid fixed header")
        .expect("a whole fixed header");
    assert_eq!(header.packet_len(), len);
    assert_eq!(
        Packet::decode(version, header, &buffer[header.len()..]),
        Ok(*packet)
    );
    buffer
}

/// `Publish::decode_header` agrees with `whole`, what `Packet::decode` made of the same bytes.
fn check_publish_header(
    version: ProtocolVersion,
    header: FixedHeader,
    behind: &[u8],
    whole: Option<Result<Packet<'_>, DecodeError>>,
) {
    let decoded = Publish::decode_header(version, header, behind);
    match (decoded, whole) {
        (Ok(None), None) => {}
        (Ok(Some((_, payload_at))), None) => assert!(payload_at <= behind.len()),
        (Err(_), None | Some(Err(_))) => {}
        (Ok(Some((publish, payload_at))), Some(Ok(Packet::Publish(whole)))) => {
            let payload = &behind[payload_at..header.remaining_len()];
            assert_eq!(Publish { payload, ..publish }, whole);
        }
        (decoded, whole) => panic!("{decoded:?} in parts, {whole:?} in one piece"),
    }
    // What was decided early was decided right.
    for len in 0..behind.len().min(300) {
        match Publish::decode_header(version, header, &behind[..len]) {
            Ok(None) => {}
            Ok(early) => assert_eq!(decoded, Ok(early)),
            Err(_) => assert!(decoded.is_err()),
        }
    }
}

/// A stream gives the same packets, and the same error at its end, wherever it is cut into
/// pieces of `lengths` bytes.
pub fn check_stream(version: ProtocolVersion, stream: &[u8], lengths: impl Iterator<Item = usize>) {
    let mut whole = Framing::new(version);
    whole.receive(stream);
    let mut cut = Framing::new(version);
    let mut rest = stream;
    for len in lengths {
        let (piece, behind) = rest.split_at(len.min(rest.len()));
        cut.receive(piece);
        rest = behind;
    }
    cut.receive(rest);
    assert_eq!(cut.packets, whole.packets);
    assert_eq!(cut.error, whole.error);
    assert_eq!(cut.received.len(), whole.received.len());
}

/// Takes packets out of a stream that comes in pieces, as a receiver does.
pub struct Framing {
    version: ProtocolVersion,
    received: Vec<u8>,
    /// The packets so far, each encoded again.
    pub packets: Vec<Vec<u8>>,
    /// What was wrong, after which nothing more is taken.
    pub error: Option<DecodeError>,
}

impl Framing {
    pub fn new(version: ProtocolVersion) -> Self {
        Self {
            version,
            received: Vec::new(),
            packets: Vec::new(),
            error: None,
        }
    }

    pub fn receive(&mut self, piece: &[u8]) {
        self.received.extend_from_slice(piece);
        while self.error.is_none() {
            match self.next() {
                Ok(Some(len)) => drop(self.received.drain(..len)),
                Ok(None) => return,
                Err(error) => self.error = Some(error),
            }
        }
        // A receiver that has met an error closes the connection.
        self.received.clear();
    }

    fn next(&mut self) -> Result<Option<usize>, DecodeError> {
        let Some(header) = FixedHeader::decode(&self.received)? else {
            return Ok(None);
        };
        let Some(body) = self.received.get(header.len()..header.packet_len()) else {
            return Ok(None);
        };
        let packet = Packet::decode(self.version, header, body)?;
        let mut bytes = vec![0; packet.encoded_len(self.version).expect("a valid packet")];
        packet
            .encode(self.version, &mut bytes)
            .expect("a buffer of its size");
        self.packets.push(bytes);
        Ok(Some(header.packet_len()))
    }
}

/// Names and filters are valid, and match, exactly where the plain rules of section 4.7 say so.
pub fn check_topics(filter: &str, name: &str) {
    let valid_name = TopicName::new(name);
    assert_eq!(valid_name.is_ok(), is_topic_name(name), "{name:?}");
    let valid_filter = TopicFilter::new(filter);
    assert_eq!(valid_filter.is_ok(), is_topic_filter(filter), "{filter:?}");
    if let Ok(valid_name) = valid_name {
        match TopicFilter::try_from(valid_name) {
            Ok(own) => assert!(own.matches(valid_name)),
            Err(_) => assert!(name.starts_with("$share/")),
        }
        if let Ok(valid_filter) = valid_filter {
            let (share, plain) = plain_filter(filter);
            assert_eq!(valid_filter.share_name(), share);
            assert_eq!(valid_filter.without_share().as_str(), plain);
            assert_eq!(valid_filter.without_share().share_name(), None);
            assert_eq!(valid_filter.has_wildcard(), plain.contains(['+', '#']));
            let expected = plain_match(plain, name);
            assert_eq!(
                valid_filter.matches(valid_name),
                expected,
                "{filter:?} {name:?}"
            );
            assert_eq!(valid_filter.without_share().matches(valid_name), expected);
        }
    }
}

fn is_topic_name(name: &str) -> bool {
    (1..=65_535).contains(&name.len()) && !name.contains(['\0', '+', '#'])
}

fn is_topic_filter(filter: &str) -> bool {
    if !(1..=65_535).contains(&filter.len()) || filter.contains('\0') {
        return false;
    }
    if filter.starts_with("$share/") {
        let mut parts = filter.splitn(3, '/').skip(1);
        let (Some(share), Some(plain)) = (parts.next(), parts.next()) else {
            return false;
        };
        return !share.is_empty()
            && !share.contains(['+', '#'])
            && !plain.starts_with("$share/")
            && is_topic_filter(plain);
    }
    let characters: Vec<char> = filter.chars().collect();
    let separates = |character: Option<&char>| character.is_none_or(|c| *c == '/');
    characters.iter().enumerate().all(|(at, character)| {
        let before = separates(at.checked_sub(1).map(|before| &characters[before]));
        match character {
            '+' => before && separates(characters.get(at + 1)),
            '#' => before && at + 1 == characters.len(),
            _ => true,
        }
    })
}

fn plain_filter(filter: &str) -> (Option<&str>, &str) {
    match filter.splitn(3, '/').collect::<Vec<_>>()[..] {
        ["$share", name, plain] => (Some(name), plain),
        _ => (None, filter),
    }
}

/// Tries each number of levels that `#` can stand for, as that many `+`.
fn plain_match(filter: &str, name: &str) -> bool {
    if name.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let name: Vec<&str> = name.split('/').collect();
    let mut levels: Vec<&str> = filter.split('/').collect();
    let same = |levels: &[&str]| {
        levels.len() == name.len()
            && levels
                .iter()
                .zip(&name)
                .all(|(wanted, level)| *wanted == "+" || wanted == level)
    };
    if levels.last() != Some(&"#") {
        return same(&levels);
    }
    levels.pop();
    for _ in 0..=name.len() {
        if same(&levels) {
            return true;
        }
        levels.push("+");
    }
    false
}

/// A packet with `first` as first byte and `body` behind its remaining length.
pub fn framed(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut rest = body.len();
    while rest > 127 {
        packet.push((rest % 128) as u8 | 0x80);
        rest /= 128;
    }
    packet.push(rest as u8);
    packet.extend(body);
    packet
}

/// The versions.
pub const BOTH: [ProtocolVersion; 2] = [ProtocolVersion::V3_1_1, ProtocolVersion::V5];

const CANARY: u8 = 0xa5;
