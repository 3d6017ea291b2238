//! Shared subscriptions (section 4.8.2 of 5.0): who of a group gets a message, and who gets those
//! of a member that goes.

use std::collections::VecDeque;

use declic_mqtt::QoS;

use super::Engine;
use super::messages::MessageRef;
use super::publish::Outgoing;
use super::tree::{Place, Subscriber};

/// A message from a shared subscription, of a session that ends.
pub(super) struct Orphan {
    message: MessageRef,
    outgoing: Outgoing,
    /// The group whose it is.
    place: Place,
}

impl Engine {
    /// Gives a message to one of the group: to the next that is there and has room, to the next
    /// that is there, or to the next.
    pub(super) fn deliver_to_group(
        &mut self,
        place: Place,
        message: &MessageRef,
        outgoing: Outgoing,
    ) -> bool {
        let Some(group) = self.tree.group_mut(place) else {
            return false;
        };
        let (sessions, limit) = (&self.sessions, self.limits.queued_messages);
        let rights = self.rights.as_deref();
        let topic = self.messages.get(message).topic();
        let mut chosen: Option<&Subscriber> = None;
        for member in group.members() {
            let state = &sessions[member.session as usize];
            if rights.is_some_and(|rights| state.is_withheld(rights, topic)) {
                continue;
            }
            if state.conn.is_some() && state.queue.len() < limit {
                chosen = Some(member);
                break;
            }
            let is_first_there = state.conn.is_some()
                && chosen.is_none_or(|one| sessions[one.session as usize].conn.is_none());
            if chosen.is_none() || is_first_there {
                chosen = Some(member);
            }
        }
        let Some(&chosen) = chosen else {
            return false;
        };
        group.served(chosen.session);
        self.deliver_to(&[chosen], message, outgoing, true)
    }

    /// Takes out of a session that ends what another member of a group may have: what was not
    /// sent, and of QoS 1 also what was not acknowledged. What is on its way with QoS 2 is for
    /// nobody else: `[MQTT-4.8.2-5]`.
    pub(super) fn take_orphans(&mut self, session: u32) -> Vec<Orphan> {
        let state = &mut self.sessions[session as usize];
        let subscriptions = state.subscriptions.iter().copied();
        let groups: Vec<_> = subscriptions.filter(Place::is_shared).collect();
        if groups.is_empty() || self.stopping {
            return Vec::new();
        }
        let mut copies = Vec::new();
        for sent in &mut state.in_flight {
            if sent.ids.is_shared() && sent.message.is_some() {
                let may_go = sent.qos == QoS::AtLeastOnce;
                let slot = sent.message.as_ref().map_or(0, MessageRef::slot);
                let message = may_go.then(|| sent.message.take()).flatten();
                copies.push((slot, message, sent.qos, sent.retain));
            }
        }
        let mut others = VecDeque::new();
        for entry in state.queue.drain(..) {
            if entry.ids.is_shared() {
                self.queued -= 1;
                let slot = entry.message.slot();
                copies.push((slot, Some(entry.message), entry.qos, entry.retain));
            } else {
                others.push_back(entry);
            }
        }
        state.queue = others;
        let (mut orphans, mut last, mut number) = (Vec::new(), 0, 0);
        for (slot, message, qos, retain) in copies {
            // A session in several groups has copies one behind the other, in the groups' order.
            number = if slot == last { number + 1 } else { 0 };
            last = slot;
            let Some(message) = message else {
                continue;
            };
            match self.place_of(&message, &groups, number) {
                Some(place) => orphans.push(Orphan {
                    message,
                    outgoing: Outgoing {
                        qos,
                        retain,
                        from: None,
                    },
                    place,
                }),
                None => self.messages.release(message),
            }
        }
        orphans
    }

    /// Gives the messages of a session that has ended to others of the groups it was in.
    pub(super) fn redistribute(&mut self, orphans: Vec<Orphan>) {
        for orphan in orphans {
            if !self.deliver_to_group(orphan.place, &orphan.message, orphan.outgoing) {
                self.count_dropped(orphan.outgoing.qos);
            }
            self.messages.release(orphan.message);
        }
    }

    /// Which of `groups` a copy of a message is from, when it is the one with that number.
    fn place_of(&mut self, message: &MessageRef, groups: &[Place], number: usize) -> Option<Place> {
        let topic = self.messages.get(message).topic();
        let route = self.routes.find(topic, 0, &mut self.tree);
        let matches = self.routes.take(route);
        let mut matching = matches.groups.iter().filter(|place| groups.contains(place));
        let place = matching.clone().nth(number).or(matching.next()).copied();
        self.routes.put_back(route, matches);
        place
    }
}
