//! Routes: for topics that were published to lately, what the tree said.

use declic_mqtt::TopicFilter;
use hashbrown::HashTable;

use super::hash::HashKey;
use super::tree::{Matches, Tree};

/// A cache over the tree. It is bounded, and never out of date: a new or removed subscription
/// outdates the routes it may touch.
#[derive(Debug)]
pub(super) struct Routes {
    hash: HashKey,
    /// A route of an earlier epoch is asked for anew.
    epoch: u64,
    routes: Vec<Route>,
    table: HashTable<u32>,
    /// Subscribers in all routes.
    subscribers: usize,
}

#[derive(Debug, Default)]
struct Route {
    topic: Box<str>,
    epoch: u64,
    matches: Matches,
}

impl Routes {
    pub(super) fn new(hash: HashKey) -> Self {
        Self {
            hash,
            epoch: 1,
            routes: vec![Route::default()],
            table: HashTable::new(),
            subscribers: 0,
        }
    }

    /// The number of the route for `topic`. `hint` is a number given earlier, perhaps for the
    /// same topic.
    pub(super) fn find(&mut self, topic: &str, hint: u32, tree: &mut Tree) -> u32 {
        let index = match self.routes.get(hint as usize) {
            Some(route) if hint != SCRATCH && *route.topic == *topic => hint,
            _ => self.index(topic),
        };
        let route = &mut self.routes[index as usize];
        if route.epoch != self.epoch || index == SCRATCH {
            self.subscribers -= route.matches.subscribers.len();
            route.matches.subscribers.clear();
            route.matches.groups.clear();
            tree.matches(topic, &mut route.matches);
            route.epoch = self.epoch;
            self.subscribers += route.matches.subscribers.len();
        }
        index
    }

    /// Whether nobody is on the route.
    pub(super) fn is_empty(&self, index: u32) -> bool {
        let matches = &self.routes[index as usize].matches;
        matches.subscribers.is_empty() && matches.groups.is_empty()
    }

    /// Takes what matches out for a moment; [`Self::put_back`] follows.
    pub(super) fn take(&mut self, index: u32) -> Matches {
        std::mem::take(&mut self.routes[index as usize].matches)
    }

    pub(super) fn put_back(&mut self, index: u32, matches: Matches) {
        self.routes[index as usize].matches = matches;
    }

    /// The subscriptions to `filter` have changed.
    pub(super) fn outdate(&mut self, filter: TopicFilter<'_>) {
        let filter = filter.without_share();
        if filter.has_wildcard() {
            self.epoch += 1;
        } else if let Some(index) = self.known(filter.as_str()) {
            self.routes[index as usize].epoch = 0;
        }
    }

    /// All subscriptions may have changed.
    pub(super) fn outdate_all(&mut self) {
        self.epoch += 1;
    }

    fn known(&self, topic: &str) -> Option<u32> {
        self.table
            .find(self.hash.bytes(topic.as_bytes()), |&index| {
                *self.routes[index as usize].topic == *topic
            })
            .copied()
    }

    fn index(&mut self, topic: &str) -> u32 {
        if topic.len() > MAX_TOPIC_LEN {
            return SCRATCH;
        }
        if let Some(index) = self.known(topic) {
            return index;
        }
        if self.routes.len() >= MAX_ROUTES || self.subscribers >= MAX_SUBSCRIBERS {
            let epoch = self.epoch;
            *self = Self::new(self.hash);
            self.epoch = epoch;
        }
        let index = self.routes.len() as u32;
        self.routes.push(Route {
            topic: topic.into(),
            ..Route::default()
        });
        let (hash, routes) = (self.hash, &self.routes);
        self.table
            .insert_unique(hash.bytes(topic.as_bytes()), index, |&index| {
                hash.bytes(routes[index as usize].topic.as_bytes())
            });
        index
    }
}

/// The route for topics that are too long to be kept.
const SCRATCH: u32 = 0;
const MAX_TOPIC_LEN: usize = 256;
const MAX_ROUTES: usize = 16_384;
const MAX_SUBSCRIBERS: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use declic_mqtt::QoS;
    use declic_mqtt::packet::Subscription;

    use super::super::tree::Subscriber;

    fn subscribe(routes: &mut Routes, tree: &mut Tree, filter: &str, session: u32) {
        let filter = TopicFilter::new(filter).expect("a valid filter");
        let subscription = Subscription::new(filter, QoS::AtMostOnce);
        tree.subscribe(filter, Subscriber::new(session, &subscription, None));
        routes.outdate(filter);
    }

    fn sessions(routes: &mut Routes, tree: &mut Tree, topic: &str, hint: u32) -> (u32, Vec<u32>) {
        let index = routes.find(topic, hint, tree);
        let matches = routes.take(index);
        let sessions = matches.subscribers.iter().map(|one| one.session).collect();
        routes.put_back(index, matches);
        (index, sessions)
    }

    #[test]
    fn a_route_follows_every_change_of_the_subscriptions() {
        let key = HashKey::new(1);
        let (mut routes, mut tree) = (Routes::new(key), Tree::new(key));
        let (hint, none) = sessions(&mut routes, &mut tree, "a/b", 0);
        assert_eq!(none, []);
        subscribe(&mut routes, &mut tree, "a/b", 1);
        assert_eq!(
            sessions(&mut routes, &mut tree, "a/b", hint),
            (hint, vec![1])
        );
        subscribe(&mut routes, &mut tree, "a/+", 2);
        assert_eq!(
            sessions(&mut routes, &mut tree, "a/b", 99),
            (hint, vec![1, 2])
        );
        subscribe(&mut routes, &mut tree, "$share/g/a/b", 3);
        let index = routes.find("a/b", hint, &mut tree);
        assert_eq!(routes.take(index).groups.len(), 1);
    }

    #[test]
    fn the_cache_is_bounded() {
        let key = HashKey::new(1);
        let (mut routes, mut tree) = (Routes::new(key), Tree::new(key));
        for number in 0..3 * MAX_ROUTES {
            routes.find(&number.to_string(), 0, &mut tree);
        }
        assert!(routes.routes.len() <= MAX_ROUTES);
        assert_eq!(routes.find(&"x".repeat(300), 0, &mut tree), SCRATCH);
    }
}
