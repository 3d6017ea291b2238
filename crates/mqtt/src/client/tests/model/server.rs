//! A small, correct server: both versions, all QoS, one session.

use std::collections::VecDeque;

use super::super::*;
use crate::packet::Ack;

/// What the server keeps for the client between connections.
#[derive(Debug, Default)]
pub struct Session {
    /// Messages of QoS 2 that were received and not released.
    inbound: Vec<PacketId>,
    outbound: VecDeque<Outbound>,
    next_id: u16,
}

/// A message to the client that is not finished.
#[derive(Debug, Clone)]
struct Outbound {
    id: PacketId,
    qos: QoS,
    payload: Vec<u8>,
    stage: OutboundStage,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum OutboundStage {
    Waiting,
    /// Sent, on an earlier connection too perhaps.
    Sent,
    Released,
}

pub struct Server {
    version: ProtocolVersion,
    /// What the client sent and the server has not read.
    pub incoming: Vec<u8>,
    /// What the server sent and the client has not read.
    pub outgoing: VecDeque<u8>,
    /// Acknowledgements that the server sends when told to.
    answers: Vec<Packet<'static>>,
    pub session: Option<Session>,
    /// A session was lost.
    pub has_forgotten: bool,
    is_connected: bool,
    receive_maximum: u16,
    /// Messages that the client had sent on this connection and the server had not answered.
    unanswered: Vec<PacketId>,
    /// Payloads received, by QoS.
    pub received: [Vec<Vec<u8>>; 3],
    /// Messages of QoS 1 and 2 that the client takes at a time.
    window: usize,
}

impl Server {
    pub fn new(window: usize) -> Self {
        Self {
            version: V5,
            incoming: Vec::new(),
            outgoing: VecDeque::new(),
            answers: Vec::new(),
            session: None,
            has_forgotten: false,
            is_connected: false,
            receive_maximum: u16::MAX,
            unanswered: Vec::new(),
            received: Default::default(),
            window,
        }
    }

    /// A transport was opened on which the client will speak `version`.
    pub fn open(&mut self, version: ProtocolVersion, receive_maximum: u16) {
        self.version = version;
        self.receive_maximum = match version {
            V3 => u16::MAX,
            V5 => receive_maximum,
        };
        self.incoming.clear();
        self.outgoing.clear();
        self.answers.clear();
        self.unanswered.clear();
        self.is_connected = false;
    }

    pub fn forget(&mut self) {
        self.has_forgotten |= self.session.take().is_some();
    }

    /// Sends a message to the client, or keeps it for its session; `false` without one.
    pub fn publish(&mut self, qos: QoS, payload: Vec<u8>) -> bool {
        let Some(session) = &mut self.session else {
            return false;
        };
        session.next_id = session.next_id % 60_000 + 1;
        session.outbound.push_back(Outbound {
            id: id(session.next_id),
            qos,
            payload,
            stage: OutboundStage::Waiting,
        });
        self.send_waiting();
        true
    }

    /// Reads all whole packets that came.
    pub fn read(&mut self) {
        while let Some(packet) = split_packet(self.version, &mut self.incoming) {
            self.handle(packet);
        }
        self.send_waiting();
    }

    /// Sends one of the acknowledgements that are due; whether there was one.
    pub fn answer(&mut self, which: usize) -> bool {
        let Some(at) = which.checked_rem(self.answers.len()) else {
            return false;
        };
        let packet = self.answers.remove(at);
        if let Packet::PubAck(ack) | Packet::PubComp(ack) = packet {
            self.unanswered.retain(|id| *id != ack.packet_id);
        }
        self.send(packet);
        true
    }

    pub fn is_idle(&self) -> bool {
        self.outgoing.is_empty()
            && self.answers.is_empty()
            && self
                .session
                .as_ref()
                .is_some_and(|session| session.outbound.is_empty())
    }

