use core::cell::{Cell, RefCell};
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::collections::VecDeque;
use std::rc::Rc;
use std::vec;
use std::vec::Vec;

use embedded_io_async::{ErrorKind, ErrorType, Read, Write};

use super::Link;
use crate::client::{Client, CloseReason, Config, Event, InFlight, Memory, Message, State};
use crate::packet::{Connect, Disconnect};
use crate::{Instant, ProtocolVersion, QoS, ReasonCode, TopicName};

/// One direction of a transport in memory.
#[derive(Clone, Default)]
struct Pipe(Rc<PipeState>);

#[derive(Default)]
struct PipeState {
    bytes: RefCell<VecDeque<u8>>,
    /// Bytes that the writer keeps until it is flushed, if it does.
    unflushed: RefCell<Vec<u8>>,
    is_buffered: Cell<bool>,
    /// Most bytes in a read or write; 0 blocks.
    limit: Cell<usize>,
    is_closed: Cell<bool>,
    failure: Cell<Option<ErrorKind>>,
    writes_nothing: Cell<bool>,
    flushes: Cell<usize>,
    blocks_flush: Cell<bool>,
}

impl Pipe {
    fn new() -> Self {
        let pipe = Self::default();
        pipe.0.limit.set(usize::MAX);
        pipe
    }

    fn put(&self, bytes: &[u8]) {
        self.0.bytes.borrow_mut().extend(bytes);
    }

    fn take(&self) -> Vec<u8> {
        self.0.bytes.borrow_mut().drain(..).collect()
    }
}

impl ErrorType for Pipe {
    type Error = ErrorKind;
}

impl Read for Pipe {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        assert!(!buffer.is_empty(), "a read into nothing");
        poll_fn(|_| {
            let mut bytes = self.0.bytes.borrow_mut();
            let len = bytes.len().min(buffer.len()).min(self.0.limit.get());
            if len > 0 {
                for (to, from) in buffer.iter_mut().zip(bytes.drain(..len)) {
                    *to = from;
                }
                Poll::Ready(Ok(len))
            } else if let Some(failure) = self.0.failure.get() {
                Poll::Ready(Err(failure))
            } else if self.0.is_closed.get() {
                Poll::Ready(Ok(0))
            } else {
                Poll::Pending
            }
        })
        .await
    }
}

impl Write for Pipe {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        assert!(!bytes.is_empty(), "a write of nothing");
        poll_fn(|_| {
            if let Some(failure) = self.0.failure.get() {
                return Poll::Ready(Err(failure));
            }
            if self.0.writes_nothing.get() {
                return Poll::Ready(Ok(0));
            }
            let len = bytes.len().min(self.0.limit.get());
            if len == 0 {
                return Poll::Pending;
            }
            if self.0.is_buffered.get() {
                self.0.unflushed.borrow_mut().extend(&bytes[..len]);
            } else {
                self.put(&bytes[..len]);
            }
            Poll::Ready(Ok(len))
        })
        .await
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        poll_fn(|_| {
            if self.0.blocks_flush.get() {
                return Poll::Pending;
            }
            self.0.flushes.set(self.0.flushes.get() + 1);
            let bytes: Vec<u8> = self.0.unflushed.borrow_mut().drain(..).collect();
            self.put(&bytes);
            Poll::Ready(Ok(()))
        })
        .await
    }
}

/// A client, its link, and the server's ends of the pipes.
struct Bench {
    client: Client<'static>,
    link: Link<Pipe, Pipe>,
    incoming: Pipe,
    outgoing: Pipe,
    now: Rc<Cell<Instant>>,
}

impl Bench {
    fn new() -> Self {
        let memory = Memory {
            receive: vec![0; 64].leak(),
            outbox: vec![0; 256].leak(),
            in_flight: vec![InFlight::default(); 8].leak(),
            inbound: vec![None; 4].leak(),
        };
        let (incoming, outgoing) = (Pipe::new(), Pipe::new());
        let mut bench = Self {
            client: Client::new(Config::default(), memory),
            link: Link::new(incoming.clone(), outgoing.clone()),
            incoming,
            outgoing,
            now: Rc::new(Cell::new(Instant::from_millis(5))),
        };
        let connect = Connect::new(ProtocolVersion::V3_1_1, "link");
        bench
            .client
            .connect(&connect, bench.now.get())
            .expect("idle");
        bench
    }

    fn online() -> Self {
        let mut bench = Self::new();
        bench.incoming.put(&CONNACK);
        bench.run();
        assert_eq!(bench.client.state(), State::Connected);
        assert_eq!(bench.outgoing.take().first(), Some(&0x10));
        bench
    }

