//! How `declic sub` prints messages: the payload, with its topic, or by a format.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, Write};

use declic_mqtt::packet::{Property, Publish};

use crate::json::{Escaper, Object, escape};
use crate::timestamp::Timestamp;

/// What is printed of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// The payload; nothing for an empty one.
    Payload,
    /// Topic, blank, payload; `(null)` for an empty one.
    Verbose,
    Custom(Vec<Segment>),
}

/// A part of a custom format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segment {
    Byte(u8),
    /// `%`, flags, width, and what is printed.
    Field(Pad, char),
    /// `@` and a letter.
    Time(char),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pad {
    zero: bool,
    left: bool,
    width: usize,
    max: Option<usize>,
}

impl Format {
    /// Reads a format of `mosquitto_sub -F`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut segments = Vec::new();
        let mut rest = text.chars().peekable();
        while let Some(character) = rest.next() {
            match character {
                '%' => {
                    let mut pad = Pad::default();
                    while let Some(flag) = rest.next_if(|c| matches!(c, '0' | '-')) {
                        pad.zero |= flag == '0';
                        pad.left |= flag == '-';
                    }
                    pad.width = number(&mut rest)?.unwrap_or(0);
                    if rest.next_if_eq(&'.').is_some() {
                        pad.max = Some(number(&mut rest)?.unwrap_or(0));
                    }
                    let field = rest.next().ok_or("it ends behind a %")?;
                    if field == '%' {
                        segments.push(Segment::Byte(b'%'));
                    } else if FIELDS.contains(field) {
                        segments.push(Segment::Field(pad, field));
                    } else {
                        return Err(format!("%{field} is not known"));
                    }
                }
                '@' => match rest.next().ok_or("it ends behind an @")? {
                    '@' => segments.push(Segment::Byte(b'@')),
                    letter if TIMES.contains(letter) => segments.push(Segment::Time(letter)),
                    letter => return Err(format!("@{letter} is not known")),
                },
                '\\' => {
                    let escaped = rest.next().ok_or("it ends behind a \\")?;
                    segments.push(Segment::Byte(match escaped {
                        '\\' => b'\\',
                        '0' => 0,
                        'a' => 0x07,
                        'e' => 0x1b,
                        'n' => b'\n',
                        'r' => b'\r',
                        't' => b'\t',
                        'v' => 0x0b,
                        other => return Err(format!("\\{other} is not known")),
                    }));
                }
                character => {
                    let mut bytes = [0; 4];
                    let encoded = character.encode_utf8(&mut bytes);
                    segments.extend(encoded.bytes().map(Segment::Byte));
                }
            }
        }
        Ok(Self::Custom(segments))
    }

    /// An object of JSON for each message, as `%j`.
    pub fn json() -> Self {
        Self::Custom(vec![Segment::Field(Pad::default(), 'j')])
    }
}

