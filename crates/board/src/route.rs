//! Which broker is tried next: one of those that are set, one that was found in the network, or one
//! that another broker named.

use heapless::String;

use crate::{Destination, Settings};

/// The way to the broker.
///
/// - Of several that are set, the next one is tried when one can't be reached or does not keep the
///   connection for long. One that did is tried first after a loss.
/// - One that was found in the network counts for one attempt and the connection that it leads to;
///   then it is searched for again.
/// - A broker of MQTT 5 can name another one (section 4.11). "Use another server" counts for the
///   next connection, "server moved" until that one can't be reached. Both are forgotten at a
///   restart: otherwise a wrong broker could take a board away for ever. [`MAX_HOPS`] are followed
///   in a row.
#[derive(Debug, Clone, Default)]
pub(crate) struct Route {
    /// The one that is tried, of those that are set.
    index: u8,
    elsewhere: Option<Elsewhere>,
    hops: u8,
    /// The destination that may still have a session of this run.
    session_at: Option<u32>,
}

#[derive(Debug, Clone)]
struct Elsewhere {
    host: String<HOST_LEN>,
    port: u16,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Found,
    /// Named for one connection.
    Named,
    /// Named for good.
    Moved,
}

impl Route {
    /// Where to connect to; `None` where no broker is set.
    pub(crate) fn destination<'a>(&'a self, settings: &'a Settings) -> Option<Destination<'a>> {
        match &self.elsewhere {
            Some(Elsewhere { host, port, .. }) => Some(Destination { host, port: *port }),
            None => settings.brokers().nth(self.index.into()),
        }
    }

    /// A broker was found in the network. Returns whether that can be one.
    pub(crate) fn found(&mut self, host: &str, port: u16) -> bool {
        self.go(host, port, Kind::Found)
    }

    /// The broker ended the connection and named others in `reference`, `for_good` or for once.
    /// Returns whether the first of them is tried next.
    pub(crate) fn follow(&mut self, reference: &str, for_good: bool, was_stable: bool) -> bool {
        if was_stable {
            self.hops = 0;
        }
        let Some(to) = Destination::list(reference, STANDARD_PORT).next() else {
            return false;
        };
        if self.hops == MAX_HOPS {
            self.hops = 0;
            return false;
        }
        self.hops += 1;
        let kind = if for_good { Kind::Moved } else { Kind::Named };
        self.go(to.host, to.port, kind)
    }

    fn go(&mut self, host: &str, port: u16, kind: Kind) -> bool {
        let Ok(host) = String::try_from(host) else {
            return false;
        };
        self.elsewhere = Some(Elsewhere { host, port, kind });
        true
    }

    /// There is no connection to the destination, or no more. Returns whether the next attempt goes
    /// to a broker that was not tried in this round.
    pub(crate) fn failed(&mut self, settings: &Settings, was_stable: bool) -> bool {
        match self.elsewhere.as_ref().map(|elsewhere| elsewhere.kind) {
            Some(Kind::Moved) if was_stable => return false,
            Some(Kind::Moved | Kind::Named) => {
                self.elsewhere = None;
                return false;
            }
            Some(Kind::Found) => self.elsewhere = None,
            None => {}
        }
        if !was_stable {
            let next = usize::from(self.index) + 1;
            self.index = if next < settings.brokers().count() {
                next as u8
            } else {
                0
            };
        }
        !was_stable && self.index > 0
    }

    /// The network is gone: that is nobody's fault, but in the next one much may be different.
    pub(crate) fn left(&mut self) {
        self.elsewhere
            .take_if(|elsewhere| elsewhere.kind != Kind::Moved);
    }

    /// The destination accepted the board, and keeps its session (`keeps`) or not.
    pub(crate) fn accepted(&mut self, settings: &Settings, keeps: bool) {
        let here = self.destination(settings);
        self.session_at = here.filter(|_| keeps).map(|here| here.fingerprint());
    }

    /// Whether the destination may still have a session of this run. With any other broker, an
    /// identifier of a message could mean an older message.
    pub(crate) fn has_session(&self, settings: &Settings) -> bool {
        let here = self.destination(settings);
        self.session_at.is_some() && here.map(|here| here.fingerprint()) == self.session_at
    }
}

/// Bytes of the longest name that is followed.
const HOST_LEN: usize = 64;
const STANDARD_PORT: u16 = 1883;

/// How many brokers in a row may name another one.
const MAX_HOPS: u8 = 3;
