//! Lists of subscription identifiers, for messages that have more than one.

use declic_mqtt::packet::SubscriptionId;
use slab::Slab;

use super::session::SubscriptionIds;

#[derive(Debug, Default)]
pub(super) struct Lists {
    lists: Slab<Box<[SubscriptionId]>>,
    /// Identifiers in all lists.
    ids: usize,
}

impl Lists {
    pub(super) fn add(&mut self, ids: Vec<SubscriptionId>) -> SubscriptionIds {
        match ids[..] {
            [] => SubscriptionIds::NONE,
            [id] => SubscriptionIds::one(Some(id)),
            _ => {
                self.ids += ids.len();
                SubscriptionIds::list(self.lists.insert(ids.into_boxed_slice()))
            }
        }
    }

    pub(super) fn get(&self, ids: SubscriptionIds) -> &[SubscriptionId] {
        let list = ids.as_list().and_then(|number| self.lists.get(number));
        list.map_or(&[], |list| list)
    }

    pub(super) fn release(&mut self, ids: SubscriptionIds) {
        if let Some(list) = ids.as_list().and_then(|one| self.lists.try_remove(one)) {
            self.ids -= list.len();
        }
    }

    /// Memory that all lists take, roughly.
    pub(super) fn memory(&self) -> usize {
        self.ids * size_of::<SubscriptionId>() + self.lists.len() * LIST_OVERHEAD
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lists.len()
    }
}

const LIST_OVERHEAD: usize = size_of::<Box<[SubscriptionId]>>() + 8 + 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn id(id: u32) -> SubscriptionId {
        SubscriptionId::new(id).expect("a valid identifier")
    }

    #[test]
    fn only_lists_of_more_than_one_take_memory() {
        let mut lists = Lists::default();
        let none = lists.add(Vec::new());
        let one = lists.add(vec![id(7)]);
        assert_eq!((one.single(), lists.memory()), (Some(id(7)), 0));
        let two = lists.add(vec![id(7), id(8)]);
        assert_eq!(lists.get(two), [id(7), id(8)]);
        assert!(lists.memory() >= 8);
        for ids in [none, one, two] {
            lists.release(ids);
        }
        assert_eq!((lists.memory(), lists.len()), (0, 0));
    }
}