fn number(text: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Option<usize>, String> {
    let mut digits = String::new();
    while let Some(digit) = text.next_if(char::is_ascii_digit) {
        digits.push(digit);
    }
    match digits.parse() {
        _ if digits.is_empty() => Ok(None),
        Ok(number) if number <= MAX_WIDTH => Ok(Some(number)),
        _ => Err(format!("a width is at most {MAX_WIDTH}")),
    }
}

/// Prints messages, whole ones and those that come in pieces, without holding them.
pub struct MessagePrinter<W> {
    output: W,
    format: Format,
    /// A line's end is printed behind each message.
    newline: bool,
    /// Of the message being printed.
    parts: VecDeque<Part>,
    escaper: Escaper,
    /// The payload so far, where it is printed more than once.
    kept: Option<Vec<u8>>,
}

/// A part of one message's output.
enum Part {
    Text(Vec<u8>),
    Payload(Encoding),
}

#[derive(Clone, Copy)]
enum Encoding {
    Raw,
    LowerHex,
    UpperHex,
    Json,
}

impl<W: Write> MessagePrinter<W> {
    pub const fn new(output: W, format: Format, newline: bool) -> Self {
        Self {
            output,
            format,
            newline,
            parts: VecDeque::new(),
            escaper: Escaper::new(),
            kept: None,
        }
    }

    /// Prints a message, or its beginning where `remaining` bytes follow.
    ///
    /// # Errors
    /// The output can't be written to.
    pub fn message(&mut self, publish: &Publish<'_>, remaining: usize) -> io::Result<()> {
        let len = publish.payload.len() + remaining;
        let topic = publish.topic.map_or("", |topic| topic.as_str());
        let newline = || Part::Text(self.newline.then_some(b'\n').into_iter().collect());
        self.parts = match &self.format {
            Format::Payload if len == 0 => VecDeque::new(),
            Format::Payload => [Part::Payload(Encoding::Raw), newline()].into(),
            Format::Verbose if len == 0 => [
                Part::Text(format!("{topic} (null)").into_bytes()),
                newline(),
            ]
            .into(),
            Format::Verbose => [
                Part::Text(format!("{topic} ").into_bytes()),
                Part::Payload(Encoding::Raw),
                newline(),
            ]
            .into(),
            Format::Custom(segments) => {
                let mut parts = VecDeque::new();
                render(segments, publish, topic, len, &mut parts);
                parts.push_back(newline());
                parts
            }
        };
        let uses = |part: &&Part| matches!(part, Part::Payload(_));
        let is_repeated = self.parts.iter().filter(uses).count() > 1;
        self.kept = (remaining > 0 && is_repeated).then(Vec::new);
        self.escaper = Escaper::new();
        self.chunk(publish.payload, remaining)
    }

    /// Prints the next bytes of the message; `remaining` follow.
    ///
    /// # Errors
    /// The output can't be written to.
    pub fn chunk(&mut self, payload: &[u8], remaining: usize) -> io::Result<()> {
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(payload);
            if remaining > 0 {
                return Ok(());
            }
        }
        let kept = self.kept.take();
        let payload = kept.as_deref().unwrap_or(payload);
        while let Some(part) = self.parts.front() {
            match part {
                Part::Text(text) => self.output.write_all(text)?,
                Part::Payload(encoding) => {
                    let encoding = *encoding;
                    self.payload(encoding, payload, remaining == 0)?;
                    if remaining > 0 {
                        return Ok(());
                    }
                }
            }
            self.parts.pop_front();
        }
        Ok(())
    }

    /// Gives out what is printed so far.
    ///
    /// # Errors
    /// The output can't be written to.
    pub fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }

    fn payload(&mut self, encoding: Encoding, bytes: &[u8], is_last: bool) -> io::Result<()> {
        match encoding {
            Encoding::Raw => self.output.write_all(bytes),
            Encoding::LowerHex => self.hex(bytes, b"0123456789abcdef"),
            Encoding::UpperHex => self.hex(bytes, b"0123456789ABCDEF"),
            Encoding::Json => {
                let escaped = self.escaper.piece(bytes);
                self.output.write_all(escaped.as_bytes())?;
                if is_last {
                    self.output.write_all(self.escaper.end().as_bytes())?;
                }
                Ok(())
            }
        }
    }

    fn hex(&mut self, bytes: &[u8], digits: &[u8; 16]) -> io::Result<()> {
        for byte in bytes {
            let pair = [
                digits[usize::from(byte >> 4)],
                digits[usize::from(byte & 0xf)],
            ];
            self.output.write_all(&pair)?;
        }
        Ok(())
    }
}

/// Renders all of a custom format but the payload.
fn render(
    segments: &[Segment],
    publish: &Publish<'_>,
    topic: &str,
    len: usize,
    parts: &mut VecDeque<Part>,
) {
    let now = Timestamp::now();
    let properties = publish.properties;
    let mut text = Vec::new();
    for segment in segments {
        let (pad, field) = match segment {
            Segment::Byte(byte) => {
                text.push(*byte);
                continue;
            }
            Segment::Time(letter) => {
                text.extend(time(*letter, now).into_bytes());
                continue;
            }
            Segment::Field(pad, field) => (*pad, *field),
        };
        let word = |value: Option<&str>| pad.text(value.unwrap_or("").as_bytes());
        let optional =
            |value: Option<u32>| value.map_or_else(|| pad.text(b""), |n| pad.number(n as usize));
        let rendered = match field {
            't' => pad.text(topic.as_bytes()),
            'l' => pad.number(len),
            'q' => (publish.delivery.qos() as u8).to_string().into_bytes(),
            'r' => u8::from(publish.retain).to_string().into_bytes(),
            'm' => pad.number(publish.delivery.packet_id().map_or(0, |id| id.get().into())),
            'A' => optional(properties.topic_alias().map(|alias| alias.get().into())),
            'C' => word(properties.content_type()),
            'D' => properties.correlation_data().unwrap_or(&[]).to_vec(),
            'E' => optional(properties.message_expiry_interval()),
            'F' => optional(properties.payload_format_indicator().map(u32::from)),
            'P' => {
                let pairs: Vec<_> = properties
                    .user_properties()
                    .map(|(name, value)| format!("{name}:{value}"))
                    .collect();
                pairs.join(" ").into_bytes()
            }
            'R' => word(properties.response_topic().map(|topic| topic.as_str())),
            'S' => optional(properties.subscription_identifier().map(|id| id.get())),
            'I' => pad.text(format!("{}+0000", now.iso_8601()).as_bytes()),
            'U' => format!("{}.{:09}", now.unix, now.nanos).into_bytes(),
            'j' => {
                text.extend(json(publish, topic, len, now).into_bytes());
                if len == 0 {
                    text.extend(b"null}");
                } else {
                    text.push(b'"');
                    parts.push_back(Part::Text(std::mem::take(&mut text)));
                    parts.push_back(Part::Payload(Encoding::Json));
                    text.extend(b"\"}");
                }
                continue;
            }
            _ => {
                let (encoding, printed) = match field {
                    'x' => (Encoding::LowerHex, len.saturating_mul(2)),
                    'X' => (Encoding::UpperHex, len.saturating_mul(2)),
                    _ => (Encoding::Raw, len),
                };
                let blanks = vec![b' '; pad.width.saturating_sub(printed)];
                if !pad.left {
                    text.extend(&blanks);
                }
                parts.push_back(Part::Text(std::mem::take(&mut text)));
                parts.push_back(Part::Payload(encoding));
                if pad.left {
                    text.extend(&blanks);
                }
                continue;
            }
        };
        text.extend(rendered);
    }
    parts.push_back(Part::Text(text));
}

