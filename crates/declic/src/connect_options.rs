//! All that a CONNECT says, and where it goes.

use std::fmt;
use std::time::Duration;

use declic_broker::client_side::Tls;
use declic_mqtt::client::Config;
use declic_mqtt::packet::{Connect, Properties, Property, Will};
use declic_mqtt::{ProtocolVersion, QoS, TopicName};

use crate::url::BrokerUrl;

/// How to connect to a broker; owns what a [`Connect`] borrows.
#[derive(Clone)]
pub struct ConnectOptions {
    pub url: BrokerUrl,
    /// What the connection is encrypted with.
    pub tls: Option<Tls>,
    /// The path that a WebSocket is asked for at.
    pub websocket: Option<String>,
    /// `None`: 5.0, or 3.1.1 where the broker does not speak that.
    pub version: Option<ProtocolVersion>,
    pub client_id: String,
    pub clean_start: bool,
    pub keep_alive: u16,
    pub user: Option<String>,
    pub password: Option<Vec<u8>>,
    pub will: Option<OwnedWill>,
    pub properties: Vec<Property<'static>>,
    /// Properties of the DISCONNECT.
    pub disconnect: Vec<Property<'static>>,
}

/// What a [`Will`] borrows.
#[derive(Clone)]
pub struct OwnedWill {
    pub topic: TopicName<'static>,
    pub payload: Vec<u8>,
    pub qos: QoS,
    pub retain: bool,
    pub properties: Vec<Property<'static>>,
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The password shall not end up in a log.
        f.debug_struct("ConnectOptions")
            .field("url", &self.url)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

impl ConnectOptions {
    /// How long the client waits. For the answer to a ping as long as the keep-alive: behind a
    /// large message on a slow line it takes its time.
    pub fn config(&self) -> Config {
        let default = Config::default();
        let keep_alive = Duration::from_secs(u64::from(self.keep_alive));
        Config {
            ping_timeout: keep_alive.max(default.ping_timeout),
            ..default
        }
    }

    /// The CONNECT for `version`.
    pub fn connect(&self, version: ProtocolVersion) -> Connect<'_> {
        Connect {
            version,
            clean_start: self.clean_start,
            keep_alive: self.keep_alive,
            client_id: &self.client_id,
            will: self.will.as_ref().map(|will| Will {
                topic: will.topic,
                payload: &will.payload,
                qos: will.qos,
                retain: will.retain,
                properties: Properties::new(&will.properties),
            }),
            user_name: self.user.as_deref(),
            password: self.password.as_deref(),
            properties: Properties::new(&self.properties),
        }
    }
}
