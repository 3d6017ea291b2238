//! A client's end of a connection: it takes packets apart and answers them.

use declic_mqtt::packet::{Ack, Delivery, FixedHeader, Packet};
use declic_mqtt::{ProtocolVersion, ReasonCode};

use super::model::Delivered;

#[derive(Debug)]
pub struct Link {
    pub version: ProtocolVersion,
    bytes: Vec<u8>,
    /// Acknowledges nothing.
    pub holding: bool,
    /// What it did not acknowledge.
    held: Vec<Vec<u8>>,
    /// What it has to say.
    pub answers: Vec<u8>,
    pub session_present: Option<bool>,
    pub delivered: Vec<Delivered>,
    /// SUBACK, UNSUBACK, PINGRESP, PUBACK and PUBCOMP: one for each request.
    pub acknowledged: usize,
    /// PUBREC: one for each PUBLISH of QoS 2.
    pub received: usize,
    pub goodbye: Option<ReasonCode>,
    /// Sends PUBREL at once.
    pub releasing: bool,
}

impl Link {
    pub fn new(version: ProtocolVersion) -> Self {
        Self {
            version,
            bytes: Vec::new(),
            holding: false,
            held: Vec::new(),
            answers: Vec::new(),
            session_present: None,
            delivered: Vec::new(),
            acknowledged: 0,
            received: 0,
            goodbye: None,
            releasing: true,
        }
    }

    /// Takes what the server sent.
    pub fn take(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        let bytes = std::mem::take(&mut self.bytes);
        let mut rest = &bytes[..];
        while let Some(header) = FixedHeader::decode(rest).expect("a packet")
            && let Some((packet, behind)) = rest.split_at_checked(header.packet_len())
        {
            let body = &packet[header.len()..];
            let packet = Packet::decode(self.version, header, body).expect("a valid packet");
            self.hear(&packet);
            rest = behind;
        }
        self.bytes = rest.to_vec();
    }

    /// Acknowledges all that it has.
    pub fn release(&mut self) {
        self.holding = false;
        self.answers.extend(self.held.drain(..).flatten());
    }

    fn hear(&mut self, packet: &Packet<'_>) {
        match packet {
            Packet::ConnAck(ack) => {
                assert_eq!(ack.reason, ReasonCode::Success);
                self.session_present = Some(ack.session_present);
            }
            Packet::Publish(publish) => {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("our text");
                self.delivered.push(Delivered {
                    topic: publish
                        .topic
                        .expect("no alias was allowed")
                        .as_str()
                        .to_owned(),
                    payload: text(publish.payload),
                    qos: publish.delivery.qos() as u8,
                    dup: publish.dup,
                    retain: publish.retain,
                    ids: (self.version == ProtocolVersion::V5).then(|| {
                        let ids = publish.properties.subscription_identifiers();
                        ids.map(|id| id.get()).collect()
                    }),
                    expiry: publish.properties.message_expiry_interval(),
                });
                match publish.delivery {
                    Delivery::AtMostOnce => {}
                    Delivery::AtLeastOnce(id) => self.acknowledge(&Packet::PubAck(Ack::new(id))),
                    Delivery::ExactlyOnce(id) => self.acknowledge(&Packet::PubRec(Ack::new(id))),
                }
            }
            Packet::PubRel(ack) => self.acknowledge(&Packet::PubComp(Ack::new(ack.packet_id))),
            Packet::PubRec(ack) => {
                self.received += 1;
                assert!(!ack.reason.is_error(), "{ack:?}");
                if self.releasing {
                    let release = Packet::PubRel(Ack::new(ack.packet_id));
                    self.answers.extend(encode(self.version, &release));
                }
            }
            Packet::PubAck(ack) | Packet::PubComp(ack) => {
                assert!(!ack.reason.is_error(), "{ack:?}");
                self.acknowledged += 1;
            }
            Packet::SubAck(ack) => {
                assert!(
                    ack.reasons.iter().all(|reason| !reason.is_error()),
                    "{ack:?}"
                );
                self.acknowledged += 1;
            }
            Packet::UnsubAck(_) | Packet::PingResp => self.acknowledged += 1,
            Packet::Disconnect(disconnect) => self.goodbye = Some(disconnect.reason),
            packet => panic!("a server sends no {packet:?}"),
        }
    }

    fn acknowledge(&mut self, packet: &Packet<'_>) {
        let bytes = encode(self.version, packet);
        if self.holding {
            self.held.push(bytes);
        } else {
            self.answers.extend(bytes);
        }
    }
}

pub fn encode(version: ProtocolVersion, packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = vec![0; packet.encoded_len(version).expect("a packet of ours")];
    packet.encode(version, &mut bytes).expect("room for it");
    bytes
}
