//! Lists inside packets: borrowed from what was received, or given by the caller.

use core::fmt;

use super::DecodeError;
use super::wire::{Reader, Writer};

/// Something that packets hold lists of: [`Property`](super::Property),
/// [`Subscription`](super::Subscription), [`TopicFilter`](crate::TopicFilter),
/// [`ReasonCode`](super::ReasonCode).
pub trait Item<'a>: private::Wire<'a> {}

pub(super) mod private {
    use super::{DecodeError, Reader, Writer};

    /// How one item stands on the wire.
    pub trait Wire<'a>: Copy {
        fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError>;
        fn write(&self, writer: &mut Writer<'_>);
    }
}

/// A list of `T` that needs no memory of its own.
///
/// A received one borrows the packet's bytes, checked when the packet was decoded, so that
/// iterating can't fail. One to be sent borrows the caller's slice. Both compare and print as
/// their items.
#[derive(Clone, Copy)]
pub struct Items<'a, T>(Repr<'a, T>);

#[derive(Clone, Copy)]
enum Repr<'a, T> {
    Encoded(&'a [u8]),
    List(&'a [T]),
}

impl<'a, T: Item<'a>> Items<'a, T> {
    /// No item.
    pub const EMPTY: Self = Self(Repr::Encoded(&[]));

    /// The items of `list`.
    pub const fn new(list: &'a [T]) -> Self {
        Self(Repr::List(list))
    }

    /// Checks `bytes`, item after item, with `check`.
    pub(crate) fn decode(
        bytes: &'a [u8],
        mut check: impl FnMut(T) -> Result<(), DecodeError>,
    ) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() {
            check(T::read(&mut reader)?)?;
        }
        Ok(Self(Repr::Encoded(bytes)))
    }

    /// Whether there is no item.
    pub const fn is_empty(self) -> bool {
        match self.0 {
            Repr::Encoded(bytes) => bytes.is_empty(),
            Repr::List(list) => list.is_empty(),
        }
    }

    /// The items' bytes as they were received; `None` for a list given by the caller.
    pub const fn as_encoded(self) -> Option<&'a [u8]> {
        match self.0 {
            Repr::Encoded(bytes) => Some(bytes),
            Repr::List(_) => None,
        }
    }

    /// The items in order.
    pub fn iter(self) -> Iter<'a, T> {
        self.into_iter()
    }

    pub(crate) fn write(self, writer: &mut Writer<'_>) {
        match self.0 {
            Repr::Encoded(bytes) => writer.bytes(bytes),
            Repr::List(list) => list.iter().for_each(|item| item.write(writer)),
        }
    }

    /// Bytes that [`Self::write`] writes.
    pub(crate) fn encoded_len(self) -> usize {
        match self.0 {
            Repr::Encoded(bytes) => bytes.len(),
            Repr::List(_) => {
                let mut counter = Writer::counting();
                self.write(&mut counter);
                counter.len()
            }
        }
    }
}

impl<'a, T: Item<'a>> Default for Items<'a, T> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<'a, T: Item<'a>> IntoIterator for Items<'a, T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        Iter(self.0)
    }
}

impl<'a, T: Item<'a> + PartialEq> PartialEq for Items<'a, T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<'a, T: Item<'a> + Eq> Eq for Items<'a, T> {}

impl<'a, T: Item<'a> + fmt::Debug> fmt::Debug for Items<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Iterates over [`Items`].
#[derive(Clone)]
pub struct Iter<'a, T>(Repr<'a, T>);

impl<'a, T: Item<'a>> Iter<'a, T> {
    /// The bytes of the items that are left, as they were received; `None` for a list given by
    /// the caller. Lets a server pass items on as they are.
    pub const fn as_encoded(&self) -> Option<&'a [u8]> {
        Items(self.0).as_encoded()
    }
}

impl<'a, T: Item<'a>> Iterator for Iter<'a, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        match &mut self.0 {
            Repr::Encoded(bytes) => {
                let mut reader = Reader::new(bytes);
                if reader.is_empty() {
                    return None;
                }
                // Checked by `Items::decode`; a list that could not be read would end here.
                let item = T::read(&mut reader).ok();
                *bytes = reader.rest();
                item
            }
            Repr::List(list) => {
                let (first, rest) = list.split_first()?;
                *list = rest;
                Some(*first)
            }
        }
    }
}
