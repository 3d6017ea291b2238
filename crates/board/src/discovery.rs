//! How a board announces itself to Home Assistant: one JSON document for the whole device.
//!
//! The document is about two kilobytes long and never in memory as a whole: [`Announcement`]
//! writes it from the start as often as it takes, and [`Chunk`] keeps the part that is sent next.

use core::fmt::{self, Write};

use declic_mqtt::{TopicFilter, TopicName};
use heapless::String;

use crate::BoardId;

/// What a document says; the same values make the same document.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Announcement<'a> {
    pub(crate) id: BoardId,
    /// The board's name for people; empty without one.
    pub(crate) name: &'a str,
    /// The chip; empty where it is not known.
    pub(crate) chip: &'a str,
    /// Whether there is a signal to be measured.
    pub(crate) has_wifi: bool,
    /// Whether double presses and holds are told from presses.
    pub(crate) double: bool,
    pub(crate) hold: bool,
}

impl Announcement<'_> {
    /// Bytes of the document.
    pub(crate) fn len(&self) -> usize {
        let mut window = Window {
            skip: 0,
            len: 0,
            bytes: &mut [],
        };
        self.write(&mut window);
        window.len
    }

    /// Fills `bytes` with what stands behind the first `skip` bytes of the document; returns how
    /// many these are.
    fn fill(&self, skip: usize, bytes: &mut [u8]) -> usize {
        let room = bytes.len();
        let mut window = Window {
            skip,
            len: 0,
            bytes,
        };
        self.write(&mut window);
        window.len.saturating_sub(skip).min(room)
    }

    fn write(&self, out: &mut dyn Write) {
        // A window takes everything.
        let _ = self.write_parts(out);
    }

    /// `@` and a letter in the text stand for what differs between boards.
    fn write_parts(&self, out: &mut dyn Write) -> fmt::Result {
        let parts = [
            (true, DEVICE),
            (self.double, r#","double""#),
            (self.hold, r#","hold""#),
            (true, PRESS),
            (self.double, DOUBLE),
            (self.hold, HOLD),
            (self.has_wifi, SIGNAL),
            (true, REST),
        ];
        for (_, part) in parts.iter().filter(|(is_there, _)| *is_there) {
            let mut pieces = part.split('@');
            out.write_str(pieces.next().unwrap_or_default())?;
            for piece in pieces {
                let (kind, rest) = piece.split_at(1);
                match kind {
                    "i" => write!(out, "{}", self.id)?,
                    "u" => write!(out, r#""~":"declic/{0}","uniq_id":"declic_{0}_"#, self.id)?,
                    "t" => write!(out, trigger!(), self.id)?,
                    "m" => self.write_mac(out)?,
                    "c" => write!(Escaped::new(out, usize::MAX), "{}", self.chip)?,
                    "n" if self.name.is_empty() => self.write_own_name(out)?,
                    "n" => write!(Escaped::new(out, usize::MAX), "{}", self.name)?,
                    _ => out.write_str(env!("CARGO_PKG_VERSION"))?,
                }
                out.write_str(rest)?;
            }
        }
        Ok(())
    }

    fn write_mac(&self, out: &mut dyn Write) -> fmt::Result {
        let mut separator = "";
        self.id.as_bytes().iter().try_for_each(|byte| {
            write!(out, "{separator}{byte:02x}")?;
            separator = ":";
            Ok(())
        })
    }

    /// As a person tells boards apart: by the end of the address that stands on them.
    fn write_own_name(&self, out: &mut dyn Write) -> fmt::Result {
        let [.., one, two, three] = *self.id.as_bytes();
        write!(out, "Déclic {one:02x}{two:02x}{three:02x}")
    }
}

/// The part of a document that is sent next.
#[derive(Debug)]
pub(crate) struct Chunk {
    bytes: [u8; CHUNK_LEN],
    /// What of it is not sent.
    start: usize,
    end: usize,
    /// Where in the document it ends.
    offset: usize,
}

impl Chunk {
    /// The beginning of a document.
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; CHUNK_LEN],
            start: 0,
            end: 0,
            offset: 0,
        }
    }

    /// Makes the next part, of which not more than `missing` bytes are left, where the one before is
    /// sent.
    pub(crate) fn next(&mut self, announcement: &Announcement<'_>, missing: usize) {
        if self.start == self.end {
            let room = missing.min(CHUNK_LEN);
            let len = announcement.fill(self.offset, &mut self.bytes[..room]);
            // The length was announced from the same values; if it were not reached, blanks would.
            self.bytes[len..room].fill(b' ');
            (self.start, self.end) = (0, room);
            self.offset += room;
        }
    }

    /// What of the part is not sent.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// The first `len` of [`Self::bytes`] were sent; returns how many that can have been.
    pub(crate) fn sent(&mut self, len: usize) -> usize {
        let len = len.min(self.end - self.start);
        self.start += len;
        len
    }
}

/// A topic of Home Assistant's.
pub(crate) struct HomeAssistantTopic(String<TOPIC_LEN>);

