//! The outbox against a plain queue of packets.

use proptest::prelude::*;
use std::collections::VecDeque;

use super::*;
use crate::client::outbox::Outbox;
use crate::packet::{Subscribe, Subscription};

/// A packet as the oracle keeps it.
#[derive(Debug, Clone, PartialEq)]
struct Kept {
    /// `None` for a SUBSCRIBE.
    qos: Option<QoS>,
    id: PacketId,
    dup: bool,
    has_property: bool,
    payload: usize,
    is_stream: bool,
}

impl Kept {
    /// Its bytes; of a streamed PUBLISH, those before the payload.
    fn bytes(&self, version: ProtocolVersion) -> Vec<u8> {
        let payload = std::vec![b'x'; self.payload];
        let property = [Property::MessageExpiryInterval(9)];
        let Some(qos) = self.qos else {
            let subscription = [Subscription::new(filter(), QoS::AtMostOnce)];
            let packet = Subscribe {
                packet_id: self.id,
                properties: Properties::EMPTY,
                subscriptions: Items::new(&subscription),
            };
            return encoded(version, Packet::Subscribe(packet));
        };
        let packet = Publish {
            dup: self.dup,
            delivery: Delivery::new(qos, self.id),
            properties: Properties::new(if self.has_property { &property } else { &[] }),
            ..Publish::new(topic(), &payload)
        };
        let mut bytes = encoded(version, Packet::Publish(packet));
        if self.is_stream {
            bytes.truncate(bytes.len() - self.payload);
        }
        bytes
    }

    fn waits_for_answer(&self) -> bool {
        !self.is_stream && self.qos.is_some_and(|qos| qos > QoS::AtMostOnce)
    }
}

/// What the outbox should do, with all the memory that it wants.
#[derive(Default)]
struct Oracle {
    sent: Vec<Kept>,
    /// In the order in which they go, and how many bytes of the first one are gone.
    released: VecDeque<Kept>,
    progress: usize,
    waiting: VecDeque<Kept>,
    missing: Option<usize>,
}

impl Oracle {
    fn all(&self) -> impl Iterator<Item = &Kept> {
        self.sent.iter().chain(&self.released).chain(&self.waiting)
    }

    fn release(&mut self, mut quota: usize) {
        while let Some(first) = self.waiting.front() {
            let is_free = first.qos.is_none_or(|qos| qos == QoS::AtMostOnce);
            let at = if is_free {
                0
            } else if quota > 0 {
                quota -= 1;
                0
            } else if let Some(at) = self.waiting.iter().position(|kept| kept.qos.is_none()) {
                at
            } else {
                return;
            };
            self.released.extend(self.waiting.remove(at));
        }
    }

    fn sendable(&self, version: ProtocolVersion) -> Vec<u8> {
        let bytes = self.released.iter().flat_map(|kept| kept.bytes(version));
        bytes.skip(self.progress).collect()
    }

    fn sent(&mut self, version: ProtocolVersion, len: usize) {
        self.progress += len;
        while let Some(first) = self.released.front() {
            let len = first.bytes(version).len();
            if self.progress < len || (first.is_stream && self.missing != Some(0)) {
                return;
            }
            self.progress -= len;
            if first.is_stream {
                self.missing = None;
            }
            let first = self.released.pop_front();
            self.sent.extend(first.filter(Kept::waits_for_answer));
        }
    }

    fn missing_payload(&self, version: ProtocolVersion) -> usize {
        match self.released.front() {
            Some(first) if first.is_stream && self.progress == first.bytes(version).len() => {
                self.missing.unwrap_or(0)
            }
            _ => 0,
        }
    }

    fn rewind(&mut self) {
        let progress = core::mem::take(&mut self.progress);
        self.missing = None;
        let sent = self.sent.drain(..).map(|kept| (kept, true));
        let released = self.released.drain(..).enumerate();
        let released = released.map(|(at, kept)| (kept, at == 0 && progress > 0));
        let mut all: VecDeque<_> = sent
            .chain(released)
            .filter(|(kept, was_sent)| kept.waits_for_answer() || !was_sent)
            .map(|(kept, was_sent)| Kept {
                dup: kept.dup || was_sent,
                ..kept
            })
            .collect();
        all.append(&mut self.waiting);
        all.retain(|kept| kept.qos.is_some() && !kept.is_stream);
        self.waiting = all;
    }
}

#[derive(Debug, Clone)]
enum Step {
    Publish {
        qos: QoS,
        payload: usize,
        has_property: bool,
    },
    Subscribe,
    Stream {
        qos: QoS,
        payload: usize,
    },
    Streamed(usize),
    Release(usize),
    Sent(usize),
    Acknowledge(usize),
    Reconnect {
        version: ProtocolVersion,
        is_forgotten: bool,
        /// Messages above this payload are dropped.
        limit: usize,
    },
}

