//! CONNECT and DISCONNECT: who comes, with which session, and how it goes.

use std::fmt;
use std::num::{NonZeroU16, NonZeroU32};

use declic_mqtt::packet::{
    ConnAck, Connect, DecodeError, Disconnect, FixedHeader, MAX_VARINT, Packet, PacketKind,
    Properties, Property,
};
use declic_mqtt::{Instant, ProtocolVersion, ReasonCode};

use super::aliases::SentAliases;
use super::connection::{ConnId, State, pause};
use super::messages::MESSAGE_OVERHEAD;
use super::timers::Timer;
use super::{CloseReason, Effect, Engine, Limits};

/// Which question an answer belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket(ConnId);

/// What of a session belongs to somebody who comes with its client identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    /// All of it.
    Own,
    /// Its client identifier only: it ends, and another one begins.
    Place,
    /// Nothing.
    None,
}

/// Somebody wants to connect. Its `Debug` leaves out the password.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Authenticate {
    /// To be given back with the answer.
    pub ticket: Ticket,
    /// The connection.
    pub conn: ConnId,
    /// The client identifier as it was asked for, perhaps empty.
    pub client_id: Box<str>,
    /// The user's name, if there is one.
    pub user_name: Option<Box<str>>,
    /// The password, if there is one.
    pub password: Option<Box<[u8]>>,
}

impl fmt::Debug for Authenticate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticate")
            .field("ticket", &self.ticket)
            .field("conn", &self.conn)
            .field("client_id", &self.client_id)
            .field("user_name", &self.user_name)
            .finish_non_exhaustive()
    }
}

/// Whom a client turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// Nobody in particular.
    Anonymous,
    /// A user, by the name that rights know.
    User(Box<str>),
    /// A part of the owner itself, which may do everything.
    Trusted,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anonymous => "nobody in particular",
            Self::User(name) => name,
            Self::Trusted => "the broker itself",
        })
    }
}

impl Engine {
    /// The answer to an [`Effect::Authenticate`]: accept the client, or refuse it with a reason
    /// that a CONNACK can carry.
    pub fn handle_authenticated(
        &mut self,
        ticket: Ticket,
        answer: Result<Identity, ReasonCode>,
        now: Instant,
    ) {
        let Some(slot) = self.conns.slot(ticket.0) else {
            return;
        };
        if self.conns[slot].state != State::Authenticating {
            return;
        }
        // The CONNECT was kept, with what came behind it.
        let tail = self.take_tail(slot);
        self.conns[slot].state = State::Opened;
        self.resume(slot, pause::AUTHENTICATION);
        let Ok(Some(header)) = FixedHeader::decode(&tail) else {
            return;
        };
        let (packet, rest) = tail.split_at(header.packet_len());
        let version = self.conns[slot].version;
        if let Ok(Packet::Connect(connect)) =
            Packet::decode(version, header, &packet[header.len()..])
        {
            match answer {
                Ok(identity) => self.accept(slot, &connect, identity, now),
                Err(reason) => self.refuse(slot, connect.version, reason, now),
            }
        }
        self.handle_packets(slot, rest, now);
    }

    pub(super) fn handle_connect(
        &mut self,
        slot: u32,
        header: FixedHeader,
        body: &[u8],
        now: Instant,
    ) {
        let connect = match Packet::decode(ProtocolVersion::V5, header, body) {
            Ok(Packet::Connect(connect)) => connect,
            Ok(_) => return self.close(slot, CloseReason::Unexpected, now),
            Err(error) => return self.malformed_connect(slot, error, body, now),
        };
        let conn = &mut self.conns[slot];
        conn.version = connect.version;
        if let Some(size) = connect.properties.maximum_packet_size() {
            conn.packet_size = size.get();
        }
        conn.wants_reasons = connect.version == ProtocolVersion::V5
            && connect.properties.request_problem_information() != Some(false);
        if connect.properties.authentication_method().is_some() {
            // `[MQTT-4.12.0-1]` of 5.0
            let reason = ReasonCode::BadAuthenticationMethod;
            let why = Some("there is no enhanced authentication here");
            return self.refuse_because(slot, connect.version, reason, why, now);
        }
        if connect.client_id.is_empty()
            && connect.version == ProtocolVersion::V3_1_1
            && !connect.clean_start
        {
            // `[MQTT-3.1.3-8]` of 3.1.1
            return self.refuse(
                slot,
                connect.version,
                ReasonCode::ClientIdentifierNotValid,
                now,
            );
        }
        if !self.authenticate {
            return self.accept(slot, &connect, Identity::Anonymous, now);
        }
        let conn = self.conns.id(slot);
        self.conns[slot].state = State::Authenticating;
        self.effects
            .push_back(Effect::Authenticate(Box::new(Authenticate {
                ticket: Ticket(conn),
                conn,
                client_id: connect.client_id.into(),
                user_name: connect.user_name.map(Into::into),
                password: connect.password.map(Into::into),
            })));
        self.pause(slot, pause::AUTHENTICATION);
        self.keep_connect(slot, header, body, now);
    }

