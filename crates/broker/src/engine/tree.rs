//! Subscriptions as a tree of topic levels: which sessions a message is for.
//!
//! The time to match a topic depends on its levels and on the filters that match it, not on how
//! many subscriptions there are.

use declic_mqtt::packet::{RetainHandling, Subscription, SubscriptionId};
use declic_mqtt::{QoS, TopicFilter};
use hashbrown::HashTable;
use slab::Slab;

use super::hash::HashKey;

/// One session's subscription to one filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subscriber {
    pub(super) session: u32,
    options: u8,
    pub(super) id: Option<SubscriptionId>,
}

impl Subscriber {
    pub(super) fn new(
        session: u32,
        subscription: &Subscription<'_>,
        id: Option<SubscriptionId>,
    ) -> Self {
        let flag = |on, flag| if on { flag } else { 0 };
        let options = subscription.qos as u8
            | flag(subscription.no_local, NO_LOCAL)
            | flag(subscription.retain_as_published, RETAIN_AS_PUBLISHED);
        Self {
            session,
            options,
            id,
        }
    }

    /// One that was stored with its [`Self::options`].
    pub(super) const fn restored(session: u32, options: u8, id: Option<SubscriptionId>) -> Self {
        Self {
            session,
            options,
            id,
        }
    }

    pub(super) const fn options(&self) -> u8 {
        self.options
    }

    pub(super) fn qos(&self) -> QoS {
        QoS::from_u8(self.options & 0b11).unwrap_or_default()
    }

    pub(super) const fn no_local(&self) -> bool {
        self.options & NO_LOCAL != 0
    }

    pub(super) const fn retain_as_published(&self) -> bool {
        self.options & RETAIN_AS_PUBLISHED != 0
    }
}

/// Where a subscription is kept: what a session remembers of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    node: u32,
    /// The share name's symbol; [`NONE`] for a subscription that is not shared.
    group: u32,
}

impl Place {
    /// Whether the subscriptions there are shared ones.
    pub(super) const fn is_shared(&self) -> bool {
        self.group != NONE
    }
}

/// Sessions that share a subscription; each message goes to one of them.
#[derive(Debug)]
pub(super) struct Group {
    name: u32,
    members: Vec<Subscriber>,
    next: usize,
}

impl Group {
    /// The members, beginning with the one whose turn it is.
    pub(super) fn members(&self) -> impl Iterator<Item = &Subscriber> {
        let (before, from) = self.members.split_at(self.next.min(self.members.len()));
        from.iter().chain(before)
    }

    /// The member of `session` has had its turn.
    pub(super) fn served(&mut self, session: u32) {
        let at = self.members.iter().position(|one| one.session == session);
        self.next = at.map_or(0, |at| (at + 1) % self.members.len());
    }
}

/// What matches a topic.
#[derive(Debug, Default)]
pub(super) struct Matches {
    /// Ordinary subscriptions; those of one session stand together.
    pub(super) subscribers: Vec<Subscriber>,
    /// Shared ones.
    pub(super) groups: Vec<Place>,
}

#[derive(Debug)]
pub(super) struct Tree {
    hash: HashKey,
    nodes: Slab<Node>,
    /// Children by parent and symbol; holds the child's number.
    edges: HashTable<u32>,
    symbols: Symbols,
    subscriptions: usize,
    /// Scratch for matching.
    frontier: (Vec<u32>, Vec<u32>),
}

#[derive(Debug)]
struct Node {
    parent: u32,
    symbol: u32,
    /// Children, with the two below.
    children: u32,
    plus: u32,
    hash: u32,
    /// By session.
    subscribers: Vec<Subscriber>,
    groups: Vec<Group>,
}

impl Tree {
    pub(super) fn new(hash: HashKey) -> Self {
        let mut nodes = Slab::new();
        nodes.insert(Node::new(NONE, NONE));
        Self {
            hash,
            nodes,
            edges: HashTable::new(),
            symbols: Symbols::default(),
            subscriptions: 0,
            frontier: Default::default(),
        }
    }

    /// Adds or replaces a subscription. Returns where it is, and whether it is new.
    pub(super) fn subscribe(
        &mut self,
        filter: TopicFilter<'_>,
        subscriber: Subscriber,
    ) -> (Place, bool) {
        let mut node = ROOT;
        for level in filter.without_share().as_str().split('/') {
            node = self.child_or_new(node, level);
        }
        let group = filter.share_name().map_or(NONE, |name| {
            let symbol = self.symbols.intern(self.hash, name);
            let groups = &mut self.nodes[node as usize].groups;
            if groups.iter().any(|group| group.name == symbol) {
                self.symbols.release(self.hash, symbol);
            } else {
                groups.push(Group {
                    name: symbol,
                    members: Vec::new(),
                    next: 0,
                });
            }
            symbol
        });
        let place = Place { node, group };
        let new = match self.subscribers_mut(place) {
            None => false,
            Some(list) => match list.binary_search_by_key(&subscriber.session, |one| one.session) {
                Ok(at) => {
                    list[at] = subscriber;
                    false
                }
                Err(at) => {
                    if list.capacity() == 0 {
                        list.reserve_exact(1);
                    }
                    list.insert(at, subscriber);
                    true
                }
            },
        };
        self.subscriptions += usize::from(new);
        (place, new)
    }