/// The object up to its payload.
fn json(publish: &Publish<'_>, topic: &str, len: usize, now: Timestamp) -> String {
    let mut object = Object::new()
        .text("tst", &now.iso_8601_micros())
        .text("topic", topic)
        .raw("qos", publish.delivery.qos() as u8)
        .raw("retain", u8::from(publish.retain))
        .raw("payloadlen", len);
    if let Some(id) = publish.delivery.packet_id() {
        object = object.raw("mid", id.get());
    }
    if !publish.properties.is_empty() {
        object = object.raw("properties", json_properties(publish));
    }
    object.unfinished() + ",\"payload\":"
}

fn json_properties(publish: &Publish<'_>) -> String {
    let mut users = String::new();
    for (name, value) in publish.properties.user_properties() {
        let comma = if users.is_empty() { "" } else { "," };
        // Writing to a string can't fail.
        let _ = write!(users, "{comma}\"{}\":\"{}\"", escape(name), escape(value));
    }
    let mut object = Object::new();
    if !users.is_empty() {
        object = object.raw("user-properties", format_args!("{{{users}}}"));
    }
    for property in publish.properties {
        object = match property {
            Property::ContentType(text) => object.text("content-type", text),
            Property::CorrelationData(bytes) => {
                object.text("correlation-data", &String::from_utf8_lossy(bytes))
            }
            Property::PayloadFormatIndicator(is_text) => {
                object.raw("payload-format-indicator", u8::from(is_text))
            }
            Property::ResponseTopic(topic) => object.text("response-topic", topic.as_str()),
            Property::MessageExpiryInterval(seconds) => {
                object.raw("message-expiry-interval", seconds)
            }
            Property::SubscriptionIdentifier(id) => object.raw("subscription-identifier", id.get()),
            _ => object,
        };
    }
    object.to_string()
}

fn time(letter: char, now: Timestamp) -> String {
    let date = now.calendar();
    match letter {
        'Y' => format!("{:04}", date.year),
        'm' => format!("{:02}", date.month),
        'd' => format!("{:02}", date.day),
        'H' => format!("{:02}", date.hour),
        'M' => format!("{:02}", date.minute),
        'S' => format!("{:02}", date.second),
        'F' => format!("{:04}-{:02}-{:02}", date.year, date.month, date.day),
        'T' => format!("{:02}:{:02}:{:02}", date.hour, date.minute, date.second),
        's' => now.unix.to_string(),
        'N' => format!("{:09}", now.nanos),
        'z' => "+0000".to_owned(),
        _ => "UTC".to_owned(),
    }
}

impl Pad {
    fn text(self, text: &[u8]) -> Vec<u8> {
        let text = &text[..self.max.unwrap_or(usize::MAX).min(text.len())];
        self.pad(text, b' ')
    }

    fn number(self, number: usize) -> Vec<u8> {
        let fill = if self.zero && !self.left { b'0' } else { b' ' };
        self.pad(number.to_string().as_bytes(), fill)
    }

    fn pad(self, text: &[u8], fill: u8) -> Vec<u8> {
        let fill = vec![fill; self.width.saturating_sub(text.len())];
        if self.left {
            [text, &fill].concat()
        } else {
            [&fill, text].concat()
        }
    }
}

/// What may stand behind a `%`.
const FIELDS: &str = "ACDEFIPRSUXjlmpqrtx";
/// What may stand behind an `@`.
const TIMES: &str = "YmdHMSFTsNzZ";
const MAX_WIDTH: usize = 10_000;

#[cfg(test)]
mod tests {
    use declic_mqtt::packet::{Delivery, Properties};
    use declic_mqtt::{PacketId, TopicName};

    use super::*;

