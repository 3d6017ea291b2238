//! Finding a broker in the local network: a question and its answers in mDNS (RFC 6762, service
//! discovery after RFC 6763), without I/O.
//!
//! The question is a *one-shot query* (RFC 6762, section 6.7): it is sent to [`GROUP`] from any port
//! but 5353, and the answer comes to that port alone. So the machine joins no multicast group, and
//! hears nothing of what others ask. Ask again every second or more while nobody answers.
//!
//! Answers are expected as every usual responder gives them: with the service's `SRV` record in the
//! same message as the `PTR` that was asked for (RFC 6763, section 12.1).

use core::net::{Ipv4Addr, SocketAddrV4};

/// Where [`QUERY`] goes.
pub const GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 251), 5353);

/// Asks for brokers: `_mqtt._tcp.local`, `PTR`, `IN`.
pub const QUERY: &[u8] = b"\0\0\0\0\0\x01\0\0\0\0\0\0\x05_mqtt\x04_tcp\x05local\0\0\x0c\0\x01";

/// Where the broker is that `message`, which came from the machine at `from`, tells of; `None` if it
/// tells of none.
///
/// A machine with several networks names all of its addresses; the one that it answers from is the
/// one that can be reached. Where it answers for another machine, its first address counts.
pub fn broker(message: &[u8], from: Ipv4Addr) -> Option<SocketAddrV4> {
    let (target, port) = records(message)?.find_map(|record| record.broker())?;
    let addresses = || {
        let records = records(message).into_iter().flatten();
        records.filter_map(move |record| record.address(target))
    };
    let address = if addresses().any(|address| address == from) {
        from
    } else {
        addresses().next().unwrap_or(from)
    };
    Some(SocketAddrV4::new(address, port))
}

/// The records of an answer; `None` for any other message.
fn records(message: &[u8]) -> Option<impl Iterator<Item = Record<'_>>> {
    let mut reader = Reader { message, at: 0 };
    let _id = reader.number()?;
    // A response (QR) of a standard query, without an error.
    if reader.number()? & 0xf80f != 0x8000 {
        return None;
    }
    let questions = reader.number()?;
    let counts = [reader.number()?, reader.number()?, reader.number()?];
    for _ in 0..questions {
        reader.name()?;
        reader.take(4)?;
    }
    let count = counts.into_iter().map(u32::from).sum::<u32>();
    // What is cut off ends it, whatever was announced.
    Some((0..count).map_while(move |_| reader.record()))
}

struct Record<'a> {
    name: Name<'a>,
    /// 0 for one that is no longer valid.
    kind: u16,
    data: Reader<'a>,
}

impl<'a> Record<'a> {
    /// The machine and the port, if this is a broker's `SRV`.
    fn broker(mut self) -> Option<(Name<'a>, u16)> {
        let mut service = self.name;
        // The instance's own name.
        service.next()?;
        if self.kind != SRV || !service.is(SERVICE.into_iter()) {
            return None;
        }
        let _priority_and_weight = self.data.take(4)?;
        let port = self.data.number().filter(|port| *port != 0)?;
        Some((self.data.name()?, port))
    }

    /// The address, if this is an `A` of `machine`.
    fn address(mut self, machine: Name<'a>) -> Option<Ipv4Addr> {
        if self.kind != A || !self.name.is(machine) {
            return None;
        }
        let octets: [u8; 4] = self.data.take(4)?.try_into().ok()?;
        Some(Ipv4Addr::from(octets)).filter(|address| !address.is_loopback())
    }
}

/// Reads on from a place in a message, which names may point back into.
#[derive(Clone, Copy)]
struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let bytes = self.message.get(self.at..)?.get(..len)?;
        self.at += len;
        Some(bytes)
    }

    fn number(&mut self) -> Option<u16> {
        let bytes = self.take(2)?.try_into().ok()?;
        Some(u16::from_be_bytes(bytes))
    }

    fn name(&mut self) -> Option<Name<'a>> {
        let name = Name {
            reader: *self,
            part: self.at,
        };
        loop {
            let len = self.take(1)?[0];
            match len {
                0 => return Some(name),
                // The rest is elsewhere.
                POINTER.. => return self.take(1).map(|_| name),
                _ => self.take(len.into())?,
            };
        }
    }

    fn record(&mut self) -> Option<Record<'a>> {
        let name = self.name()?;
        let kind = self.number()?;
        let _class = self.take(2)?;
        // A record that lives no longer was taken back.
        let is_valid = self.take(4)? != [0; 4];
        let len = self.number()?;
        let data = *self;
        self.take(len.into())?;
        Some(Record {
            name,
            kind: if is_valid { kind } else { 0 },
            data,
        })
    }
}

/// A name, by its labels. One that is broken ends early.
#[derive(Clone, Copy)]
struct Name<'a> {
    reader: Reader<'a>,
    /// Where the part that is read now begins.
    part: usize,
}

impl Name<'_> {
    /// Whether it has these labels; upper and lower case are the same.
    fn is<'b>(mut self, mut other: impl Iterator<Item = &'b [u8]>) -> bool {
        loop {
            match (self.next(), other.next()) {
                (None, None) => return true,
                (Some(a), Some(b)) if a.eq_ignore_ascii_case(b) => {}
                _ => return false,
            }
        }
    }
}

impl<'a> Iterator for Name<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let Self { reader, part } = self;
        loop {
            let start = reader.at;
            let len = reader.take(1)?[0];
            match len {
                0 => {
                    // It stays at its end.
                    reader.at = start;
                    return None;
                }
                POINTER.. => {
                    let low = reader.take(1)?[0];
                    let to = usize::from(u16::from_be_bytes([len & !POINTER, low]));
                    // Only ever back, so that no name is endless.
                    if to >= *part {
                        reader.at = reader.message.len();
                        return None;
                    }
                    (*part, reader.at) = (to, to);
                }
                _ => return reader.take(len.into()),
            }
        }
    }
}

const A: u16 = 1;
const SRV: u16 = 33;
/// In a label's length: the rest of the name is elsewhere (RFC 1035, section 4.1.4).
const POINTER: u8 = 0xc0;
const SERVICE: [&[u8]; 3] = [b"_mqtt", b"_tcp", b"local"];

#[cfg(test)]
mod tests;