    /// Where the subscriptions to `filter` are, if there are any.
    pub(super) fn find(&self, filter: TopicFilter<'_>) -> Option<Place> {
        let group = match filter.share_name() {
            None => NONE,
            Some(name) => self.symbols.find(self.hash, name)?,
        };
        let mut node = ROOT;
        for level in filter.without_share().as_str().split('/') {
            node = self.child(node, level)?;
        }
        Some(Place { node, group })
    }

    /// A session's subscription.
    pub(super) fn subscriber(&self, place: Place, session: u32) -> Option<&Subscriber> {
        let node = self.nodes.get(place.node as usize)?;
        let list = if place.group == NONE {
            &node.subscribers
        } else {
            let group = node.groups.iter().find(|group| group.name == place.group);
            &group?.members
        };
        let at = list.binary_search_by_key(&session, |one| one.session);
        at.ok().map(|at| &list[at])
    }

    /// Takes a session's subscription away.
    pub(super) fn unsubscribe(&mut self, place: Place, session: u32) {
        let Some(list) = self.subscribers_mut(place) else {
            return;
        };
        let Ok(at) = list.binary_search_by_key(&session, |one| one.session) else {
            return;
        };
        list.remove(at);
        if list.len() < list.capacity() / 4 {
            list.shrink_to(list.len() * 2);
        }
        let empty = list.is_empty();
        self.subscriptions -= 1;
        if empty && place.group != NONE {
            let groups = &mut self.nodes[place.node as usize].groups;
            groups.retain(|group| group.name != place.group);
            self.symbols.release(self.hash, place.group);
        }
        if empty {
            self.prune(place.node);
        }
    }

    /// Collects everything that matches `topic`.
    pub(super) fn matches(&mut self, topic: &str, matches: &mut Matches) {
        let (mut frontier, mut next) = std::mem::take(&mut self.frontier);
        frontier.clear();
        frontier.push(ROOT);
        // `[MQTT-4.7.2-1]`
        let mut wildcards = !topic.starts_with('$');
        for level in topic.split('/') {
            let symbol = self.symbols.find(self.hash, level);
            next.clear();
            for &index in &frontier {
                let node = &self.nodes[index as usize];
                if wildcards {
                    self.collect(node.hash, matches);
                    if node.plus != NONE {
                        next.push(node.plus);
                    }
                }
                if let Some(child) = symbol.and_then(|symbol| self.edge(index, symbol)) {
                    next.push(child);
                }
            }
            wildcards = true;
            std::mem::swap(&mut frontier, &mut next);
            if frontier.is_empty() {
                break;
            }
        }
        for &index in &frontier {
            self.collect(index, matches);
            // `a/#` matches `a` too.
            self.collect(self.nodes[index as usize].hash, matches);
        }
        self.frontier = (frontier, next);
        matches.subscribers.sort_by_key(|one| one.session);
    }

    pub(super) fn group_mut(&mut self, place: Place) -> Option<&mut Group> {
        let groups = &mut self.nodes.get_mut(place.node as usize)?.groups;
        groups.iter_mut().find(|group| group.name == place.group)
    }

    pub(super) const fn len(&self) -> usize {
        self.subscriptions
    }

