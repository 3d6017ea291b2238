//! UNSUBSCRIBE (section 3.10).

use super::items::private::Wire;
use super::wire::{Reader, Writer};
use super::{
    DecodeError, EncodeError, Item, Items, PacketId, PacketKind, Properties, PropertyPlace,
    ProtocolVersion, encode,
};
use crate::TopicFilter;

/// A client wants no more messages of one or more filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// What the UNSUBACK will name.
    pub packet_id: PacketId,
    /// Properties (5.0).
    pub properties: Properties<'a>,
    /// The filters, at least one, each to the letter as it was subscribed.
    pub filters: Items<'a, TopicFilter<'a>>,
}

impl<'a> Unsubscribe<'a> {
    /// Encodes the packet into the front of `buffer` and returns its length in bytes.
    ///
    /// # Errors
    /// [`EncodeError`] names the limit that the packet or the buffer breaks.
    pub fn encode(
        &self,
        version: ProtocolVersion,
        buffer: &mut [u8],
    ) -> Result<usize, EncodeError> {
        if self.filters.is_empty() {
            return Err(EncodeError::EmptyList);
        }
        encode(PacketKind::Unsubscribe, 0, buffer, |writer| {
            self.packet_id.write(writer);
            if version == ProtocolVersion::V5 {
                self.properties.write_section(writer, PLACE);
            }
            self.filters.write(writer);
        })
    }

    pub(super) fn read(
        reader: &mut Reader<'a>,
        version: ProtocolVersion,
    ) -> Result<Self, DecodeError> {
        let packet_id = PacketId::read(reader)?;
        let properties = Properties::read_in(version, reader, PLACE)?;
        let filters = Items::decode(reader.rest(), |_| Ok(()))?;
        if filters.is_empty() {
            return Err(DecodeError::EmptyList(PacketKind::Unsubscribe));
        }
        Ok(Self {
            packet_id,
            properties,
            filters,
        })
    }
}

impl<'a> Item<'a> for TopicFilter<'a> {}

impl<'a> Wire<'a> for TopicFilter<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        TopicFilter::new(reader.string()?).map_err(DecodeError::TopicFilter)
    }

    fn write(&self, writer: &mut Writer<'_>) {
        writer.string(self.as_str());
    }
}

const PLACE: PropertyPlace = PropertyPlace::Packet(PacketKind::Unsubscribe);