    pub(super) fn handle_disconnect(
        &mut self,
        slot: u32,
        disconnect: &Disconnect<'_>,
        now: Instant,
    ) {
        let Some(session) = self.conns[slot].session else {
            return;
        };
        if let Some(expiry) = disconnect.properties.session_expiry_interval() {
            let session = &mut self.sessions[session as usize];
            if session.expiry == 0 && expiry != 0 {
                // Section 3.14.2.2.2: it can't begin to last now.
                return self.close(slot, CloseReason::Unexpected, now);
            }
            session.expiry = limited_expiry(&self.limits, expiry);
        }
        self.close(slot, CloseReason::Disconnected(disconnect.reason), now);
    }

    fn accept(&mut self, slot: u32, connect: &Connect<'_>, identity: Identity, now: Instant) {
        if let Some(journal) = &mut self.journal {
            journal.touched = false;
        }
        let assigned;
        let client_id = if connect.client_id.is_empty() {
            assigned = self.new_client_id();
            &*assigned
        } else {
            connect.client_id
        };
        let properties = connect.properties;
        let wanted_expiry = match connect.version {
            ProtocolVersion::V3_1_1 if connect.clean_start => 0,
            ProtocolVersion::V3_1_1 => u32::MAX,
            ProtocolVersion::V5 => properties.session_expiry_interval().unwrap_or(0),
        };
        let expiry = limited_expiry(&self.limits, wanted_expiry);
        let keep_alive = match (connect.version, self.limits.keep_alive) {
            (ProtocolVersion::V5, Some(limit))
                if connect.keep_alive == 0 || connect.keep_alive > limit =>
            {
                limit
            }
            _ => connect.keep_alive,
        };
        let response = self.response_information(connect, client_id);
        let mut announced = Vec::new();
        if connect.version == ProtocolVersion::V5 {
            announce_limits(&self.limits, &mut announced);
            if expiry != wanted_expiry {
                announced.push(Property::SessionExpiryInterval(expiry));
            }
            if keep_alive != connect.keep_alive {
                announced.push(Property::ServerKeepAlive(keep_alive));
            }
            if connect.client_id.is_empty() {
                announced.push(Property::AssignedClientIdentifier(client_id));
            }
            if let Some(topic) = &response {
                announced.push(Property::ResponseInformation(topic));
            }
        }
        let connack = |session_present| {
            Packet::ConnAck(ConnAck {
                session_present,
                reason: ReasonCode::Success,
                properties: Properties::new(&announced),
            })
        };
        let length = connack(false).encoded_len(connect.version);
        if length.is_ok_and(|length| length > self.conns[slot].packet_size as usize) {
            // `[MQTT-3.1.2-24]` of 5.0: without a CONNACK there is no connection.
            let reason = CloseReason::Protocol(ReasonCode::PacketTooLarge);
            return self.close(slot, reason, now);
        }
        if let Some(will) = &connect.will {
            let topic = will.topic.as_str();
            let may_write = self
                .rights
                .as_ref()
                .is_none_or(|rights| rights.identity_may_write(&identity, client_id, topic));
            let without_right = (!may_write).then_some(ReasonCode::NotAuthorized);
            if let Some(reason) = self.refusal(topic).or(without_right) {
                let why = Some("the will can't be published to its topic");
                return self.refuse_because(slot, connect.version, reason, why, now);
            }
        }
        let found = self.find_session(client_id);
        let claim = found.map_or(Claim::Own, |session| self.claim(session, &identity));
        if claim == Claim::None {
            return self.refuse_identifier(slot, connect, client_id, now);
        }
        // `[MQTT-3.1.4-2]`, in 5.0 `[MQTT-3.1.4-3]`
        if let Some(old) = found.and_then(|session| self.sessions[session as usize].conn) {
            self.close(old, CloseReason::TakenOver, now);
        }
        // It may have ended with its connection.
        let mut found = self.find_session(client_id);
        if let Some(journal) = self.journal.as_ref().filter(|journal| journal.failing) {
            let lasted = found.is_some_and(|session| journal.lasts(session));
            let goes_on = !connect.clean_start && claim == Claim::Own;
            let is_kept = expiry > 0 && found.is_some() && goes_on;
            if (lasted || expiry > 0) && !is_kept {
                // A session can neither begin nor end for good now.
                self.stats.refused_unstored += 1;
                let (reason, why) = (ReasonCode::QuotaExceeded, "the session can't be stored");
                return self.refuse_because(slot, connect.version, reason, Some(why), now);
            }
        }
        if (connect.clean_start || claim == Claim::Place)
            && let Some(session) = found.take()
        {
            self.end_session(session, now);
        }
        let full = found.is_none()
            && (self.sessions.len() >= self.limits.sessions
                || self.session_bytes() + client_id.len() > self.limits.session_bytes);
        let will = connect
            .will
            .map_or(0, |will| will.topic.as_str().len() + will.payload.len());
        let will_fits =
            will == 0 || self.held_memory() + will + MESSAGE_OVERHEAD <= self.limits.message_bytes;
        if full || !will_fits {
            let reason = ReasonCode::QuotaExceeded;
            let why = Some("no room for one more session, or its will, at the broker");
            return self.refuse_because(slot, connect.version, reason, why, now);
        }
        let session = match found {
            Some(session) => {
                self.resume_session(session);
                session
            }
            None => self.new_session(client_id),
        };
        let state = &mut self.sessions[session as usize];
        state.conn = Some(slot);
        state.expiry = expiry;
        state.identity = Some(identity);
        if self.rights.is_some() {
            self.apply_rights(session);
        }
        if let Some(will) = &connect.will {
            self.store_will(session, will);
        }
        let is_held = self.journal.as_mut().is_some_and(|journal| {
            journal.connected(session, expiry > 0, connect.will.is_some());
            // Going on with a session promises nothing new.
            journal.touched && !journal.failing
        });
        let conn = &mut self.conns[slot];
        conn.state = State::Connected;
        conn.session = Some(session);
        conn.keep_alive = keep_alive;
        conn.connected_at = now;
        let window = properties
            .receive_maximum()
            .map_or(u16::MAX, NonZeroU16::get);
        conn.window = window.min(self.limits.outbound_in_flight);
        let aliases = properties.topic_alias_maximum().unwrap_or(0);
        conn.sent_aliases = SentAliases::new(aliases.min(self.limits.outbound_topic_aliases));
        if let Some(timer) = conn.timer.take() {
            self.timers.cancel(timer);
        }
        conn.timer = conn
            .keep_alive_deadline()
            .map(|deadline| self.timers.set(deadline, Timer::Connection(slot)));
        self.stats.accepted += 1;
        self.stats.clients += 1;
        self.effects.push_back(Effect::Connected {
            conn: self.conns.id(slot),
            client_id: client_id.into(),
            version: connect.version,
            session_present: found.is_some(),
        });
        if is_held {
            self.answer_when_stored(slot, &connack(found.is_some()));
            self.silence(slot);
        } else {
            self.answer(slot, &connack(found.is_some()));
        }
        if found.is_some() {
            self.redeliver(slot, session);
        }
    }

