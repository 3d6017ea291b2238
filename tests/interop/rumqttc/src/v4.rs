//! MQTT 3.1.1 with `rumqttc`.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, LastWill, MqttOptions, Outgoing, Packet, QoS,
    SubscribeReasonCode,
};
use serde_json::{Value, json};

use crate::{Ended, Happened, Waiting, base64, bytes, flag, number, report, report_end, text};

pub fn open(request: &Value) -> (AsyncClient, EventLoop) {
    let port = number(request, "port") as u16;
    let mut options = MqttOptions::new(text(request, "client_id"), "127.0.0.1", port);
    options.set_keep_alive(Duration::from_secs(number(request, "keepalive")));
    options.set_clean_session(flag(request, "clean"));
    options.set_max_packet_size(16 << 20, 16 << 20);
    if request["username"].is_string() {
        options.set_credentials(text(request, "username"), text(request, "password"));
    }
    let will = &request["will"];
    if will.is_object() {
        options.set_last_will(LastWill::new(
            text(will, "topic"),
            bytes(will, "payload"),
            qos(will),
            flag(will, "retain"),
        ));
    }
    AsyncClient::new(options, 100)
}

pub async fn run(mut events: EventLoop, name: String, waiting: Rc<RefCell<Waiting>>) {
    loop {
        match events.poll().await {
            Ok(event) => report(&name, &waiting, happened(event)),
            Err(error) => {
                let ended = match error {
                    ConnectionError::ConnectionRefused(code) => Ended::Refused(format!("{code:?}")),
                    other => Ended::Lost(other.to_string()),
                };
                return report_end(&name, &waiting, ended);
            }
        }
    }
}

pub async fn ask(client: &AsyncClient, op: &str, request: &Value) -> Result<(), String> {
    match op {
        "subscribe" => {
            client
                .subscribe(text(request, "filter"), qos(request))
                .await
        }
        "unsubscribe" => client.unsubscribe(text(request, "filter")).await,
        "publish" => {
            let (topic, payload) = (text(request, "topic"), bytes(request, "payload"));
            client
                .publish(topic, qos(request), flag(request, "retain"), payload)
                .await
        }
        "disconnect" => client.disconnect().await,
        other => return Err(format!("no such request: {other}")),
    }
    .map_err(|error| error.to_string())
}

fn happened(event: Event) -> Happened {
    match event {
        Event::Incoming(Packet::ConnAck(connack)) => {
            Happened::Connected(json!({"session_present": connack.session_present}))
        }
        Event::Incoming(Packet::Publish(publish)) => Happened::Message(json!({
            "topic": publish.topic,
            "payload": base64(&publish.payload),
            "qos": publish.qos as u8,
            "retain": publish.retain,
            "dup": publish.dup,
        })),
        Event::Incoming(Packet::SubAck(suback)) => {
            let granted: Vec<u8> = suback.return_codes.iter().map(granted).collect();
            Happened::Subscribed(json!({"granted": granted}))
        }
        Event::Incoming(Packet::UnsubAck(_)) => Happened::Unsubscribed,
        Event::Incoming(Packet::PubAck(_) | Packet::PubComp(_))
        | Event::Outgoing(Outgoing::Publish(0)) => Happened::Published(json!({})),
        _ => Happened::Nothing,
    }
}

fn granted(code: &SubscribeReasonCode) -> u8 {
    match code {
        SubscribeReasonCode::Success(qos) => *qos as u8,
        SubscribeReasonCode::Failure => 0x80,
    }
}

fn qos(request: &Value) -> QoS {
    match number(request, "qos") {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    }
}