    /// One step, polled once; `None` where it is still waiting, and dropped.
    fn poll_step(&mut self) -> Option<Result<(), ErrorKind>> {
        let timeout = self.client.poll_timeout();
        let clock = self.now.clone();
        let timer = poll_fn(move |_| match timeout {
            Some(timeout) if timeout <= clock.get() => Poll::Ready(()),
            _ => Poll::Pending,
        });
        let now = || self.now.get();
        let step = pin!(self.link.step(&mut self.client, timer, now));
        poll_once(step)
    }

    /// Steps until there is nothing to do but to wait; payloads received. Each step that waits is
    /// dropped, as by an owner who waits for something else too.
    fn run(&mut self) -> Vec<Vec<u8>> {
        let mut payloads = Vec::new();
        for _ in 0..10_000 {
            while let Some(event) = self.client.poll_event() {
                if let Event::Message { publish, .. } = event {
                    payloads.push(publish.payload.to_vec());
                }
            }
            match self.poll_step() {
                None => return payloads,
                Some(result) => assert_eq!(result, Ok(())),
            }
        }
        panic!("it never waits");
    }

    fn publish(&mut self, payload: &str) {
        let message = Message {
            qos: QoS::AtLeastOnce,
            ..Message::new(topic(), payload.as_bytes())
        };
        assert!(self.client.publish(&message).is_ok());
    }
}

fn poll_once<F: Future>(future: core::pin::Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

fn topic() -> TopicName<'static> {
    TopicName::new("t").expect("a topic name")
}

const CONNACK: [u8; 4] = [0x20, 2, 0, 0];

#[test]
fn bytes_go_both_ways_in_pieces_of_any_size() {
    for limit in [1, 2, 7, usize::MAX] {
        let mut bench = Bench::new();
        bench.incoming.0.limit.set(limit);
        bench.outgoing.0.limit.set(limit);
        bench.run();
        assert_eq!(bench.outgoing.take().len(), 18, "the CONNECT");
        bench.incoming.put(&CONNACK);
        // More messages than there are places for acknowledgements.
        for number in 1..=20 {
            bench
                .incoming
                .put(&[0x32, 6, 0, 1, b't', 0, number, b'a' + number]);
        }
        bench.publish("out");
        let payloads = bench.run();
        let expected: Vec<_> = (1..=20).map(|number| vec![b'a' + number]).collect();
        assert_eq!(payloads, expected);
        let sent = bench.outgoing.take();
        let acks = sent.windows(3).filter(|bytes| bytes == &[0x40, 2, 0]);
        assert_eq!(acks.count(), 20);
        assert!(sent.windows(3).any(|bytes| bytes == b"out"));
    }
}

#[test]
fn a_transport_that_takes_nothing_does_not_keep_bytes_from_coming() {
    let mut bench = Bench::online();
    bench.outgoing.0.limit.set(0);
    bench.publish("stuck");
    bench.incoming.put(&[0x30, 4, 0, 1, b't', b'x']);
    assert_eq!(bench.run(), [b"x"]);
    assert_eq!(bench.outgoing.take(), []);
    bench.outgoing.0.limit.set(1);
    bench.run();
    assert_eq!(bench.outgoing.take(), b"\x32\x0a\x00\x01t\x00\x01stuck");
}

#[test]
fn what_is_read_and_written_in_one_poll_is_both_taken() {
    let mut bench = Bench::online();
    bench.publish("both");
    bench.incoming.put(&[0x30, 4, 0, 1, b't', b'x']);
    assert_eq!(bench.poll_step(), Some(Ok(())));
    assert!(matches!(
        bench.client.poll_event(),
        Some(Event::Message { .. })
    ));
    assert_eq!(bench.client.transmit(), b"");
    assert_eq!(bench.outgoing.take().len(), 11);
}

#[test]
fn the_timer_sends_pingreq_and_ends_a_dead_connection() {
    let mut bench = Bench::online();
    bench.now.set(bench.now.get() + Duration::from_secs(60));
    bench.run();
    assert_eq!(bench.outgoing.take(), [0xc0, 0]);
    bench.now.set(bench.now.get() + Duration::from_secs(10));
    assert_eq!(bench.poll_step(), Some(Ok(())));
    let closed = Event::Closed(CloseReason::PingTimeout);
    assert_eq!(bench.client.poll_event(), Some(closed));
}