    /// Bytes that the filters take, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.nodes.len() * size_of::<Node>()
            + self.subscriptions * size_of::<Subscriber>()
            + self.symbols.bytes
    }

    /// The filter of a subscription, without the name of its share.
    pub(super) fn filter(&self, place: Place) -> String {
        let (mut levels, mut index) = (Vec::new(), place.node);
        while let Some(node) = self.nodes.get(index as usize)
            && index != ROOT
        {
            levels.push(match node.symbol {
                PLUS => "+",
                HASH => "#",
                symbol => &*self.symbols.names[symbol as usize].0,
            });
            index = node.parent;
        }
        levels.reverse();
        levels.join("/")
    }

    fn collect(&self, index: u32, matches: &mut Matches) {
        if index == NONE {
            return;
        }
        let node = &self.nodes[index as usize];
        matches.subscribers.extend_from_slice(&node.subscribers);
        matches.groups.extend(node.groups.iter().map(|group| Place {
            node: index,
            group: group.name,
        }));
    }

    fn subscribers_mut(&mut self, place: Place) -> Option<&mut Vec<Subscriber>> {
        if place.group != NONE {
            return self.group_mut(place).map(|group| &mut group.members);
        }
        Some(&mut self.nodes.get_mut(place.node as usize)?.subscribers)
    }

    fn child(&self, parent: u32, level: &str) -> Option<u32> {
        let node = &self.nodes[parent as usize];
        match level {
            "+" => (node.plus != NONE).then_some(node.plus),
            "#" => (node.hash != NONE).then_some(node.hash),
            level => self.edge(parent, self.symbols.find(self.hash, level)?),
        }
    }

    fn child_or_new(&mut self, parent: u32, level: &str) -> u32 {
        if let Some(child) = self.child(parent, level) {
            return child;
        }
        let symbol = match level {
            "+" => PLUS,
            "#" => HASH,
            level => self.symbols.intern(self.hash, level),
        };
        let child = self.nodes.insert(Node::new(parent, symbol)) as u32;
        let node = &mut self.nodes[parent as usize];
        node.children += 1;
        match symbol {
            PLUS => node.plus = child,
            HASH => node.hash = child,
            symbol => {
                let (nodes, hash) = (&self.nodes, self.hash);
                self.edges
                    .insert_unique(edge_hash(hash, parent, symbol), child, |&child| {
                        let node = &nodes[child as usize];
                        edge_hash(hash, node.parent, node.symbol)
                    });
            }
        }
        child
    }

    fn edge(&self, parent: u32, symbol: u32) -> Option<u32> {
        self.edges
            .find(edge_hash(self.hash, parent, symbol), |&child| {
                let node = &self.nodes[child as usize];
                node.parent == parent && node.symbol == symbol
            })
            .copied()
    }

    /// Removes a node that is of no use any more, and then its parents.
    fn prune(&mut self, mut index: u32) {
        while index != ROOT {
            let node = &self.nodes[index as usize];
            if node.children > 0 || !node.subscribers.is_empty() || !node.groups.is_empty() {
                return;
            }
            let (parent, symbol) = (node.parent, node.symbol);
            if symbol != PLUS && symbol != HASH {
                let hash = edge_hash(self.hash, parent, symbol);
                if let Ok(edge) = self.edges.find_entry(hash, |&child| child == index) {
                    edge.remove();
                }
                self.symbols.release(self.hash, symbol);
            }
            self.nodes.remove(index as usize);
            let parent_node = &mut self.nodes[parent as usize];
            parent_node.children -= 1;
            match symbol {
                PLUS => parent_node.plus = NONE,
                HASH => parent_node.hash = NONE,
                _ => {}
            }
            index = parent;
        }
    }
}

impl Node {
    const fn new(parent: u32, symbol: u32) -> Self {
        Self {
            parent,
            symbol,
            children: 0,
            plus: NONE,
            hash: NONE,
            subscribers: Vec::new(),
            groups: Vec::new(),
        }
    }
}

/// Level names, each held once.
#[derive(Debug, Default)]
struct Symbols {
    names: Slab<(Box<str>, u32)>,
    bytes: usize,
    table: HashTable<u32>,
}

impl Symbols {
    fn find(&self, hash: HashKey, name: &str) -> Option<u32> {
        self.table
            .find(hash.bytes(name.as_bytes()), |&symbol| {
                &*self.names[symbol as usize].0 == name
            })
            .copied()
    }

    /// The name's symbol, with one more reference to it.
    fn intern(&mut self, hash: HashKey, name: &str) -> u32 {
        if let Some(symbol) = self.find(hash, name) {
            self.names[symbol as usize].1 += 1;
            return symbol;
        }
        self.bytes += name.len();
        let symbol = self.names.insert((name.into(), 1)) as u32;
        let names = &self.names;
        self.table
            .insert_unique(hash.bytes(name.as_bytes()), symbol, |&symbol| {
                hash.bytes(names[symbol as usize].0.as_bytes())
            });
        symbol
    }

    fn release(&mut self, hash: HashKey, symbol: u32) {
        let (name, references) = &mut self.names[symbol as usize];
        *references -= 1;
        if *references > 0 {
            return;
        }
        self.bytes -= name.len();
        let hash = hash.bytes(name.as_bytes());
        if let Ok(entry) = self.table.find_entry(hash, |&one| one == symbol) {
            entry.remove();
        }
        self.names.remove(symbol as usize);
    }
}

/// Whether retained messages follow a SUBSCRIBE that made a `new` subscription or replaced one.
pub(super) const fn sends_retained(handling: RetainHandling, new: bool) -> bool {
    match handling {
        RetainHandling::OnSubscribe => true,
        RetainHandling::OnNewSubscription => new,
        RetainHandling::Never => false,
    }
}