    fn print(format: Format, publish: &Publish<'_>) -> String {
        let mut output = Vec::new();
        // In pieces of each size, it must always be the same.
        for size in 1..=publish.payload.len().max(1) {
            let mut printer = MessagePrinter::new(Vec::new(), format.clone(), true);
            let mut pieces = publish.payload.chunks(size);
            let first = pieces.next().unwrap_or(&[]);
            let mut remaining = publish.payload.len() - first.len();
            let beginning = Publish {
                payload: first,
                ..*publish
            };
            printer.message(&beginning, remaining).expect("memory");
            for piece in pieces {
                remaining -= piece.len();
                printer.chunk(piece, remaining).expect("memory");
            }
            let is_same = without_time(&output) == without_time(&printer.output);
            assert!(size == 1 || is_same, "in pieces of {size}");
            output = printer.output;
        }
        String::from_utf8(output).expect("text")
    }

    /// What stands behind the time of `%j`, which passes.
    fn without_time(output: &[u8]) -> &[u8] {
        output
            .strip_prefix(b"{\"tst\":")
            .map_or(output, |rest| &rest[29..])
    }

    fn publish<'a>(payload: &'a [u8], properties: &'a [Property<'a>]) -> Publish<'a> {
        Publish {
            delivery: Delivery::AtLeastOnce(PacketId::FIRST),
            properties: Properties::new(properties),
            ..Publish::new(TopicName::new("p/topic").expect("valid"), payload)
        }
    }

    fn custom(format: &str, publish: &Publish<'_>) -> String {
        print(Format::parse(format).expect("valid"), publish)
    }

    #[test]
    fn payload_and_topic_are_printed_as_mosquitto_sub_does() {
        assert_eq!(print(Format::Payload, &publish(b"a\nb", &[])), "a\nb\n");
        assert_eq!(print(Format::Payload, &publish(b"", &[])), "");
        assert_eq!(
            print(Format::Verbose, &publish(b"a b", &[])),
            "p/topic a b\n"
        );
        assert_eq!(
            print(Format::Verbose, &publish(b"", &[])),
            "p/topic (null)\n"
        );
    }

    // What mosquitto_sub 2.0.11 printed for the same message and format.
    #[test]
    fn a_format_is_filled_in_as_mosquitto_sub_does() {
        let properties = [
            Property::UserProperty(("a", "b")),
            Property::UserProperty(("a", "c\"d")),
            Property::ContentType("text"),
            Property::CorrelationData(b"xyz"),
            Property::MessageExpiryInterval(100),
            Property::PayloadFormatIndicator(false),
            Property::ResponseTopic(TopicName::new("r/t").expect("valid")),
        ];
        let message = publish(b"hi\x01\n\xc3\xbc", &properties);
        let format = "%A|%C|%D|%E|%F|%P|%R|%S|%08l|%-8lX|%5.3t|%.3t|%X|%m|%q|%r|\\\\%%@@";
        assert_eq!(
            custom(format, &message),
            "|text|xyz|100|0|a:b a:c\"d|r/t||00000006|6       X|  p/t|p/t|6869010AC3BC|1|1|0|\\%@\n"
        );
        assert_eq!(
            custom("%6p|%-6p|%x|%p", &publish(b"xyz", &[])),
            "   xyz|xyz   |78797a|xyz\n"
        );
        let line = custom("%j", &message);
        let (start, rest) = line.split_at(br#"{"tst":"2026-11-22T17:39:37.903519Z""#.len());
        assert!(
            start.starts_with(r#"{"tst":"2"#) && start.ends_with("Z\""),
            "{start}"
        );
        assert_eq!(
            rest,
            concat!(
                r#","topic":"p/topic","qos":1,"retain":0,"payloadlen":6,"mid":1,"properties":"#,
                r#"{"user-properties":{"a":"b","a":"c\"d"},"content-type":"text","#,
                r#""correlation-data":"xyz","message-expiry-interval":100,"#,
                r#""payload-format-indicator":0,"response-topic":"r/t"},"#,
                r#""payload":"hi\u0001\nü"}"#,
                "\n"
            )
        );
        assert!(custom("%j", &publish(b"", &[])).ends_with("\"payload\":null}\n"));
    }

    #[test]
    fn a_wrong_format_is_refused_with_the_reason() {
        for (format, expected) in [
            ("%z", "%z is not known"),
            ("%", "it ends behind a %"),
            ("%1", "it ends behind a %"),
            ("@", "it ends behind an @"),
            ("@q", "@q is not known"),
            ("\\", "it ends behind a \\"),
            ("\\q", "\\q is not known"),
            ("%99999t", "a width is at most 10000"),
        ] {
            assert_eq!(Format::parse(format), Err(expected.to_owned()), "{format}");
        }
    }
}
