//! MQTT 5.0 with `rumqttc`.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnectProperties, Filter, LastWill, LastWillProperties, Packet, PublishProperties,
    RetainForwardRule, SubscribeProperties, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions};
use serde_json::{Value, json};

use crate::{Ended, Happened, Waiting, base64, bytes, flag, number, report, report_end, text};

pub fn open(request: &Value) -> (AsyncClient, EventLoop) {
    let port = number(request, "port") as u16;
    let mut options = MqttOptions::new(text(request, "client_id"), "127.0.0.1", port);
    options.set_keep_alive(Duration::from_secs(number(request, "keepalive")));
    options.set_clean_start(flag(request, "clean"));
    let mut properties = ConnectProperties::new();
    properties.session_expiry_interval = optional(request, "session_expiry");
    properties.max_packet_size = Some(16 << 20);
    options.set_connect_properties(properties);
    if request["username"].is_string() {
        options.set_credentials(text(request, "username"), text(request, "password"));
    }
    let will = &request["will"];
    if will.is_object() {
        let properties = LastWillProperties {
            delay_interval: optional(will, "delay"),
            payload_format_indicator: None,
            message_expiry_interval: None,
            content_type: None,
            response_topic: None,
            correlation_data: None,
            user_properties: Vec::new(),
        };
        options.set_last_will(LastWill::new(
            text(will, "topic"),
            bytes(will, "payload"),
            qos(will),
            flag(will, "retain"),
            Some(properties),
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
            let mut filter = Filter::new(text(request, "filter"), qos(request));
            filter.nolocal = flag(request, "no_local");
            filter.preserve_retain = flag(request, "retain_as_published");
            filter.retain_forward_rule = match number(request, "retain_handling") {
                0 => RetainForwardRule::OnEverySubscribe,
                1 => RetainForwardRule::OnNewSubscribe,
                _ => RetainForwardRule::Never,
            };
            let properties = SubscribeProperties {
                id: request["identifier"].as_u64().map(|id| id as usize),
                user_properties: Vec::new(),
            };
            client
                .subscribe_many_with_properties([filter], properties)
                .await
        }
        "unsubscribe" => client.unsubscribe(text(request, "filter")).await,
        "publish" => {
            let (topic, payload) = (text(request, "topic"), bytes(request, "payload"));
            let properties = publish_properties(&request["properties"]);
            let retain = flag(request, "retain");
            client
                .publish_with_properties(topic, qos(request), retain, payload, properties)
                .await
        }
        "disconnect" => client.disconnect().await,
        other => return Err(format!("no such request: {other}")),
    }
    .map_err(|error| error.to_string())
}

fn publish_properties(given: &Value) -> PublishProperties {
    let optional_text = |key: &str| given[key].as_str().map(str::to_owned);
    let pairs = given["user"].as_array().cloned().unwrap_or_default();
    PublishProperties {
        payload_format_indicator: optional(given, "payload_format").map(|format| format as u8),
        message_expiry_interval: optional(given, "message_expiry"),
        topic_alias: optional(given, "topic_alias").map(|alias| alias as u16),
        response_topic: optional_text("response_topic"),
        correlation_data: given["correlation_data"]
            .is_string()
            .then(|| bytes(given, "correlation_data").into()),
        user_properties: pairs
            .iter()
            .map(|pair| {
                let half = |at: usize| pair[at].as_str().unwrap_or_default().to_owned();
                (half(0), half(1))
            })
            .collect(),
        subscription_identifiers: Vec::new(),
        content_type: optional_text("content_type"),
    }
}

fn happened(event: Event) -> Happened {
    match event {
        Event::Incoming(Packet::ConnAck(connack)) => {
            let assigned = connack
                .properties
                .and_then(|known| known.assigned_client_identifier);
            Happened::Connected(json!({
                "session_present": connack.session_present,
                "assigned_id": assigned,
            }))
        }
        Event::Incoming(Packet::Publish(publish)) => {
            let properties = publish.properties.unwrap_or_default();
            Happened::Message(json!({
                "topic": String::from_utf8_lossy(&publish.topic),
                "payload": base64(&publish.payload),
                "qos": publish.qos as u8,
                "retain": publish.retain,
                "dup": publish.dup,
                "properties": {
                    "payload_format": properties.payload_format_indicator,
                    "message_expiry": properties.message_expiry_interval,
                    "response_topic": properties.response_topic,
                    "correlation_data": properties.correlation_data.map(|data| base64(&data)),
                    "user": properties.user_properties,
                    "identifiers": properties.subscription_identifiers,
                    "content_type": properties.content_type,
                },
            }))
        }
        Event::Incoming(Packet::SubAck(suback)) => {
            let granted: Vec<u8> = suback.return_codes.iter().map(granted).collect();
            Happened::Subscribed(json!({"granted": granted}))
        }
        Event::Incoming(Packet::UnsubAck(_)) => Happened::Unsubscribed,
        Event::Incoming(Packet::PubAck(ack)) => {
            Happened::Published(json!({"reason": format!("{:?}", ack.reason)}))
        }
        Event::Incoming(Packet::PubComp(ack)) => {
            Happened::Published(json!({"reason": format!("{:?}", ack.reason)}))
        }
        Event::Outgoing(Outgoing::Publish(0)) => Happened::Published(json!({})),
        _ => Happened::Nothing,
    }
}

fn granted(code: &SubscribeReasonCode) -> u8 {
    match code {
        SubscribeReasonCode::Success(qos) => *qos as u8,
        _ => 0x80,
    }
}

fn qos(request: &Value) -> QoS {
    match number(request, "qos") {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    }
}

fn optional(request: &Value, key: &str) -> Option<u32> {
    request[key].as_u64().map(|value| value as u32)
}