fn edge_hash(hash: HashKey, parent: u32, symbol: u32) -> u64 {
    hash.number(u64::from(parent) << 32 | u64::from(symbol))
}

const NO_LOCAL: u8 = 1 << 2;
const RETAIN_AS_PUBLISHED: u8 = 1 << 3;
const ROOT: u32 = 0;
const NONE: u32 = u32::MAX;
const PLUS: u32 = u32::MAX - 1;
const HASH: u32 = u32::MAX - 2;

#[cfg(test)]
mod tests {
    use declic_mqtt::TopicName;
    use proptest::prelude::*;

    use super::*;

    fn filter(text: &str) -> TopicFilter<'_> {
        TopicFilter::new(text).expect("a valid filter")
    }

    fn subscriber(session: u32) -> Subscriber {
        Subscriber {
            session,
            options: 0,
            id: None,
        }
    }

    fn sessions(tree: &mut Tree, topic: &str) -> Vec<u32> {
        let mut matches = Matches::default();
        tree.matches(topic, &mut matches);
        matches.subscribers.iter().map(|one| one.session).collect()
    }

    proptest! {
        /// v3.1.1 [MQTT-4.7.1-2], [MQTT-4.7.1-3], [MQTT-4.7.2-1], [MQTT-4.7.3-4];
        /// v5 [MQTT-4.7.1-1], [MQTT-4.7.1-2], [MQTT-4.7.2-1], [MQTT-4.7.3-4]
        #[test]
        fn the_tree_matches_what_each_filter_matches_alone(
            filters in prop::collection::vec("(\\$|a|b|\\+|)(/(a|b|\\+|)){0,3}(/#)?", 1..20),
            topics in prop::collection::vec("(\\$|a|b|)(/(a|b|)){0,3}", 1..20),
            removed in prop::collection::vec(any::<bool>(), 20),
        ) {
            let mut tree = Tree::new(HashKey::new(7));
            let filters: Vec<_> = filters.iter().filter_map(|one| TopicFilter::new(one).ok()).collect();
            let mut live = Vec::new();
            for (index, filter) in filters.iter().enumerate() {
                let (place, new) = tree.subscribe(*filter, subscriber(index as u32));
                prop_assert!(new);
                prop_assert_eq!(tree.find(*filter), Some(place));
                prop_assert_eq!(&*tree.filter(place), filter.as_str());
                live.push((index as u32, *filter, place));
            }
            for pass in 0..2 {
                for topic in &topics {
                    let Ok(name) = TopicName::new(topic) else { continue };
                    let expected: Vec<_> = live
                        .iter()
                        .filter(|(_, filter, _)| filter.matches(name))
                        .map(|(index, ..)| *index)
                        .collect();
                    prop_assert_eq!(sessions(&mut tree, topic), expected);
                }
                if pass == 0 {
                    live.retain(|&(index, _, place)| {
                        if removed[index as usize] {
                            tree.unsubscribe(place, index);
                        }
                        !removed[index as usize]
                    });
                }
            }
            for (index, _, place) in live {
                tree.unsubscribe(place, index);
            }
            prop_assert_eq!(tree.nodes.len(), 1);
            prop_assert!(tree.edges.is_empty() && tree.symbols.names.is_empty());
            prop_assert_eq!((tree.len(), tree.symbols.bytes), (0, 0));
        }
    }

    #[test]
    fn a_group_serves_its_members_in_turn_also_after_one_left() {
        let mut tree = Tree::new(HashKey::new(7));
        let shared = filter("$share/g/t");
        let place = (0..3)
            .map(|session| tree.subscribe(shared, subscriber(session)).0)
            .last();
        let place = place.expect("three members");
        let serve = |tree: &mut Tree| {
            let group = tree.group_mut(place).expect("the group");
            let session = group.members().next().expect("a member").session;
            group.served(session);
            session
        };
        assert_eq!(
            [
                serve(&mut tree),
                serve(&mut tree),
                serve(&mut tree),
                serve(&mut tree)
            ],
            [0, 1, 2, 0]
        );
        tree.unsubscribe(place, 1);
        assert_eq!(
            [serve(&mut tree), serve(&mut tree), serve(&mut tree)].len(),
            3
        );
        tree.unsubscribe(place, 0);
        tree.unsubscribe(place, 2);
        assert!(tree.group_mut(place).is_none());
    }

    #[test]
    fn a_topic_with_thousands_of_levels_is_matched_without_recursion() {
        let mut tree = Tree::new(HashKey::new(7));
        tree.subscribe(filter("#"), subscriber(1));
        tree.subscribe(filter("/+/#"), subscriber(2));
        assert_eq!(sessions(&mut tree, &"/".repeat(65_000)), [1, 2]);
    }
}