    /// What somebody may have of a session with the client identifier that was asked for.
    fn claim(&self, session: u32, who: &Identity) -> Claim {
        match &self.sessions[session as usize].identity {
            // Nobody has been asked who he is.
            _ if !self.authenticate => Claim::Own,
            // From a store that didn't say whose it is.
            None => Claim::Own,
            Some(owner) if owner == who => Claim::Own,
            // Whoever is somebody comes before nobody in particular, but does not go on with what
            // that one has prepared.
            Some(Identity::Anonymous) => Claim::Place,
            Some(_) if *who == Identity::Trusted => Claim::Place,
            Some(_) => Claim::None,
        }
    }

    /// Refuses a client whose identifier is that of another user's session.
    fn refuse_identifier(
        &mut self,
        slot: u32,
        connect: &Connect<'_>,
        client_id: &str,
        now: Instant,
    ) {
        let session = self.find_session(client_id);
        let owner = session.and_then(|session| self.sessions[session as usize].identity.clone());
        self.stats.refused_identifiers += 1;
        self.effects.push_back(Effect::IdentifierRefused {
            conn: self.conns.id(slot),
            client_id: client_id.into(),
            owner: owner.unwrap_or(Identity::Anonymous),
        });
        let reason = ReasonCode::ClientIdentifierNotValid;
        let why = Some("the session with this client id is another user's");
        self.refuse_because(slot, connect.version, reason, why, now);
    }

