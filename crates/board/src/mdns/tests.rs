//! Finding a broker: what responders answer, and what nobody should.

use std::vec::Vec;

use super::*;

const FROM: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 20);

/// A message with names that point back, as responders make them.
struct Message(Vec<u8>);

impl Message {
    /// An answer that repeats the question, as one-shot queries are answered.
    fn answer(records: u16) -> Self {
        let mut bytes = QUERY.to_vec();
        bytes[2] = 0x84;
        bytes[7] = records as u8;
        Self(bytes)
    }

    fn record(mut self, name: &[u8], kind: u16, seconds: u32, data: &[u8]) -> Self {
        self.0.extend(name);
        self.0.extend(kind.to_be_bytes());
        self.0.extend([0x80, 1]);
        self.0.extend(seconds.to_be_bytes());
        self.0.extend((data.len() as u16).to_be_bytes());
        self.0.extend(data);
        self
    }

    /// `SRV` of `my broker._mqtt._tcp.local`, which runs on `home.local`.
    fn service(self, port: u16, seconds: u32) -> Self {
        let mut data = Vec::from([0, 0, 0, 0]);
        data.extend(port.to_be_bytes());
        data.extend(b"\x04home\xc0\x17");
        self.record(b"\x09my broker\xc0\x0c", SRV, seconds, &data)
    }

    fn address(self, name: &[u8], address: [u8; 4]) -> Self {
        self.record(name, A, 120, &address)
    }

    fn broker(&self) -> Option<SocketAddrV4> {
        broker(&self.0, FROM)
    }
}

fn at(address: [u8; 4], port: u16) -> Option<SocketAddrV4> {
    Some(SocketAddrV4::new(address.into(), port))
}

#[test]
fn the_question_is_that_for_brokers() {
    let mut reader = Reader {
        message: QUERY,
        at: 12,
    };
    assert!(
        reader
            .name()
            .is_some_and(|name| name.is(SERVICE.into_iter()))
    );
    assert_eq!(reader.take(4), Some(&[0, 12, 0, 1][..]));
    assert!(broker(QUERY, FROM).is_none(), "it is no answer");
}

#[test]
fn a_broker_is_where_its_service_record_says() {
    let message = Message::answer(3)
        .record(b"\xc0\x0c", 12, 120, b"\x09my broker\xc0\x0c")
        .service(1884, 120)
        .address(b"\x04HOME\x05local\0", [192, 168, 1, 20]);
    assert_eq!(message.broker(), at([192, 168, 1, 20], 1884));
}

#[test]
fn of_several_addresses_the_one_that_answers_counts() {
    let message = Message::answer(4)
        .address(b"\x04home\xc0\x17", [172, 17, 0, 1])
        .address(b"\x04home\xc0\x17", [192, 168, 1, 20])
        .service(1883, 120);
    assert_eq!(message.broker(), at([192, 168, 1, 20], 1883));
    let other = Message::answer(4)
        .address(b"\x04lamp\xc0\x17", [192, 168, 1, 20])
        .address(b"\x04home\xc0\x17", [127, 0, 0, 1])
        .address(b"\x04home\xc0\x17", [192, 168, 1, 30])
        .service(1883, 120);
    assert_eq!(other.broker(), at([192, 168, 1, 30], 1883));
}

#[test]
fn without_an_address_the_machine_that_answers_counts() {
    let message = Message::answer(1).service(1883, 120);
    assert_eq!(message.broker(), at([192, 168, 1, 20], 1883));
}

#[test]
fn what_is_no_broker_is_none() {
    let printer = Message::answer(1).record(
        b"\x01a\x04_ipp\x04_tcp\x05local\0",
        SRV,
        120,
        b"\0\0\0\0\x02\x77\x04home\xc0\x17",
    );
    let type_itself = Message::answer(1).record(b"\xc0\x0c", SRV, 120, b"\0\0\0\0\x07\x5b\xc0\x17");
    let taken_back = Message::answer(1).service(1883, 0);
    let no_port = Message::answer(1).service(0, 120);
    let announced_only = Message::answer(0).service(1883, 120);
    let mut failed = Message::answer(1).service(1883, 120);
    failed.0[3] = 3;
    for message in [
        printer,
        type_itself,
        taken_back,
        no_port,
        announced_only,
        failed,
    ] {
        assert_eq!(message.broker(), None, "{:?}", message.0);
    }
}

#[test]
fn a_message_that_is_cut_tells_nothing_wrong() {
    let message = Message::answer(2)
        .service(1884, 120)
        .address(b"\x04home\xc0\x17", [192, 168, 1, 30])
        .0;
    for len in 0..message.len() {
        let found = broker(&message[..len], FROM);
        assert!(
            found.is_none() || found == at([192, 168, 1, 20], 1884),
            "{len}: {found:?}"
        );
    }
}

#[test]
fn a_name_that_points_at_itself_ends() {
    for name in [
        &b"\xc0\x21"[..],
        b"\x01a\xc0\x21",
        b"\xc0\xff",
        b"\xc0\x25\xc0\x21",
    ] {
        let message = Message::answer(2)
            .record(name, SRV, 120, b"\0\0\0\0\x07\x5b\xc0\x21")
            .record(name, A, 120, &[10, 0, 0, 1]);
        assert_eq!(message.broker(), None);
    }
}

#[test]
fn any_bytes_are_read_to_their_end() {
    // A message of every byte at every place, among them every pointer.
    let whole = Message::answer(2)
        .service(1884, 120)
        .address(b"\x04home\xc0\x17", [192, 168, 1, 30])
        .0;
    for place in 0..whole.len() {
        for byte in 0..=u8::MAX {
            let mut message = whole.clone();
            message[place] = byte;
            let found = broker(&message, FROM);
            assert!(found.is_none_or(|found| found.port() != 0));
        }
    }
}