fn qos() -> impl Strategy<Value = QoS> {
    prop_oneof![
        Just(QoS::AtMostOnce),
        Just(QoS::AtLeastOnce),
        Just(QoS::ExactlyOnce)
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let payload = prop_oneof![3 => 0..20_usize, 1 => 100..140_usize];
    prop_oneof![
        6 => (qos(), payload.clone(), any::<bool>()).prop_map(|(qos, payload, has_property)| {
            Step::Publish { qos, payload, has_property }
        }),
        1 => Just(Step::Subscribe),
        1 => (qos(), payload).prop_map(|(qos, payload)| Step::Stream { qos, payload }),
        2 => (0..80_usize).prop_map(Step::Streamed),
        5 => (0..4_usize).prop_map(Step::Release),
        6 => (0..80_usize).prop_map(Step::Sent),
        4 => any::<usize>().prop_map(Step::Acknowledge),
        1 => (prop_oneof![Just(V3), Just(V5)], any::<bool>(), 50..200_usize).prop_map(
            |(version, is_forgotten, limit)| Step::Reconnect { version, is_forgotten, limit }
        ),
    ]
}

proptest! {
    #![proptest_config(config(250))]

    #[test]
    fn the_outbox_does_what_a_queue_without_limits_would(
        size in 0..400_usize,
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut memory = std::vec![0; size];
        let mut outbox = Outbox::new(&mut memory);
        let mut oracle = Oracle::default();
        let mut next_id = PacketId::FIRST;
        for step in steps {
            let version = outbox.version();
            match step {
                Step::Publish { .. } | Step::Subscribe | Step::Stream { .. } => {
                    let mut kept = Kept {
                        qos: None,
                        id: next_id,
                        dup: false,
                        has_property: false,
                        payload: 0,
                        is_stream: false,
                    };
                    match step {
                        Step::Publish { qos, payload, has_property } => {
                            kept.qos = Some(qos);
                            kept.payload = payload;
                            kept.has_property = has_property && version == V5;
                        }
                        Step::Stream { qos, payload } => {
                            kept.qos = Some(qos);
                            kept.payload = payload;
                            kept.is_stream = true;
                        }
                        _ => {}
                    }
                    next_id = next_id.next();
                    let bytes = kept.bytes(version);
                    let used: usize = oracle.all().map(|kept| kept.bytes(version).len() + 2).sum();
                    let fits = used + bytes.len() + 2 <= size && oracle.missing.is_none();
                    let space = if kept.is_stream {
                        outbox.append_stream(bytes.len(), kept.payload)
                    } else {
                        outbox.append(bytes.len())
                    };
                    prop_assert_eq!(space.is_some(), fits);
                    if let Some(space) = space {
                        space.copy_from_slice(&bytes);
                        oracle.missing = kept.is_stream.then_some(kept.payload);
                        oracle.waiting.push_back(kept);
                    }
                }
                Step::Streamed(len) => {
                    let missing = oracle.missing_payload(version);
                    outbox.streamed(len);
                    if missing > 0 {
                        oracle.missing = Some(missing.saturating_sub(len));
                        oracle.sent(version, 0);
                    }
                }
                Step::Release(quota) => {
                    if outbox.sendable().is_empty() {
                        let mut left = quota;
                        outbox.release(|entry| {
                            let costs = usize::from(entry.qos > QoS::AtMostOnce);
                            let may_send = costs <= left;
                            left -= if may_send { costs } else { 0 };
                            may_send
                        });
                        oracle.release(quota);
                    }
                }
                Step::Sent(len) => {
                    let len = len.min(outbox.sendable().len());
                    if len > 0 {
                        outbox.sent(len);
                        oracle.sent(version, len);
                    }
                }
                Step::Acknowledge(which) => {
                    if let Some(at) = which.checked_rem(oracle.sent.len()) {
                        outbox.remove_sent(oracle.sent.remove(at).id);
                    }
                }
                Step::Reconnect { version, is_forgotten, limit } => {
                    outbox.rewind();
                    oracle.rewind();
                    outbox.convert(version);
                    if is_forgotten {
                        outbox.forget_sending();
                    }
                    outbox.retain(|entry| entry.packet_len < limit);
                    for kept in &mut oracle.waiting {
                        kept.has_property &= version == V5;
                        kept.dup &= !is_forgotten;
                    }
                    oracle.waiting.retain(|kept| kept.bytes(version).len() < limit);
                }
            }
            let version = outbox.version();
            prop_assert_eq!(outbox.sendable(), &oracle.sendable(version)[..]);
            prop_assert_eq!(outbox.missing_payload(), oracle.missing_payload(version));
            prop_assert_eq!(outbox.is_streaming(), oracle.missing.is_some());
            prop_assert_eq!(outbox.is_between_packets(), oracle.progress == 0);
            prop_assert_eq!(
                outbox.has_unsent(),
                !oracle.released.is_empty() || !oracle.waiting.is_empty()
            );
            for kept in oracle.all().filter(|kept| kept.qos != Some(QoS::AtMostOnce)) {
                let is_sent = oracle.sent.contains(kept);
                prop_assert_eq!(outbox.is_unsent(kept.id), !is_sent);
                prop_assert!(outbox.contains(kept.id));
            }
            let rest = match oracle.released.front() {
                Some(first) if oracle.progress > 0 => {
                    first.bytes(version)[oracle.progress..].to_vec()
                }
                _ => Vec::new(),
            };
            prop_assert_eq!(outbox.rest_of_packet(), &rest[..]);
        }
    }
}
