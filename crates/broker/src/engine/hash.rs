//! Keyed hashing: replayable from the seed, and safe against keys chosen to collide.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

/// The engine's hash key.
#[derive(Debug, Clone, Copy)]
pub(super) struct HashKey(u64, u64);

impl HashKey {
    pub(super) const fn new(seed: u64) -> Self {
        // The second half only has to differ from the first.
        Self(seed, seed.rotate_left(32) ^ 0x9e37_79b9_7f4a_7c15)
    }

    pub(super) fn bytes(self, bytes: &[u8]) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.0, self.1);
        hasher.write(bytes);
        hasher.finish()
    }

    pub(super) fn number(self, number: u64) -> u64 {
        self.bytes(&number.to_le_bytes())
    }
}