impl HomeAssistantTopic {
    /// Where the board `id` is announced.
    pub(crate) fn config(prefix: &str, id: BoardId) -> Self {
        Self::new(format_args!("{prefix}/device/declic_{id}/config"))
    }

    /// Where Home Assistant says that it has started.
    pub(crate) fn status(prefix: &str) -> Self {
        Self::new(format_args!("{prefix}/status"))
    }

    pub(crate) fn name(&self) -> TopicName<'_> {
        let Ok(name) = TopicName::new(&self.0) else {
            unreachable!("the prefix is checked when it is set");
        };
        name
    }

    pub(crate) fn filter(&self) -> TopicFilter<'_> {
        let Ok(filter) = TopicFilter::try_from(self.name()) else {
            unreachable!("the prefix is checked when it is set");
        };
        filter
    }

    fn new(text: fmt::Arguments<'_>) -> Self {
        let mut topic = String::new();
        // The capacity is that of the longest prefix.
        let _ = topic.as_mut_view().write_fmt(text);
        Self(topic)
    }
}

/// Writes text into a JSON string, so many bytes of it.
pub(crate) struct Escaped<'a> {
    out: &'a mut dyn Write,
    room: usize,
}

impl<'a> Escaped<'a> {
    pub(crate) fn new(out: &'a mut dyn Write, room: usize) -> Self {
        Self { out, room }
    }
}

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars() {
            let char = if char.is_ascii_control() { '?' } else { char };
            let len = char.len_utf8() + usize::from(matches!(char, '"' | '\\'));
            let Some(room) = self.room.checked_sub(len) else {
                self.room = 0;
                return Ok(());
            };
            self.room = room;
            if matches!(char, '"' | '\\') {
                self.out.write_char('\\')?;
            }
            self.out.write_char(char)?;
        }
        Ok(())
    }
}

/// Keeps what is written behind the first `skip` bytes, as far as there is room, and counts all.
struct Window<'a> {
    skip: usize,
    len: usize,
    bytes: &'a mut [u8],
}

impl Write for Window<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            let place = self.len.checked_sub(self.skip);
            if let Some(place) = place.and_then(|place| self.bytes.get_mut(place)) {
                *place = byte;
            }
            self.len += 1;
        }
        Ok(())
    }
}

/// The front of a trigger. It has no identifier of its own.
macro_rules! trigger {
    () => {
        concat!(
            r#""p":"device_automation","atype":"trigger","stype":"button_1","#,
            r#""t":"declic/{}/button","qos":1,"#,
            r#""val_tpl":"{{{{value_json.event_type}}}}","type""#
        )
    };
}
use trigger;

/// The document, in parts. Home Assistant takes no base topic (`~`) beside `cmps`, only in each
/// component, and of what is shared no `qos`.
const DEVICE: &str = concat!(
    r#"{"dev":{"ids":"declic_@i","cns":[["mac","@m"]],"name":"@n","mf":"Déclic","mdl":"@c","sw":"@v"},"#,
    r#""o":{"name":"Déclic","sw":"@v"},"avty_t":"declic/@i/status","cmps":{"#,
    r#""led":{"p":"light",@uled","name":null,"cmd_t":"~/led/set","stat_t":"~/led"},"#,
    r#""button":{"p":"event",@ubutton","name":"Button","dev_cla":"button","stat_t":"~/button","#,
    r#""qos":1,"evt_typ":["press""#,
);
const PRESS: &str = r#"]},"press":{@t:"button_short_press","pl":"press"},"#;
const DOUBLE: &str = r#""double":{@t:"button_double_press","pl":"double"},"#;
const HOLD: &str = r#""hold":{@t:"button_long_press","pl":"hold"},"#;
const SIGNAL: &str = concat!(
    r#""rssi":{"p":"sensor",@urssi","name":"Signal","dev_cla":"signal_strength","#,
    r#""unit_of_meas":"dBm","stat_cla":"measurement","ent_cat":"diagnostic","#,
    r#""stat_t":"~/info","val_tpl":"{{value_json.rssi}}"},"#,
);
const REST: &str = concat!(
    r#""uptime":{"p":"sensor",@uuptime","name":"Uptime","dev_cla":"duration","#,
    r#""unit_of_meas":"s","ent_cat":"diagnostic","#,
    r#""stat_t":"~/info","val_tpl":"{{value_json.uptime}}"},"#,
    r#""restart":{"p":"button",@urestart","dev_cla":"restart","ent_cat":"config","#,
    r#""cmd_t":"~/restart","pl_prs":"restart"}}}"#,
);

/// A few of these are an announcement; a chip has room for one.
const CHUNK_LEN: usize = 128;

/// Bytes of the longest prefix.
pub(crate) const PREFIX_LEN: usize = 32;
const TOPIC_LEN: usize = PREFIX_LEN + "/device/declic_".len() + 12 + "/config".len();

#[cfg(test)]
mod tests;
