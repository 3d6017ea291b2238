//! Changes of the durable state, as they go to a store.

use std::fmt;

/// Changes that a store makes all together or not at all.
///
/// A store is a map from keys to values, both bytes, in the order of the keys. What they mean is
/// the engine's business.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// One change behind the other: its kind, the length of its key, the length of its value (of
    /// a put only), key, value.
    bytes: Vec<u8>,
}

/// One change of a [`Batch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    /// The key has this value from now on.
    Put {
        /// The key.
        key: &'a [u8],
        /// Its value.
        value: &'a [u8],
    },
    /// The key is gone, if there was one.
    Delete {
        /// The key.
        key: &'a [u8],
    },
    /// All keys that begin like this are gone.
    DeletePrefix {
        /// The beginning.
        prefix: &'a [u8],
    },
}

impl Batch {
    /// The batch with these [bytes](Self::as_bytes).
    ///
    /// # Errors
    /// They are no batch.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, InvalidBatch> {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            next(&mut rest).ok_or(InvalidBatch)?;
        }
        Ok(Self { bytes })
    }

    /// All of it as bytes, for [`Self::from_bytes`].
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The changes, in order.
    pub fn changes(&self) -> impl Iterator<Item = Change<'_>> {
        let mut rest = &self.bytes[..];
        std::iter::from_fn(move || next(&mut rest))
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Adds a change.
    pub fn push(&mut self, change: Change<'_>) {
        let (kind, key, value) = match change {
            Change::Put { key, value } => (PUT, key, Some(value)),
            Change::Delete { key } => (DELETE, key, None),
            Change::DeletePrefix { prefix } => (DELETE_PREFIX, prefix, None),
        };
        self.bytes.push(kind);
        self.bytes.extend((key.len() as u32).to_le_bytes());
        if let Some(value) = value {
            self.bytes.extend((value.len() as u32).to_le_bytes());
        }
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value.unwrap_or_default());
    }

    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) {
        self.push(Change::Put { key, value });
    }

    pub(super) fn delete(&mut self, key: &[u8]) {
        self.push(Change::Delete { key });
    }
}

/// Bytes that are no [`Batch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidBatch;

impl fmt::Display for InvalidBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("these bytes are no batch of changes")
    }
}

impl std::error::Error for InvalidBatch {}

fn next<'a>(rest: &mut &'a [u8]) -> Option<Change<'a>> {
    let kind = take(rest, 1)?[0];
    let key_len = length(rest)?;
    Some(match kind {
        PUT => {
            let value_len = length(rest)?;
            Change::Put {
                key: take(rest, key_len)?,
                value: take(rest, value_len)?,
            }
        }
        DELETE => Change::Delete {
            key: take(rest, key_len)?,
        },
        DELETE_PREFIX => Change::DeletePrefix {
            prefix: take(rest, key_len)?,
        },
        _ => return None,
    })
}

fn length(rest: &mut &[u8]) -> Option<usize> {
    let bytes = take(rest, 4)?.try_into().ok()?;
    Some(u32::from_le_bytes(bytes) as usize)
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, behind) = rest.split_at_checked(count)?;
    *rest = behind;
    Some(taken)
}

const PUT: u8 = 1;
const DELETE: u8 = 2;
const DELETE_PREFIX: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_come_back_as_they_were_put_in() {
        let changes = [
            Change::Put {
                key: b"a",
                value: b"",
            },
            Change::Delete { key: b"" },
            Change::DeletePrefix { prefix: b"abc" },
            Change::Put {
                key: &[0; 300],
                value: &[1; 70_000],
            },
        ];
        let mut batch = Batch::default();
        changes.into_iter().for_each(|change| batch.push(change));
        let again = Batch::from_bytes(batch.as_bytes().to_vec()).expect("a batch");
        assert!(again.changes().eq(changes));
        for cut in 0..batch.as_bytes().len() {
            // The empty batch, and those that end behind a change, are batches.
            if let Ok(part) = Batch::from_bytes(batch.as_bytes()[..cut].to_vec()) {
                assert!(part.changes().count() < changes.len());
            }
        }
        assert_eq!(Batch::from_bytes(vec![9, 0, 0, 0, 0]), Err(InvalidBatch));
    }
}
