//! Who a board is, and the names that follow from it.

use core::fmt::{self, Write as _};
use core::str::FromStr;

use declic_mqtt::{TopicFilter, TopicName};
use heapless::String;

/// A board's identity: on a chip its MAC address, on a host six random bytes that are kept.
///
/// Its text, in the topics and in the client identifier, is 12 hex digits.
///
/// ```
/// use declic_board::BoardId;
///
/// let id = BoardId::new([0x01, 0x23, 0x45, 0x67, 0x89, 0xab]);
/// assert_eq!(id.to_string(), "0123456789ab");
/// assert_eq!(id.client_id().as_str(), "declic0123456789ab");
/// assert_eq!("0123456789AB".parse(), Ok(id));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BoardId([u8; 6]);

impl BoardId {
    /// The board with that MAC address.
    pub const fn new(mac: [u8; 6]) -> Self {
        Self(mac)
    }

    /// The six bytes.
    pub const fn as_bytes(&self) -> &[u8; 6] {
        &self.0
    }

    /// The client identifier: `declic` and the 12 digits, within the 23 letters and digits that
    /// every server must accept (`[MQTT-3.1.3-5]`).
    pub fn client_id(&self) -> String<18> {
        joined("declic", self, "")
    }

    /// The board's name in the network: `declic-` and the 12 digits.
    pub fn host_name(&self) -> String<19> {
        joined("declic-", self, "")
    }

    /// The text of the topic `declic/<id>/<leaf>`.
    pub(crate) fn topic(&self, leaf: Leaf) -> BoardTopic {
        BoardTopic(joined("declic/", self, leaf.as_str()))
    }
}

impl fmt::Display for BoardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for BoardId {
    type Err = InvalidBoardId;

    fn from_str(text: &str) -> Result<Self, InvalidBoardId> {
        let digits: &[u8; 12] = text.as_bytes().try_into().map_err(|_| InvalidBoardId)?;
        let mut mac = [0; 6];
        for (byte, pair) in mac.iter_mut().zip(digits.chunks_exact(2)) {
            for digit in pair {
                let value = char::from(*digit).to_digit(16).ok_or(InvalidBoardId)?;
                *byte = *byte << 4 | value as u8;
            }
        }
        Ok(Self(mac))
    }
}

/// A text is no [`BoardId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidBoardId;

impl fmt::Display for InvalidBoardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a board's id has 12 hex digits")
    }
}

impl core::error::Error for InvalidBoardId {}

/// The last level of a board's own topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaf {
    Status,
    Button,
    Led,
    LedSet,
    Info,
    Restart,
}

impl Leaf {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Status => "/status",
            Self::Button => "/button",
            Self::Led => "/led",
            Self::LedSet => "/led/set",
            Self::Info => "/info",
            Self::Restart => "/restart",
        }
    }
}

/// `declic/<id>/<leaf>`.
pub(crate) struct BoardTopic(String<{ 7 + 12 + 8 }>);

impl BoardTopic {
    pub(crate) fn name(&self) -> TopicName<'_> {
        let Ok(name) = TopicName::new(&self.0) else {
            unreachable!("made of fixed words and hex digits");
        };
        name
    }

    pub(crate) fn filter(&self) -> TopicFilter<'_> {
        let Ok(filter) = TopicFilter::try_from(self.name()) else {
            unreachable!("made of fixed words and hex digits");
        };
        filter
    }
}

fn joined<const N: usize>(before: &str, id: &BoardId, after: &str) -> String<N> {
    let mut text = String::new();
    // The callers' capacities are the sums of the parts.
    let _ = text
        .as_mut_view()
        .write_fmt(format_args!("{before}{id}{after}"));
    text
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn topics_have_room_for_their_longest_leaf() {
        let id = BoardId::new([0xff; 6]);
        assert_eq!(
            id.topic(Leaf::LedSet).name().as_str(),
            "declic/ffffffffffff/led/set"
        );
        assert_eq!(id.client_id().len(), 18);
    }

    #[test]
    fn only_twelve_hex_digits_are_an_id() {
        for text in [
            "",
            "0123456789a",
            "0123456789abc",
            "0123456789ag",
            "01:23:45:67:8",
            "éééééé",
        ] {
            assert_eq!(text.parse::<BoardId>(), Err(InvalidBoardId), "{text}");
        }
        let id: BoardId = "00ff10203040".parse().unwrap();
        assert_eq!(id.to_string().parse(), Ok(id));
    }
}