    /// Refuses a client with a CONNACK.
    fn refuse(&mut self, slot: u32, version: ProtocolVersion, reason: ReasonCode, now: Instant) {
        self.refuse_because(slot, version, reason, None, now);
    }

    /// The same with a reason in words.
    fn refuse_because(
        &mut self,
        slot: u32,
        version: ProtocolVersion,
        reason: ReasonCode,
        why: Option<&str>,
        now: Instant,
    ) {
        self.stats.refused += 1;
        self.conns[slot].version = version;
        // 3.1.1 closes without an answer where none of its codes says what is meant.
        if version == ProtocolVersion::V5 || !matches!(reason, ReasonCode::MalformedPacket) {
            let connack = ConnAck {
                session_present: false,
                reason,
                properties: Properties::EMPTY,
            };
            self.answer_explained(slot, why, Packet::ConnAck(connack));
        }
        self.close(slot, CloseReason::Refused(reason), now);
    }

    fn malformed_connect(&mut self, slot: u32, error: DecodeError, body: &[u8], now: Instant) {
        match error {
            // `[MQTT-3.1.2-2]`: in the form that the client will understand. The highest bit
            // marks a bridge of 3.1.1.
            DecodeError::UnsupportedVersion(level) => {
                let version = match level {
                    6..=0x7f => ProtocolVersion::V5,
                    _ => ProtocolVersion::V3_1_1,
                };
                self.refuse(slot, version, ReasonCode::UnsupportedProtocolVersion, now);
            }
            // `[MQTT-3.1.4-1]`: 3.1.1 answers nothing, 5.0 may.
            error if body.starts_with(b"\0\x04MQTT\x05") => {
                let reason = match error.reason_code() {
                    reason if reason.is_allowed_in(PacketKind::ConnAck) => reason,
                    _ => ReasonCode::MalformedPacket,
                };
                self.refuse(slot, ProtocolVersion::V5, reason, now);
            }
            error => self.malformed(slot, error, now),
        }
    }

    /// Keeps a CONNECT until it is known who it is from.
    fn keep_connect(&mut self, slot: u32, header: FixedHeader, body: &[u8], now: Instant) {
        let mut packet = Vec::with_capacity(header.packet_len());
        packet.push((PacketKind::Connect as u8) << 4);
        let mut length = body.len();
        while length >= 0x80 {
            packet.push(length as u8 | 0x80);
            length >>= 7;
        }
        packet.push(length as u8);
        packet.extend_from_slice(body);
        self.keep_tail(slot, packet, now);
    }

    /// Where a client may have answers sent to, if it asks for it.
    fn response_information(&self, connect: &Connect<'_>, client_id: &str) -> Option<String> {
        // `[MQTT-3.1.2-28]` of 5.0. No topic name has a wildcard in it.
        let asked = connect.properties.request_response_information() == Some(true);
        (asked && !self.response_prefix.is_empty())
            .then(|| format!("{}/{client_id}", self.response_prefix))
            .filter(|topic| !topic.contains(['+', '#']))
    }

    /// A client identifier that nobody uses and nobody guesses.
    fn new_client_id(&mut self) -> Box<str> {
        loop {
            self.assigned += 1;
            let id = format!("auto-{:016x}", self.hash.number(self.assigned));
            if self.find_session(&id).is_none() {
                return id.into();
            }
        }
    }
}

fn limited_expiry(limits: &Limits, wanted: u32) -> u32 {
    let limit = limits
        .session_expiry
        .map_or(u64::MAX, |limit| limit.as_secs());
    wanted.min(u32::try_from(limit).unwrap_or(u32::MAX))
}

fn announce_limits(limits: &Limits, properties: &mut Vec<Property<'_>>) {
    if let Some(maximum) = NonZeroU16::new(limits.inbound_in_flight)
        && maximum != NonZeroU16::MAX
    {
        properties.push(Property::ReceiveMaximum(maximum));
    }
    let size = u32::try_from(limits.packet_size)
        .ok()
        .and_then(NonZeroU32::new);
    if let Some(size) = size
        && size.get() < MAX_VARINT
    {
        properties.push(Property::MaximumPacketSize(size));
    }
    if limits.topic_aliases > 0 {
        properties.push(Property::TopicAliasMaximum(limits.topic_aliases));
    }
}