    fn handle(&mut self, packet: Packet<'static>) {
        if let Packet::Connect(connect) = packet {
            assert!(!self.is_connected, "a second CONNECT");
            return self.accept(connect);
        }
        assert!(self.is_connected, "{packet:?} before CONNECT");
        let session = self.session.as_mut().expect("a session");
        match packet {
            Packet::Publish(publish) => {
                let qos = publish.delivery.qos();
                let log = &mut self.received[qos as usize];
                let payload = publish.payload.to_vec();
                let Some(id) = publish.delivery.packet_id() else {
                    return log.push(payload);
                };
                assert!(!self.unanswered.contains(&id), "an identifier in use");
                self.unanswered.push(id);
                let is_within = self.unanswered.len() <= usize::from(self.receive_maximum);
                assert!(is_within, "receive maximum");
                if qos == QoS::AtLeastOnce {
                    log.push(payload);
                    self.answers.push(Packet::PubAck(Ack::new(id)));
                } else {
                    if session.inbound.contains(&id) {
                        assert!(publish.dup, "an identifier in use for a new message");
                    } else {
                        session.inbound.push(id);
                        log.push(payload);
                    }
                    self.answers.push(Packet::PubRec(Ack::new(id)));
                }
            }
            Packet::PubRel(ack) => {
                let known = session.inbound.len();
                session.inbound.retain(|id| *id != ack.packet_id);
                let mut answer = Ack::new(ack.packet_id);
                if session.inbound.len() == known {
                    answer.reason = ReasonCode::PacketIdentifierNotFound;
                }
                self.answers.push(Packet::PubComp(answer));
            }
            Packet::PubAck(ack) => session.finish(ack.packet_id, QoS::AtLeastOnce),
            Packet::PubRec(ack) => {
                let message = session
                    .outbound
                    .iter_mut()
                    .find(|message| message.id == ack.packet_id)
                    .expect("a PUBREC for something");
                assert_eq!(message.qos, QoS::ExactlyOnce);
                message.stage = OutboundStage::Released;
                self.send(Packet::PubRel(Ack::new(ack.packet_id)));
            }
            Packet::PubComp(ack) => session.finish(ack.packet_id, QoS::ExactlyOnce),
            Packet::Subscribe(packet) => self.answers.push(suback(packet.packet_id.get())),
            Packet::Unsubscribe(packet) => self.answers.push(unsuback(packet.packet_id.get())),
            Packet::PingReq => self.send(Packet::PingResp),
            Packet::Disconnect(_) => assert!(self.incoming.is_empty(), "bytes behind DISCONNECT"),
            packet => panic!("{packet:?} from a client"),
        }
    }

    fn accept(&mut self, connect: Connect<'_>) {
        self.is_connected = true;
        assert_eq!(connect.version, self.version);
        if connect.clean_start {
            self.forget();
        }
        let session_present = self.session.is_some();
        let maximum = NonZeroU16::new(self.receive_maximum).unwrap_or(NonZeroU16::MIN);
        self.send(Packet::ConnAck(ConnAck {
            session_present,
            reason: ReasonCode::Success,
            properties: Properties::new(&[Property::ReceiveMaximum(maximum)]),
        }));
        let session = self.session.get_or_insert_default();
        // Of QoS 0 nothing is kept.
        session
            .outbound
            .retain(|message| message.qos > QoS::AtMostOnce);
        for message in session.outbound.clone() {
            match message.stage {
                OutboundStage::Waiting => {}
                OutboundStage::Sent => self.send_message(&message, true),
                OutboundStage::Released => self.send(Packet::PubRel(Ack::new(message.id))),
            }
        }
    }

    /// Sends what waits, as far as the client takes it.
    fn send_waiting(&mut self) {
        let Some(session) = self.session.as_mut().filter(|_| self.is_connected) else {
            return;
        };
        let is_sent = |message: &&mut Outbound| message.stage != OutboundStage::Waiting;
        let mut open = session.outbound.iter_mut().filter(is_sent).count();
        let mut now = Vec::new();
        for message in &mut session.outbound {
            if message.stage == OutboundStage::Waiting && open < self.window {
                message.stage = OutboundStage::Sent;
                open += usize::from(message.qos > QoS::AtMostOnce);
                now.push(message.clone());
            }
        }
        session.outbound.retain(|message| {
            message.qos > QoS::AtMostOnce || message.stage == OutboundStage::Waiting
        });
        for message in now {
            self.send_message(&message, false);
        }
    }

    fn send_message(&mut self, message: &Outbound, dup: bool) {
        self.send(Packet::Publish(Publish {
            dup,
            delivery: Delivery::new(message.qos, message.id),
            ..Publish::new(topic(), &message.payload)
        }));
    }

    fn send(&mut self, packet: Packet<'_>) {
        self.outgoing.extend(encoded(self.version, packet));
    }
}

impl Session {
    fn finish(&mut self, id: PacketId, qos: QoS) {
        let at = self.outbound.iter().position(|message| message.id == id);
        let message = at.and_then(|at| self.outbound.remove(at));
        let message = message.expect("an acknowledgement for something");
        assert_eq!(message.qos, qos);
        let stage = match qos {
            QoS::ExactlyOnce => OutboundStage::Released,
            _ => OutboundStage::Sent,
        };
        assert_eq!(message.stage, stage);
    }
}
