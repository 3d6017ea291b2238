//! Whatever happens in whatever order, some things hold.

use std::vec;
use std::vec::Vec;

use core::time::Duration;

use declic_mqtt::packet::{Disconnect, Packet, Properties, Property};
use declic_mqtt::{ProtocolVersion, ReasonCode};
use proptest::prelude::*;

use super::bench::{Bench, LED_SET, LINK};
use crate::{Connection, Effect, Notice, StoreError};

/// Something that happens to a board.
#[derive(Debug, Clone)]
enum Happening {
    LinkUp,
    LinkDown,
    /// The transport opens, if it is being opened, or fails to.
    Opens(bool),
    Closes,
    Level(bool),
    Press,
    Message(&'static str, &'static str),
    Bytes(Vec<u8>),
    /// The broker names another one, for good or for once.
    Redirect(bool),
    Pass(u64),
    /// The broker answers, or does not.
    Answers(bool, bool),
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening as H;
    let payload = prop::sample::select(&["ON", "OFF", "TOGGLE", "", "?"][..]);
    let topic = prop::sample::select(&[LINK, LED_SET, "other"][..]);
    prop_oneof![
        1 => Just(H::LinkUp),
        1 => Just(H::LinkDown),
        6 => any::<bool>().prop_map(H::Opens),
        2 => Just(H::Closes),
        3 => any::<bool>().prop_map(H::Level),
        4 => Just(H::Press),
        4 => (topic, payload).prop_map(|(topic, payload)| H::Message(topic, payload)),
        1 => prop::collection::vec(any::<u8>(), 1..40).prop_map(H::Bytes),
        1 => any::<bool>().prop_map(H::Redirect),
        5 => (0..100_000_u64).prop_map(H::Pass),
        3 => (any::<bool>(), any::<bool>()).prop_map(|(ack, present)| H::Answers(ack, present)),
    ]
}

/// What the owner has of a transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    Closed,
    Opening,
    Open,
}

/// The owner's side: does what the effects say, and checks that they make sense.
struct Owner {
    bench: Bench,
    transport: Transport,
    /// Whether a broker is searched for first.
    searching: bool,
    light: bool,
    missed_notices: usize,
}

impl Owner {
    fn follow_effects(&mut self) {
        for effect in core::mem::take(&mut self.bench.effects) {
            match effect {
                Effect::OpenTransport => {
                    assert_eq!(self.transport, Transport::Closed, "one transport at a time");
                    self.transport = Transport::Opening;
                }
                Effect::FindBroker => {
                    assert_eq!(self.transport, Transport::Closed, "one transport at a time");
                    self.transport = Transport::Opening;
                    self.searching = true;
                }
                Effect::StoreLight { ticket, .. } => {
                    let now = self.bench.now;
                    self.bench.board.handle_stored(ticket, Ok(()), now);
                }
                Effect::CloseTransport => {
                    self.searching = false;
                    assert_ne!(self.transport, Transport::Closed, "nothing to close");
                    self.transport = Transport::Closed;
                }
                Effect::SetLed(on) => self.light = on,
                // The button was held and pressed again: the flash does not work.
                Effect::EraseSettings { ticket } => {
                    let now = self.bench.now;
                    let result = Err(StoreError::Flash);
                    self.bench.board.handle_stored(ticket, result, now);
                }
                _ => {}
            }
        }
        if !self.bench.board.is_confirming_reset() {
            assert_eq!(self.light, self.bench.board.light());
        }
        let missed = |notice: &&Notice| matches!(notice, Notice::Missed(_));
        self.missed_notices += self.bench.notices.iter().filter(missed).count();
        assert_eq!(self.missed_notices, 0, "whoever polls misses nothing");
        self.bench.notices.clear();
        let connection = self.bench.board.connection();
        let expected = match self.transport {
            Transport::Closed => {
                matches!(connection, Connection::Down | Connection::Waiting { .. })
            }
            Transport::Opening => matches!(connection, Connection::Opening { .. }),
            Transport::Open => {
                matches!(
                    connection,
                    Connection::Handshake | Connection::Connected { .. }
                )
            }
        };
        assert!(expected, "{:?} while {connection:?}", self.transport);
    }

    fn open(&mut self) {
        if core::mem::take(&mut self.searching) {
            self.transport = Transport::Closed;
            let now = self.bench.now;
            self.bench.board.handle_broker_found("c.test", 1884, now);
            self.bench.drive();
            self.follow_effects();
            assert_eq!(self.transport, Transport::Opening);
        }
        self.transport = Transport::Open;
        self.bench.transport_opened();
    }

