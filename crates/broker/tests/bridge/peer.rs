//! A client in a thread: it publishes one message after the other, keeps what comes, and connects
//! again whenever it is cut off.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::Duration;

use declic_mqtt::client::{Client, Config, Event, InFlight, Memory, Message, RequestError, State};
use declic_mqtt::packet::{Connect, Properties, Property, RetainHandling, Subscription};
use declic_mqtt::{Instant, ProtocolVersion, QoS, TopicFilter, TopicName};

/// A message as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Came {
    pub topic: String,
    pub payload: String,
    pub qos: QoS,
    pub retain: bool,
    /// Names of its user properties.
    pub user_properties: Vec<(String, String)>,
}

#[derive(Debug)]
pub struct Peer {
    orders: Sender<Order>,
    came: Receiver<Came>,
    ready: Receiver<()>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Debug)]
struct Order {
    topic: String,
    payload: String,
    qos: QoS,
    retain: bool,
}

impl Peer {
    /// A client with a session that is kept, subscribed to `filter` when this returns.
    pub fn start(address: SocketAddr, client_id: &str, filter: &str) -> Self {
        let ((orders, taken), (sender, came)) = (channel(), channel());
        let (subscribed, ready) = channel();
        let (client_id, filter) = (client_id.to_owned(), filter.to_owned());
        let thread = thread::spawn(move || {
            run(address, &client_id, &filter, &taken, &sender, &subscribed);
        });
        let peer = Self {
            orders,
            came,
            ready,
            thread: Some(thread),
        };
        peer.ready.recv_timeout(LIMIT).expect("it subscribes");
        peer
    }

    pub fn publish(&self, topic: &str, payload: &str, qos: QoS) {
        self.send(topic, payload, qos, false);
    }

    pub fn retain(&self, topic: &str, payload: &str, qos: QoS) {
        self.send(topic, payload, qos, true);
    }

    fn send(&self, topic: &str, payload: &str, qos: QoS, retain: bool) {
        let (topic, payload) = (topic.to_owned(), payload.to_owned());
        let order = Order {
            topic,
            payload,
            qos,
            retain,
        };
        self.orders.send(order).expect("it runs");
    }

    /// The next message.
    #[track_caller]
    pub fn next(&self) -> Came {
        self.came.recv_timeout(LIMIT).expect("a message in time")
    }

    /// Payloads until `last` comes, that one left out.
    #[track_caller]
    pub fn payloads_until(&self, last: &str) -> Vec<String> {
        let mut payloads = Vec::new();
        loop {
            match self.next().payload {
                payload if payload == last => return payloads,
                payload => payloads.push(payload),
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Without a sender, it ends.
        self.orders = channel().0;
        if let Some(thread) = self.thread.take()
            && !thread::panicking()
        {
            thread.join().expect("it ends well");
        }
    }
}

fn run(
    address: SocketAddr,
    client_id: &str,
    filter: &str,
    orders: &Receiver<Order>,
    came: &Sender<Came>,
    subscribed: &Sender<()>,
) {
    let (mut receive, mut outbox) = (vec![0; 65_536], vec![0; 65_536]);
    let (mut in_flight, mut inbound) = (vec![InFlight::default(); 64], vec![None; 64]);
    let memory = Memory {
        receive: &mut receive,
        outbox: &mut outbox,
        in_flight: &mut in_flight,
        inbound: &mut inbound,
    };
    let mut client = Client::new(Config::default(), memory);
    let start = std::time::Instant::now();
    let now = || Instant::ZERO + start.elapsed();
    let mut stream: Option<TcpStream> = None;
    let mut order: Option<Order> = None;
    let expiry = [Property::SessionExpiryInterval(3_600)];
    loop {
        if stream.is_none() && client.state() == State::Idle {
            if let Ok(open) = TcpStream::connect(address) {
                open.set_read_timeout(Some(Duration::from_millis(5)))
                    .expect("a timeout");
                open.set_nodelay(true).expect("no delay");
                stream = Some(open);
                let connect = Connect {
                    clean_start: false,
                    properties: Properties::new(&expiry),
                    ..Connect::new(ProtocolVersion::V5, client_id)
                };
                client.connect(&connect, now()).expect("it can connect");
            } else if matches!(orders.try_recv(), Err(TryRecvError::Disconnected)) {
                return;
            }
        }
        while client.state() == State::Connected {
            if order.is_none() {
                match orders.try_recv() {
                    Ok(next) => order = Some(next),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
            }
            let Some(next) = order.take() else { break };
            let message = Message {
                qos: next.qos,
                retain: next.retain,
                ..Message::new(
                    TopicName::new(&next.topic).expect("a topic"),
                    next.payload.as_bytes(),
                )
            };
            match client.publish(&message) {
                Ok(_) => {}
                Err(RequestError::Full) => {
                    order = Some(next);
                    break;
                }
                Err(error) => panic!("{error}"),
            }
        }
        let mut is_over = false;
        if let Some(open) = &mut stream {
            while !client.transmit().is_empty() && !is_over {
                match open.write(client.transmit()) {
                    Ok(count) => client.transmitted(count, now()),
                    Err(_) => is_over = true,
                }
            }
            let space = client.rx_space();
            if !space.is_empty() {
                match open.read(space) {
                    Ok(0) => is_over = true,
                    Ok(count) => client.received(count, now()),
                    Err(error)
                        if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                    Err(_) => is_over = true,
                }
            }
        }
        if is_over {
            stream = None;
            client.handle_closed(now());
        }
        client.handle_timeout(now());
        let mut wants = false;
        while let Some(event) = client.poll_event() {
            match event {
                Event::Connected { .. } => wants = true,
                Event::Subscribed { reasons, .. } => {
                    assert!(reasons.iter().all(|reason| !reason.is_error()));
                    // Nobody waits after the first time.
                    let _ = subscribed.send(());
                }
                Event::Message { publish, .. } => {
                    let properties = publish.properties.user_properties();
                    let message = Came {
                        topic: publish.topic.expect("no alias").as_str().to_owned(),
                        payload: String::from_utf8_lossy(publish.payload).into_owned(),
                        qos: publish.delivery.qos(),
                        retain: publish.retain,
                        user_properties: properties
                            .map(|(name, value)| (name.to_owned(), value.to_owned()))
                            .collect(),
                    };
                    if came.send(message).is_err() {
                        return;
                    }
                }
                Event::Closed(_) => stream = None,
                _ => {}
            }
        }
        if wants {
            let subscription = Subscription {
                retain_handling: RetainHandling::OnNewSubscription,
                retain_as_published: true,
                ..Subscription::new(
                    TopicFilter::new(filter).expect("a filter"),
                    QoS::ExactlyOnce,
                )
            };
            client
                .subscribe(&[subscription], Properties::EMPTY)
                .expect("room to subscribe");
        }
    }
}

/// What takes longer has failed.
pub const LIMIT: Duration = Duration::from_secs(30);
