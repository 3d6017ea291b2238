//! SUBSCRIBE and UNSUBSCRIBE.

use declic_mqtt::packet::{
    Items, Packet, Properties, SubAck, Subscribe, Subscription, SubscriptionId, UnsubAck,
    Unsubscribe,
};
use declic_mqtt::{QoS, ReasonCode, TopicFilter};

use super::rights::Coverage;
use super::session::Replay;
use super::tree::{Subscriber, sends_retained};
use super::{Engine, explain};

impl Engine {
    pub(super) fn handle_subscribe(&mut self, slot: u32, subscribe: &Subscribe<'_>) {
        let Some(session) = self.conns[slot].session else {
            return;
        };
        let id = subscribe.properties.subscription_identifier();
        let reasons: Vec<_> = subscribe
            .subscriptions
            .iter()
            .map(|subscription| self.subscribe(session, &subscription, id))
            .collect();
        let suback = SubAck {
            packet_id: subscribe.packet_id,
            properties: Properties::EMPTY,
            reasons: Items::new(&reasons),
        };
        let why = explain::subscriptions(&reasons);
        self.answer_explained(slot, why, Packet::SubAck(suback));
    }

    pub(super) fn handle_unsubscribe(&mut self, slot: u32, unsubscribe: &Unsubscribe<'_>) {
        let Some(session) = self.conns[slot].session else {
            return;
        };
        let reasons: Vec<_> = unsubscribe
            .filters
            .iter()
            .map(|filter| self.unsubscribe(session, filter))
            .collect();
        let unsuback = UnsubAck {
            packet_id: unsubscribe.packet_id,
            properties: Properties::EMPTY,
            reasons: Items::new(&reasons),
        };
        self.answer_when_stored(slot, &Packet::UnsubAck(unsuback));
    }

    fn subscribe(
        &mut self,
        session: u32,
        subscription: &Subscription<'_>,
        id: Option<SubscriptionId>,
    ) -> ReasonCode {
        let filter = subscription.filter;
        let levels = filter.without_share().as_str().split('/').count();
        if levels > self.limits.topic_levels {
            self.stats.refused_subscriptions += 1;
            return ReasonCode::TopicFilterInvalid;
        }
        let state = &mut self.sessions[session as usize];
        if let Some(rights) = &self.rights {
            match state.coverage(rights, filter) {
                Coverage::All => {}
                Coverage::Some => state.is_checked = true,
                Coverage::Nothing => {
                    self.stats.refused_subscriptions += 1;
                    return ReasonCode::NotAuthorized;
                }
            }
        }
        let state = &self.sessions[session as usize];
        let is_full = state.subscriptions.len() >= self.limits.subscriptions
            || self.session_bytes() + filter.as_str().len() > self.limits.session_bytes;
        let is_new = || {
            let place = self.tree.find(filter);
            place.is_none_or(|place| state.subscriptions.binary_search(&place).is_err())
        };
        if is_full && is_new() {
            self.stats.refused_subscriptions += 1;
            return ReasonCode::QuotaExceeded;
        }
        if let Some(journal) = &mut self.journal {
            if journal.failing && journal.lasts(session) {
                self.stats.refused_unstored += 1;
                return ReasonCode::QuotaExceeded;
            }
            journal.filter_changed(session, filter.as_str());
        }
        let subscriber = Subscriber::new(session, subscription, id);
        let (place, new) = self.tree.subscribe(filter, subscriber);
        self.routes.outdate(filter);
        let state = &mut self.sessions[session as usize];
        state.subscribed(place);
        // Shared subscriptions get no retained messages (section 4.8.2 of 5.0).
        if filter.share_name().is_none() && sends_retained(subscription.retain_handling, new) {
            let replays = state.replays.get_or_insert_default();
            replays.0.retain(|replay| replay.place != place);
            replays.0.push_back(Replay {
                place,
                after: None,
                until: self.retained.newest(),
                qos: subscription.qos,
                id,
            });
        }
        match subscription.qos {
            QoS::AtMostOnce => ReasonCode::GRANTED_QOS_0,
            QoS::AtLeastOnce => ReasonCode::GrantedQoS1,
            QoS::ExactlyOnce => ReasonCode::GrantedQoS2,
        }
    }

    fn unsubscribe(&mut self, session: u32, filter: TopicFilter<'_>) -> ReasonCode {
        let state = &mut self.sessions[session as usize];
        let place = self.tree.find(filter);
        let Some(place) = place.filter(|place| state.unsubscribed(*place)) else {
            return ReasonCode::NoSubscriptionExisted;
        };
        if let Some(replays) = &mut state.replays {
            replays.0.retain(|replay| replay.place != place);
        }
        self.tree.unsubscribe(place, session);
        self.routes.outdate(filter);
        if let Some(journal) = &mut self.journal {
            journal.filter_changed(session, filter.as_str());
        }
        ReasonCode::Success
    }
}
