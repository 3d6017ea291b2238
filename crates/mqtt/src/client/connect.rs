//! From CONNECT to CONNACK (sections 3.1 and 3.2), and what becomes of an earlier session.

use core::num::NonZeroU16;
use core::time::Duration;

use super::{Client, ConnectError, Limits, Phase, ProtocolError, Stage};
use crate::Instant;
use crate::packet::{ConnAck, Connect, Properties, Property, ProtocolVersion, QoS, ReasonCode};

impl Client<'_> {
    /// Begins a connection on a transport that was just opened: CONNECT is the next that
    /// [`Self::transmit`] returns.
    ///
    /// In 5.0 the client adds its receive maximum to the properties, unless they say a smaller one.
    /// A [`Property::TopicAliasMaximum`] lets the server send topic aliases, which the owner then
    /// resolves itself. With a [`Property::MaximumPacketSize`] larger packets are refused.
    ///
    /// Without `clean_start` the owner says that `self` knows the session, if only because it is
    /// new: messages that wait are sent again with their identifiers if the server knows it too.
    /// A clean start that no CONNACK confirmed is asked for again, whatever `connect` says: nobody
    /// could tell which session the server would go on with.
    ///
    /// # Errors
    /// There is a connection already, the CONNECT does not fit in the receive buffer, or it asks
    /// for what can't be: see [`ConnectError`].
    pub fn connect(&mut self, connect: &Connect<'_>, now: Instant) -> Result<(), ConnectError> {
        if self.phase != Phase::Idle {
            return Err(ConnectError::NotIdle);
        }
        let mut connect = *connect;
        connect.clean_start |= self.wants_clean_start;
        let places = u16::try_from(self.inbound.places()).unwrap_or(u16::MAX);
        let places = NonZeroU16::new(places).unwrap_or(NonZeroU16::MIN);
        let own = [Property::ReceiveMaximum(places)];
        let added = match connect.properties.receive_maximum() {
            None => Properties::new(&own),
            Some(asked) if connect.version == ProtocolVersion::V5 && asked > places => {
                return Err(ConnectError::ReceiveMaximum {
                    asked: asked.get(),
                    places: places.get(),
                });
            }
            Some(_) => Properties::EMPTY,
        };
        let has_id = !connect.client_id.is_empty();
        if connect.version == ProtocolVersion::V3_1_1 && !has_id && !connect.clean_start {
            return Err(ConnectError::NoClientId);
        }
        let len = connect
            .encode_with(added, self.receiver.buffer())
            .map_err(ConnectError::Encode)?;
        self.receiver.hold_connect(len);
        self.outbox.convert(connect.version);
        self.version = connect.version;
        self.wants_clean_start = connect.clean_start;
        let properties = match connect.version {
            ProtocolVersion::V3_1_1 => Properties::EMPTY,
            ProtocolVersion::V5 => connect.properties,
        };
        self.topic_alias_maximum = properties.topic_alias_maximum().unwrap_or(0);
        self.accepted_size = properties
            .maximum_packet_size()
            .map_or(usize::MAX, |size| size.get() as usize);
        self.limits = Limits::NONE;
        self.timers.keep_alive = Duration::from_secs(u64::from(connect.keep_alive));
        self.timers.last_sent = now;
        self.timers.last_received = now;
        self.timers.start(now + self.config.connect_timeout);
        self.inbound.start();
        self.phase = Phase::SendingConnect;
        Ok(())
    }

    /// Takes the server's acceptance; the event is made by the caller.
    pub(super) fn accept(&mut self, accepted: Accepted) -> Result<(), ProtocolError> {
        if self.wants_clean_start && accepted.session_present {
            return Err(ProtocolError::SessionPresent);
        }
        self.wants_clean_start = false;
        self.limits = accepted.limits;
        if let Some(seconds) = accepted.server_keep_alive {
            self.timers.keep_alive = Duration::from_secs(u64::from(seconds));
        }
        if !accepted.session_present {
            self.forget_session();
        }
        // What is between PUBREC and PUBCOMP may count for the server still.
        self.unacknowledged = self.in_flight.count(|stage| stage == Stage::Release);
        self.drop_unsupported();
        self.phase = Phase::Connected;
        Ok(())
    }

    /// The server has no session: what the client knows of it goes (`[MQTT-3.2.2-5]` of 5.0). The
    /// messages that are not acknowledged become new ones.
    fn forget_session(&mut self) {
        self.inbound.clear();
        self.outbox.forget_sending();
        // The server had received these, or there would have been no PUBREC.
        self.in_flight
            .replace_all(Stage::Release, Stage::Acknowledged);
    }

    /// Drops the messages that this server can't take.
    fn drop_unsupported(&mut self) {
        let limits = self.limits;
        let (in_flight, dropped_qos0) = (&mut self.in_flight, &mut self.dropped_qos0);
        self.outbox.retain(|entry| {
            let Err(reason) = limits.check(entry.packet_len, entry.qos, entry.retain) else {
                return true;
            };
            match entry.packet_id {
                Some(id) => in_flight.set(id, Stage::Dropped(reason)),
                None => {
                    let (count, _) = dropped_qos0.unwrap_or((0, reason));
                    *dropped_qos0 = Some((count.saturating_add(1), reason));
                }
            }
            false
        });
    }
}

/// What a CONNACK says to the client itself.
pub(super) struct Accepted {
    session_present: bool,
    limits: Limits,
    server_keep_alive: Option<u16>,
}

impl Accepted {
    pub(super) fn new(connack: &ConnAck<'_>) -> Self {
        let properties = connack.properties;
        Self {
            session_present: connack.session_present,
            limits: Limits {
                receive_maximum: properties
                    .receive_maximum()
                    .map_or(u16::MAX, NonZeroU16::get),
                maximum_packet_size: properties
                    .maximum_packet_size()
                    .map_or(usize::MAX, |size| size.get() as usize),
                maximum_qos: properties.maximum_qos().unwrap_or(QoS::ExactlyOnce),
                retain_available: properties.retain_available().unwrap_or(true),
            },
            server_keep_alive: properties.server_keep_alive(),
        }
    }
}

impl Limits {
    /// Whether the server takes a PUBLISH of `len` bytes with `qos` and `retain`.
    pub(super) fn check(self, len: usize, qos: QoS, retain: bool) -> Result<(), ReasonCode> {
        if len > self.maximum_packet_size {
            Err(ReasonCode::PacketTooLarge)
        } else if qos > self.maximum_qos {
            Err(ReasonCode::QoSNotSupported)
        } else if retain && !self.retain_available {
            Err(ReasonCode::RetainNotSupported)
        } else {
            Ok(())
        }
    }
}
