//! A model of the two MicroPython programs of the tutorial.

use std::collections::VecDeque;
use std::time::Duration;

use declic_mqtt::client::{Client, Config, Event, Memory, Message};
use declic_mqtt::packet::{Connect, Properties, Subscription};
use declic_mqtt::{Instant, ProtocolVersion, QoS, TopicFilter, TopicName};

use super::node::{Action, Node, Program};
use super::{BoardIndex, World};

/// Which of the two programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Button.
    Publisher,
    /// Light.
    Subscriber,
}

/// The tutorial's program, with `umqtt.simple` below: 3.1.1, QoS 0, clean session, keep-alive 0,
/// nothing retained. Its loop looks at the button every 10 ms, and sends the other state each time
/// at which the contact has been closed for more than 50 ms. What goes wrong with the connection is
/// an exception, which ends the program. It is not told of a connection that goes silent, and waits
/// for ever.
pub(super) struct Tutorial<'m> {
    client: Client<'m>,
    part: Part,
    on: bool,
    actions: VecDeque<Action>,
    /// When the loop looks at the closed contact next.
    look_at: Option<Instant>,
    ended: bool,
}

impl World<'_> {
    /// Adds a board with one of the tutorial's programs and switches it on.
    ///
    /// # Panics
    /// When the memory given to [`Self::new`] is used up.
    pub fn add_tutorial(&mut self, name: &str, part: Part) -> BoardIndex {
        let index = self.nodes.len();
        let memory = self.storage().memory();
        let program = Program::Tutorial(Box::new(Tutorial::new(part, memory)));
        self.nodes.push(Node::new(name, program, self.network));
        self.nodes[index].counters.starts = 1;
        self.settle_node(index);
        BoardIndex(index)
    }

    /// The state that the tutorial's publisher sent last, or tried to.
    pub fn tutorial_state(&self, board: BoardIndex) -> bool {
        matches!(self.nodes[board.0].program(), Program::Tutorial(tutorial) if tutorial.on)
    }

    /// Whether the tutorial's program has ended with an error; somebody has to start it again.
    pub fn has_ended(&self, board: BoardIndex) -> bool {
        matches!(self.nodes[board.0].program(), Program::Tutorial(tutorial) if tutorial.ended)
    }
}

impl<'m> Tutorial<'m> {
    pub(super) fn new(part: Part, memory: Memory<'m>) -> Self {
        let config = Config {
            connect_timeout: NEVER,
            ping_timeout: NEVER,
        };
        Self {
            client: Client::new(config, memory),
            part,
            on: false,
            actions: VecDeque::from([Action::Open]),
            look_at: None,
            ended: false,
        }
    }

    pub(super) const fn part(&self) -> Part {
        self.part
    }

    pub(super) fn into_memory(self) -> Memory<'m> {
        self.client.into_memory()
    }

    pub(super) const fn client_mut(&mut self) -> &mut Client<'m> {
        &mut self.client
    }

    pub(super) fn handle_level(&mut self, closed: bool, now: Instant) {
        self.look_at = (closed && !self.ended).then(|| now + DEBOUNCE);
    }

    pub(super) fn handle_connected(&mut self, now: Instant) {
        let client_id = match self.part {
            Part::Publisher => "ESP32_Publisher",
            Part::Subscriber => "ESP32_Subscriber",
        };
        let connect = Connect {
            keep_alive: 0,
            ..Connect::new(ProtocolVersion::V3_1_1, client_id)
        };
        let begun = self.client.connect(&connect, now);
        debug_assert!(begun.is_ok(), "{begun:?}");
    }

    pub(super) fn handle_connect_failed(&mut self) {
        self.end();
    }

    pub(super) fn handle_closed(&mut self, now: Instant) {
        self.client.handle_closed(now);
        self.end();
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.client.handle_timeout(now);
        if self.look_at.is_some_and(|at| at <= now) {
            self.look_at = Some(now + LOOP);
            if self.part == Part::Publisher {
                self.on = !self.on;
                let payload: &[u8] = if self.on { b"ON" } else { b"OFF" };
                let topic = TopicName::new(TOPIC).expect("a valid topic");
                // Full or not connected: what `umqtt` blocks on, or fails with.
                let _ = self.client.publish(&Message::new(topic, payload));
            }
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let times = [self.client.poll_timeout(), self.look_at];
        times.into_iter().flatten().min()
    }

    pub(super) fn poll_action(&mut self) -> Option<Action> {
        loop {
            if let Some(action) = self.actions.pop_front() {
                return Some(action);
            }
            match self.client.poll_event()? {
                Event::Connected { .. } => {
                    self.actions.push_back(Action::Note("connected"));
                    if self.part == Part::Subscriber {
                        let filter = TopicFilter::new(TOPIC).expect("a valid filter");
                        let subscription = Subscription::new(filter, QoS::AtMostOnce);
                        let _ = self.client.subscribe(&[subscription], Properties::EMPTY);
                    }
                }
                Event::Message {
                    publish,
                    remaining: 0,
                } => match publish.payload {
                    b"ON" => return Some(Action::SetLed(true)),
                    b"OFF" => return Some(Action::SetLed(false)),
                    _ => {}
                },
                Event::Closed(_) => self.end(),
                _ => {}
            }
        }
    }

    fn end(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            self.look_at = None;
            let end = [Action::Note("ends with an error"), Action::Close];
            self.actions.extend(end);
        }
    }
}

/// The tutorial's topic, which is the default of ours.
const TOPIC: &str = "esp32/data";
const DEBOUNCE: Duration = Duration::from_millis(50);
const LOOP: Duration = Duration::from_millis(10);
const NEVER: Duration = Duration::from_secs(100 * 365 * 86_400);

#[cfg(test)]
mod tests {
    use declic_board::Settings;

    use super::*;

    #[test]
    fn the_topic_is_the_default_of_our_boards() {
        assert_eq!(Settings::default().link_topic().as_str(), TOPIC);
    }
}
