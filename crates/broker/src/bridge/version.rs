//! Which version of MQTT is spoken with the other broker: 5.0, and 3.1.1 with one that does not know
//! it.

use declic_mqtt::client::CloseReason;
use declic_mqtt::{ProtocolVersion, ReasonCode};

use super::rules::InvalidRule;

/// What is spoken, and what is known of the other broker.
#[derive(Debug)]
pub(super) struct Version<'a> {
    wanted: ProtocolVersion,
    spoken: ProtocolVersion,
    /// The other broker has accepted what is spoken.
    is_known: bool,
    /// Why 3.1.1 can't be spoken.
    obstacle: Option<&'a InvalidRule>,
}

/// What follows a connection that was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next<'a> {
    /// The same again, after a pause.
    Again,
    /// 3.1.1, at once.
    Older,
    /// The other broker speaks 3.1.1 only, which can't be spoken.
    Stuck(&'a InvalidRule),
}

impl<'a> Version<'a> {
    pub(super) const fn new(wanted: ProtocolVersion, obstacle: Option<&'a InvalidRule>) -> Self {
        Self {
            wanted,
            spoken: wanted,
            is_known: false,
            obstacle,
        }
    }

    pub(super) const fn spoken(&self) -> ProtocolVersion {
        self.spoken
    }

    /// The other broker has accepted the connection. Returns whether it turned out to speak an older
    /// version than was wanted.
    pub(super) fn accepted(&mut self) -> bool {
        let is_new = !std::mem::replace(&mut self.is_known, true);
        is_new && self.spoken != self.wanted
    }

    /// The connection ended before the other broker had accepted it.
    pub(super) fn not_accepted(&mut self, reason: CloseReason) -> Next<'a> {
        let is_said = reason == CloseReason::Refused(ReasonCode::UnsupportedProtocolVersion);
        // Some say nothing and close.
        let is_likely = reason == CloseReason::Lost && !self.is_known;
        if !is_said && !is_likely {
            return Next::Again;
        }
        match (self.spoken, self.obstacle) {
            (ProtocolVersion::V3_1_1, _) => {
                // It was not the version.
                self.spoken = self.wanted;
                self.is_known = false;
                Next::Again
            }
            (ProtocolVersion::V5, None) => {
                self.spoken = ProtocolVersion::V3_1_1;
                self.is_known = false;
                Next::Older
            }
            (ProtocolVersion::V5, Some(obstacle)) if is_said => Next::Stuck(obstacle),
            (ProtocolVersion::V5, Some(_)) => Next::Again,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ProtocolVersion::{V3_1_1, V5};
    use super::*;

    const UNKNOWN: CloseReason = CloseReason::Refused(ReasonCode::UnsupportedProtocolVersion);

    #[test]
    fn the_older_version_is_remembered_once_it_was_accepted() {
        for reason in [UNKNOWN, CloseReason::Lost] {
            let mut version = Version::new(V5, None);
            assert_eq!(version.not_accepted(reason), Next::Older);
            assert_eq!(version.spoken(), V3_1_1);
            assert!(version.accepted());
            assert!(!version.accepted(), "it is told once");
            // The other broker restarts: it is closed, or has no time.
            for reason in [
                CloseReason::Lost,
                CloseReason::ConnectTimeout,
                CloseReason::Refused(ReasonCode::ServerUnavailable),
            ] {
                assert_eq!(version.not_accepted(reason), Next::Again);
                assert_eq!(version.spoken(), V3_1_1);
            }
            // It is another one now.
            assert_eq!(version.not_accepted(UNKNOWN), Next::Again);
            assert_eq!(version.spoken(), V5);
        }
    }

    #[test]
    fn a_broker_that_closes_whatever_is_spoken_is_asked_with_the_newer_version_again() {
        let mut version = Version::new(V5, None);
        for _ in 0..3 {
            assert_eq!(version.not_accepted(CloseReason::Lost), Next::Older);
            assert_eq!(version.not_accepted(CloseReason::Lost), Next::Again);
            assert_eq!(version.spoken(), V5);
        }
        assert!(!version.accepted());
        // It speaks 5.0, so a lost connection says nothing about that.
        assert_eq!(version.not_accepted(CloseReason::Lost), Next::Again);
        assert_eq!(version.spoken(), V5);
    }

    #[test]
    fn what_can_not_be_spoken_or_was_not_asked_for_is_not_tried() {
        let obstacle = InvalidRule::Echo { one: 0, other: 0 };
        let mut version = Version::new(V5, Some(&obstacle));
        assert_eq!(version.not_accepted(UNKNOWN), Next::Stuck(&obstacle));
        assert_eq!(version.not_accepted(CloseReason::Lost), Next::Again);
        assert_eq!(version.spoken(), V5);
        let mut version = Version::new(V3_1_1, None);
        assert_eq!(version.not_accepted(UNKNOWN), Next::Again);
        assert_eq!(version.spoken(), V3_1_1);
        assert!(!version.accepted());
    }
}
