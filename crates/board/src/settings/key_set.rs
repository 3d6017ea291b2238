//! A set of keys in one word.

use super::Key;

/// Some of the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeySet(u64);

impl KeySet {
    /// No key.
    pub const EMPTY: Self = Self(0);

    /// Takes `key` in.
    pub const fn insert(&mut self, key: Key) {
        self.0 |= bit(key);
    }

    /// Leaves `key` out.
    pub const fn remove(&mut self, key: Key) {
        self.0 &= !bit(key);
    }

    /// Whether `key` is one of them.
    pub const fn contains(self, key: Key) -> bool {
        self.0 & bit(key) != 0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many there are.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The first of them, in the order of [`Key::ALL`].
    pub fn first(self) -> Option<Key> {
        Key::ALL.get(self.0.trailing_zeros() as usize).copied()
    }

    /// All of them, in the order of [`Key::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Key> {
        Key::ALL
            .iter()
            .copied()
            .filter(move |key| self.contains(*key))
    }
}

const fn bit(key: Key) -> u64 {
    1 << key as u32
}

const _: () = assert!(Key::ALL.len() <= 64);