    /// Lets time pass until the board opens a transport.
    fn wait_for_attempt(&mut self) {
        while self.transport != Transport::Opening {
            let next = self
                .bench
                .board
                .poll_timeout()
                .expect("an attempt is planned");
            let wait = next.since(self.bench.now);
            self.happen(&Happening::Pass(wait.as_millis() as u64 + 1));
        }
    }

    fn happen(&mut self, happening: &Happening) {
        let bench = &mut self.bench;
        let now = bench.now;
        match happening {
            Happening::LinkUp => bench.board.handle_link(true, now),
            Happening::LinkDown => bench.board.handle_link(false, now),
            Happening::Opens(true) if self.transport == Transport::Opening => self.open(),
            Happening::Opens(false) if self.transport == Transport::Opening => {
                self.transport = Transport::Closed;
                self.searching = false;
                bench.board.handle_connect_failed(now);
            }
            Happening::Opens(_) => {}
            Happening::Closes if self.transport != Transport::Closed => {
                self.transport = Transport::Closed;
                self.searching = false;
                bench.close();
            }
            Happening::Closes => {}
            Happening::Level(closed) => bench.board.handle_level(*closed, now),
            Happening::Press => bench.press(),
            Happening::Message(topic, payload) if self.transport == Transport::Open => {
                bench.message(topic, payload);
            }
            Happening::Bytes(bytes) if self.transport == Transport::Open => bench.bytes(bytes),
            Happening::Redirect(for_good)
                if bench.board.is_connected() && bench.board.version() == ProtocolVersion::V5 =>
            {
                let reference = [Property::ServerReference("d.test")];
                bench.say(&Packet::Disconnect(Disconnect {
                    reason: if *for_good {
                        ReasonCode::ServerMoved
                    } else {
                        ReasonCode::UseAnotherServer
                    },
                    properties: Properties::new(&reference),
                }));
            }
            Happening::Message(..) | Happening::Bytes(_) | Happening::Redirect(_) => {}
            Happening::Pass(ms) => {
                // One step at a time, so that the effects are seen as they come.
                let end = now + Duration::from_millis(*ms);
                let mut steps = 0;
                while let Some(next) = self.bench.board.poll_timeout().filter(|next| *next <= end) {
                    steps = if next > self.bench.now { 0 } else { steps + 1 };
                    assert!(steps < 5, "asks to be called without end");
                    self.bench.now = self.bench.now.max(next);
                    self.bench.board.handle_timeout(self.bench.now);
                    self.bench.drive();
                    self.follow_effects();
                }
                self.bench.now = end;
            }
            Happening::Answers(publish, session_present) => {
                bench.answers.publish = *publish;
                bench.answers.session_present = *session_present;
            }
        }
        self.bench.drive();
        self.follow_effects();
    }
}

/// Settings with which something else can happen.
const MORE: &[&[(&str, &str)]] = &[
    &[],
    &[("double-press", "300"), ("hold-press", "800")],
    &[
        ("broker", "a.test mdns b.test:1884"),
        ("info-interval", "7"),
    ],
    &[("led-restore", "flash"), ("home-assistant", "on")],
    &[("led-restore", "off")],
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_a_board_connects_again_and_sends_its_last_state(
        version in prop::sample::select(&["auto", "5", "3.1.1"][..]),
        qos in prop::sample::select(&["0", "1"][..]),
        more in prop::sample::select(MORE),
        happenings in prop::collection::vec(happening(), 0..80),
    ) {
        let bench = Bench::new(&[&[("mqtt", version), ("qos", qos)], more].concat());
        let mut owner = Owner {
            bench,
            transport: Transport::Closed,
            searching: false,
            light: false,
            missed_notices: 0,
        };
        owner.follow_effects();
        for happening in &happenings {
            owner.happen(happening);
        }

        // Then all is well: the network is there and the broker answers.
        owner.happen(&Happening::Level(false));
        owner.happen(&Happening::Pass(100));
        owner.happen(&Happening::Answers(true, false));
        owner.happen(&Happening::LinkDown);
        owner.happen(&Happening::LinkUp);
        owner.wait_for_attempt();
        owner.bench.forget();
        owner.happen(&Happening::Opens(true));
        prop_assert!(owner.bench.board.is_connected());
        prop_assert!(owner.bench.board.is_subscribed());
        let before = owner.bench.board.link_state();
        owner.happen(&Happening::Press);
        prop_assert!(!owner.bench.board.has_unsent());
        prop_assert_eq!(owner.bench.board.link_state(), Some(!before.unwrap_or(false)));
        let payload = if before == Some(true) { "OFF " } else { "ON " };
        let last = owner.bench.sent_on(LINK).last().map(|line| line.starts_with(payload));
        prop_assert_eq!(last, Some(true), "{:?}", owner.bench.sent);
    }
}
