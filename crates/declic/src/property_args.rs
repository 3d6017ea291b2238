//! `-D command property value`, as `mosquitto_pub` and `mosquitto_sub` have it.

use std::num::{NonZeroU16, NonZeroU32};

use declic_mqtt::TopicName;
use declic_mqtt::packet::{PacketKind, Property, PropertyPlace};

/// The properties of the command line, sorted by what they go into.
#[derive(Debug, Default)]
pub struct PropertyArgs {
    pub connect: Vec<Property<'static>>,
    pub will: Vec<Property<'static>>,
    pub publish: Vec<Property<'static>>,
    pub subscribe: Vec<Property<'static>>,
    pub unsubscribe: Vec<Property<'static>>,
    pub disconnect: Vec<Property<'static>>,
}

impl PropertyArgs {
    /// Reads the values of all `-D` one after the other: packet, property, value, and for a user
    /// property name and value.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(values: &[String]) -> Result<Self, String> {
        let mut all = Self::default();
        let mut values = values.iter().map(String::as_str);
        while let Some(packet) = values.next() {
            let mut next = |what: &str| {
                values
                    .next()
                    .ok_or_else(|| format!("{what} is missing behind {packet}"))
            };
            let name = next("the property's name")?;
            let (list, place) = all.list(packet)?;
            let property = if name == "user-property" {
                Property::UserProperty((keep(next("a name")?), keep(next("a value")?)))
            } else {
                property(name, next("the value")?)?
            };
            if !property.is_allowed_in(place) {
                return Err(format!("{name} is no property of {packet}"));
            }
            let is_repeated = list.iter().any(|other| other.id() == property.id());
            if is_repeated && name != "user-property" {
                return Err(format!("{packet} can have {name} only once"));
            }
            list.push(property);
        }
        Ok(all)
    }

    pub fn is_empty(&self) -> bool {
        [
            &self.connect,
            &self.will,
            &self.publish,
            &self.subscribe,
            &self.unsubscribe,
            &self.disconnect,
        ]
        .iter()
        .all(|list| list.is_empty())
    }

    fn list(
        &mut self,
        packet: &str,
    ) -> Result<(&mut Vec<Property<'static>>, PropertyPlace), String> {
        let packet_place = PropertyPlace::Packet;
        Ok(match packet.to_ascii_lowercase().as_str() {
            "connect" => (&mut self.connect, packet_place(PacketKind::Connect)),
            "will" => (&mut self.will, PropertyPlace::Will),
            "publish" => (&mut self.publish, packet_place(PacketKind::Publish)),
            "subscribe" => (&mut self.subscribe, packet_place(PacketKind::Subscribe)),
            "unsubscribe" => (&mut self.unsubscribe, packet_place(PacketKind::Unsubscribe)),
            "disconnect" => (&mut self.disconnect, packet_place(PacketKind::Disconnect)),
            _ => {
                return Err(format!(
                    "{packet} is none of connect, will, publish, subscribe, unsubscribe, disconnect"
                ));
            }
        })
    }
}

fn property(name: &str, value: &str) -> Result<Property<'static>, String> {
    let number = || {
        value
            .parse::<u32>()
            .map_err(|_| format!("{name} is a number, not {value}"))
    };
    let small =
        || u16::try_from(number()?).map_err(|_| format!("{name} is at most 65535, not {value}"));
    let not_zero = || format!("{name} is at least 1");
    let flag = || match value {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err(format!("{name} is 0 or 1, not {value}")),
    };
    Ok(match name {
        "authentication-data" => Property::AuthenticationData(keep(value).as_bytes()),
        "authentication-method" => Property::AuthenticationMethod(keep(value)),
        "content-type" => Property::ContentType(keep(value)),
        "correlation-data" => Property::CorrelationData(keep(value).as_bytes()),
        "maximum-packet-size" => {
            Property::MaximumPacketSize(NonZeroU32::new(number()?).ok_or_else(not_zero)?)
        }
        "message-expiry-interval" => Property::MessageExpiryInterval(number()?),
        "payload-format-indicator" => Property::PayloadFormatIndicator(flag()?),
        "receive-maximum" => {
            Property::ReceiveMaximum(NonZeroU16::new(small()?).ok_or_else(not_zero)?)
        }
        "request-problem-information" => Property::RequestProblemInformation(flag()?),
        "request-response-information" => Property::RequestResponseInformation(flag()?),
        "response-topic" => Property::ResponseTopic(
            TopicName::new(keep(value)).map_err(|error| format!("{name}: {error}"))?,
        ),
        "session-expiry-interval" => Property::SessionExpiryInterval(number()?),
        "will-delay-interval" => Property::WillDelayInterval(number()?),
        "topic-alias" | "topic-alias-maximum" | "subscription-identifier" => {
            return Err(format!("{name} can't be set here"));
        }
        _ => return Err(format!("{name} is not a property")),
    })
}

/// A text of the command line, which is needed as long as the process lives.
pub fn keep(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<PropertyArgs, String> {
        let values: Vec<_> = text.split(' ').map(str::to_owned).collect();
        PropertyArgs::parse(&values)
    }

    #[test]
    fn properties_are_sorted_by_packet() {
        let args = parse(
            "PUBLISH content-type text publish user-property a b publish user-property a c \
             will will-delay-interval 5 connect receive-maximum 7",
        )
        .expect("valid");
        assert_eq!(
            args.publish,
            [
                Property::ContentType("text"),
                Property::UserProperty(("a", "b")),
                Property::UserProperty(("a", "c")),
            ]
        );
        assert_eq!(args.will, [Property::WillDelayInterval(5)]);
        assert_eq!(
            args.connect,
            [Property::ReceiveMaximum(NonZeroU16::new(7).expect("not 0"))]
        );
        assert!(!args.is_empty());
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, expected) in [
            ("pub content-type x", "pub is none of"),
            ("publish", "the property's name is missing"),
            ("publish user-property a", "a value is missing"),
            ("publish nonsense 1", "nonsense is not a property"),
            ("publish will-delay-interval 1", "is no property of publish"),
            ("publish content-type a publish content-type b", "only once"),
            ("publish message-expiry-interval x", "is a number, not x"),
            ("publish payload-format-indicator 2", "is 0 or 1, not 2"),
            ("publish response-topic a/#", "response-topic: "),
            ("connect receive-maximum 0", "at least 1"),
            ("connect receive-maximum 65536", "at most 65535"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