#[test]
fn bytes_that_came_with_the_timer_count() {
    let mut bench = Bench::online();
    bench.now.set(bench.now.get() + Duration::from_secs(60));
    bench.run();
    bench.now.set(bench.now.get() + Duration::from_secs(10));
    bench.incoming.put(&[0xd0, 0]);
    bench.run();
    assert_eq!(bench.client.state(), State::Connected);
}

#[test]
fn the_end_of_the_transport_is_told_to_the_client_and_the_owner() {
    let lost = Event::Closed(CloseReason::Lost);
    let mut bench = Bench::online();
    bench.incoming.put(&[0x30, 4, 0, 1, b't', b'x']);
    bench.incoming.0.is_closed.set(true);
    assert_eq!(bench.poll_step(), Some(Ok(())), "the last message");
    assert!(bench.client.poll_event().is_some());
    assert_eq!(bench.client.poll_event(), None);
    let reset = ErrorKind::ConnectionReset;
    assert_eq!(bench.poll_step(), Some(Err(reset)));
    assert_eq!(bench.client.poll_event(), Some(lost));

    let mut bench = Bench::online();
    bench.incoming.0.failure.set(Some(ErrorKind::TimedOut));
    assert_eq!(bench.poll_step(), Some(Err(ErrorKind::TimedOut)));
    assert_eq!(bench.client.poll_event(), Some(lost));

    let mut bench = Bench::online();
    bench.publish("x");
    bench.outgoing.0.failure.set(Some(ErrorKind::BrokenPipe));
    assert_eq!(bench.poll_step(), Some(Err(ErrorKind::BrokenPipe)));
    assert_eq!(bench.client.poll_event(), Some(lost));

    let mut bench = Bench::online();
    bench.publish("x");
    bench.outgoing.0.writes_nothing.set(true);
    assert_eq!(bench.poll_step(), Some(Err(ErrorKind::WriteZero)));
    assert_eq!(bench.client.poll_event(), Some(lost));
}

#[test]
fn a_disconnect_goes_out_and_closes() {
    let mut bench = Bench::online();
    let packet = Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
    let result = bench.client.disconnect(&packet, bench.now.get());
    assert_eq!(result, Ok(()));
    assert_eq!(bench.poll_step(), Some(Ok(())));
    assert_eq!(bench.outgoing.take(), [0xe0, 0]);
    let closed = Event::Closed(CloseReason::Requested);
    assert_eq!(bench.client.poll_event(), Some(closed));
}

#[test]
fn a_writer_that_collects_is_flushed_once_all_is_written() {
    let mut bench = Bench::online();
    bench.outgoing.0.is_buffered.set(true);
    let before = bench.outgoing.0.flushes.get();
    bench.outgoing.0.limit.set(1);
    bench.publish("flushed");
    bench.run();
    assert_eq!(bench.outgoing.take().len(), 14);
    assert_eq!(bench.outgoing.0.flushes.get(), before + 1);
    // One that was dropped is done again, and reading goes on meanwhile.
    bench.outgoing.0.blocks_flush.set(true);
    bench.publish("later");
    bench.run();
    bench.incoming.put(&[0x30, 4, 0, 1, b't', b'x']);
    assert_eq!(bench.run(), [b"x"]);
    assert_eq!(bench.outgoing.take(), []);
    bench.outgoing.0.blocks_flush.set(false);
    bench.run();
    assert_eq!(bench.outgoing.take().len(), 12);
}

#[test]
fn a_payload_is_streamed_on_the_same_transport() {
    let mut bench = Bench::online();
    bench.outgoing.0.limit.set(3);
    let message = Message::new(topic(), &[]);
    let payload = [b'x'; 50];
    let result = bench.client.publish_streamed(&message, payload.len());
    assert_eq!(result, Ok(None));
    let mut rest = &payload[..];
    while !rest.is_empty() {
        bench.run();
        let now = bench.now.clone();
        let chunk = pin!(
            bench
                .link
                .stream(&mut bench.client, rest, move || now.get())
        );
        let len = poll_once(chunk).expect("space").expect("a transport");
        rest = &rest[len..];
    }
    bench.run();
    let sent = bench.outgoing.take();
    assert_eq!(sent[..5], [0x30, 53, 0, 1, b't']);
    assert_eq!(sent[5..], payload);
    let now = bench.now.clone();
    let chunk = pin!(
        bench
            .link
            .stream(&mut bench.client, b"no", move || now.get())
    );
    assert_eq!(poll_once(chunk), Some(Ok(0)), "nothing is awaited");
}
