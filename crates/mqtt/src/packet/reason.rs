//! Reason codes of 5.0 (section 2.4), which also stand for the return codes of 3.1.1.

use core::fmt;

use super::{DecodeError, PacketKind, ProtocolVersion};

macro_rules! reason_codes {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $text:literal, [$($kind:ident)*];)*) => {
        /// Why something was accepted, refused or ended.
        ///
        /// [`Self::Success`], [`Self::NORMAL_DISCONNECTION`] and [`Self::GRANTED_QOS_0`] share the
        /// value 0x00; which one is meant depends on the packet.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum ReasonCode {
            $($(#[$doc])* $name = $value,)*
        }

        impl ReasonCode {
            pub(super) const fn from_u8(value: u8) -> Option<Self> {
                match value {
                    $($value => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Packets that may carry the code, one bit for each [`PacketKind`].
            const fn kinds(self) -> u16 {
                match self {
                    $(Self::$name => 0 $(| 1 << PacketKind::$kind as u16)*,)*
                }
            }

            /// The name of the code in the specification, in lower case.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

reason_codes! {
    /// Success, normal disconnection, or QoS 0 granted.
    Success = 0x00, "success",
        [ConnAck PubAck PubRec PubRel PubComp SubAck UnsubAck Disconnect Auth];
    /// The subscription is accepted; the maximum QoS sent will be 1.
    GrantedQoS1 = 0x01, "granted QoS 1", [SubAck];
    /// The subscription is accepted; any received QoS will be sent.
    GrantedQoS2 = 0x02, "granted QoS 2", [SubAck];
    /// The client wants its will published although it disconnects.
    DisconnectWithWill = 0x04, "disconnect with will message", [Disconnect];
    /// The message is accepted, but nobody subscribes to its topic.
    NoMatchingSubscribers = 0x10, "no matching subscribers", [PubAck PubRec];
    /// There was no such subscription.
    NoSubscriptionExisted = 0x11, "no subscription existed", [UnsubAck];
    /// Go on with the authentication.
    ContinueAuthentication = 0x18, "continue authentication", [Auth];
    /// Authenticate again.
    ReAuthenticate = 0x19, "re-authenticate", [Auth];
    /// Not accepted, for a reason without a code of its own.
    UnspecifiedError = 0x80, "unspecified error",
        [ConnAck PubAck PubRec SubAck UnsubAck Disconnect];
    /// A packet could not be parsed.
    MalformedPacket = 0x81, "malformed packet", [ConnAck Disconnect];
    /// A packet came that the protocol does not allow there.
    ProtocolError = 0x82, "protocol error", [ConnAck Disconnect];
    /// Valid, but not accepted by this implementation.
    ImplementationSpecificError = 0x83, "implementation specific error",
        [ConnAck PubAck PubRec SubAck UnsubAck Disconnect];
    /// The server does not speak the version asked for.
    UnsupportedProtocolVersion = 0x84, "unsupported protocol version", [ConnAck];
    /// The client identifier is valid but not allowed.
    ClientIdentifierNotValid = 0x85, "client identifier not valid", [ConnAck];
    /// User name or password are wrong.
    BadUserNameOrPassword = 0x86, "bad user name or password", [ConnAck];
    /// The client has no right to do this.
    NotAuthorized = 0x87, "not authorized",
        [ConnAck PubAck PubRec SubAck UnsubAck Disconnect];
    /// The server is not available.
    ServerUnavailable = 0x88, "server unavailable", [ConnAck];
    /// The server is busy; try again later.
    ServerBusy = 0x89, "server busy", [ConnAck Disconnect];
    /// The client was banned by an administrator.
    Banned = 0x8a, "banned", [ConnAck];
    /// The server is shutting down.
    ServerShuttingDown = 0x8b, "server shutting down", [Disconnect];
    /// The authentication method is not supported or not the one in use.
    BadAuthenticationMethod = 0x8c, "bad authentication method", [ConnAck Disconnect];
    /// Nothing was received for 1.5 times the keep-alive.
    KeepAliveTimeout = 0x8d, "keep-alive timeout", [Disconnect];
    /// Another connection uses the same client identifier now.
    SessionTakenOver = 0x8e, "session taken over", [Disconnect];
    /// The topic filter is valid but not accepted.
    TopicFilterInvalid = 0x8f, "topic filter invalid", [SubAck UnsubAck Disconnect];
    /// The topic name is valid but not accepted.
    TopicNameInvalid = 0x90, "topic name invalid", [ConnAck PubAck PubRec Disconnect];
    /// The packet identifier is in use already.
    PacketIdentifierInUse = 0x91, "packet identifier in use", [PubAck PubRec SubAck UnsubAck];
    /// The packet identifier is not known.
    PacketIdentifierNotFound = 0x92, "packet identifier not found", [PubRel PubComp];
    /// More than the receive maximum of publishes were sent without acknowledgement.
    ReceiveMaximumExceeded = 0x93, "receive maximum exceeded", [Disconnect];
    /// A topic alias is 0 or above the maximum.
    TopicAliasInvalid = 0x94, "topic alias invalid", [Disconnect];
    /// A packet is larger than the receiver's maximum.
    PacketTooLarge = 0x95, "packet too large", [ConnAck Disconnect];
    /// Messages come too fast.
    MessageRateTooHigh = 0x96, "message rate too high", [Disconnect];
    /// A limit set by the implementation or an administrator is exceeded.
    QuotaExceeded = 0x97, "quota exceeded", [ConnAck PubAck PubRec SubAck Disconnect];
    /// An administrator closed the connection.
    AdministrativeAction = 0x98, "administrative action", [Disconnect];
    /// The payload is not what its format indicator says.
    PayloadFormatInvalid = 0x99, "payload format invalid", [ConnAck PubAck PubRec Disconnect];
    /// The server has no retained messages.
    RetainNotSupported = 0x9a, "retain not supported", [ConnAck Disconnect];
    /// The QoS is above the server's maximum.
    QoSNotSupported = 0x9b, "QoS not supported", [ConnAck Disconnect];
    /// Use another server for now.
    UseAnotherServer = 0x9c, "use another server", [ConnAck Disconnect];
    /// Use another server from now on.
    ServerMoved = 0x9d, "server moved", [ConnAck Disconnect];
    /// The server has no shared subscriptions.
    SharedSubscriptionsNotSupported = 0x9e, "shared subscriptions not supported",
        [SubAck Disconnect];
    /// Connections come too fast.
    ConnectionRateExceeded = 0x9f, "connection rate exceeded", [ConnAck Disconnect];
    /// The longest time a connection may last is over.
    MaximumConnectTime = 0xa0, "maximum connect time", [Disconnect];
    /// The server has no subscription identifiers.
    SubscriptionIdentifiersNotSupported = 0xa1, "subscription identifiers not supported",
        [SubAck Disconnect];
    /// The server has no wildcard subscriptions.
    WildcardSubscriptionsNotSupported = 0xa2, "wildcard subscriptions not supported",
        [SubAck Disconnect];
}

impl ReasonCode {
    /// The connection is closed normally: no will is published.
    pub const NORMAL_DISCONNECTION: Self = Self::Success;
    /// The subscription is accepted with QoS 0.
    pub const GRANTED_QOS_0: Self = Self::Success;

    /// Whether the code says that something failed (0x80 and above).
    pub const fn is_error(self) -> bool {
        self as u8 >= 0x80
    }

    /// The code as it is on the wire of 5.0.
    pub const fn as_u8(self) -> u8 {
        self as u8
    }

    /// The code that a packet of `kind` carries as `value` in 5.0.
    pub(super) const fn decode(kind: PacketKind, value: u8) -> Result<Self, DecodeError> {
        match Self::from_u8(value) {
            Some(code) if code.is_allowed_in(kind) => Ok(code),
            _ => Err(DecodeError::ReasonCode { kind, value }),
        }
    }

    /// The code that `version` carries as `value` in a SUBACK.
    pub(super) const fn decode_suback(
        version: ProtocolVersion,
        value: u8,
    ) -> Result<Self, DecodeError> {
        match (version, value) {
            (ProtocolVersion::V3_1_1, 0x03..=0x7f | 0x81..) => Err(DecodeError::ReasonCode {
                kind: PacketKind::SubAck,
                value,
            }),
            _ => Self::decode(PacketKind::SubAck, value),
        }
    }

    /// The code that stands for a CONNACK return code of 3.1.1 (section 3.2.2.3).
    pub(super) const fn from_connect_return_code(value: u8) -> Result<Self, DecodeError> {
        Ok(match value {
            0 => Self::Success,
            1 => Self::UnsupportedProtocolVersion,
            2 => Self::ClientIdentifierNotValid,
            3 => Self::ServerUnavailable,
            4 => Self::BadUserNameOrPassword,
            5 => Self::NotAuthorized,
            value => {
                return Err(DecodeError::ReasonCode {
                    kind: PacketKind::ConnAck,
                    value,
                });
            }
        })
    }

    /// The CONNACK return code of 3.1.1 that comes nearest.
    pub(super) const fn connect_return_code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::UnsupportedProtocolVersion => 1,
            Self::ClientIdentifierNotValid => 2,
            Self::BadUserNameOrPassword => 4,
            Self::NotAuthorized | Self::Banned | Self::BadAuthenticationMethod => 5,
            _ => 3,
        }
    }

    /// Whether a packet of `kind` may carry the code in 5.0.
    pub const fn is_allowed_in(self, kind: PacketKind) -> bool {
        self.kinds() & (1 << kind as u16) != 0
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (0x{:02x})", self.as_str(), self.as_u8())
    }
}
