//! Where a broker is: a name or an address, and a port.

/// Where to open a connection to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination<'a> {
    /// A name or an address; an IPv6 address without brackets.
    pub host: &'a str,
    /// The TCP port.
    pub port: u16,
}

impl<'a> Destination<'a> {
    /// Reads `host`, `host:port` or `[address]:port`; an IPv6 address alone needs no brackets.
    pub(crate) fn parse(text: &'a str, default_port: u16) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']')?;
                match rest {
                    "" => (host, None),
                    rest => (host, Some(rest.strip_prefix(':')?)),
                }
            }
            None => match text.split_once(':') {
                Some((host, port)) if !port.contains(':') => (host, Some(port)),
                _ => (text, None),
            },
        };
        let port = match port {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|port| *port > 0)?
            }
            Some(_) => return None,
            None => default_port,
        };
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:%".contains(&byte);
        (!host.is_empty() && host.bytes().all(allowed)).then_some(Self { host, port })
    }

    /// The destinations in `text`, separated by blanks and commas.
    pub(crate) fn list(text: &'a str, default_port: u16) -> impl Iterator<Item = Self> {
        words(text).filter_map(move |word| Self::parse(word, default_port))
    }

    /// Whether a broker is to be searched for in the network.
    pub(crate) fn is_search(&self) -> bool {
        self.host == "mdns"
    }

    /// A number that most likely no other destination has.
    pub(crate) fn fingerprint(&self) -> u32 {
        let bytes = self.host.bytes().chain(self.port.to_be_bytes());
        // FNV-1a.
        bytes.fold(0x811c_9dc5, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        })
    }
}

/// Whether `text` is a list with at least one destination, and nothing else in it.
pub(super) fn is_list(text: &str) -> bool {
    words(text).next().is_some() && words(text).all(|word| Destination::parse(word, 1).is_some())
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', ',']).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn a_list_has_names_and_addresses_with_and_without_a_port() {
        let text = "broker.test, 192.168.1.20:1884 [fd00::1]:1885,fd00::2 [fd00::3] mdns";
        assert!(is_list(text));
        let list: Vec<_> = Destination::list(text, 1883)
            .map(|destination| (destination.host, destination.port))
            .collect();
        assert_eq!(
            list,
            [
                ("broker.test", 1883),
                ("192.168.1.20", 1884),
                ("fd00::1", 1885),
                ("fd00::2", 1883),
                ("fd00::3", 1883),
                ("mdns", 1883),
            ]
        );
    }

    #[test]
    fn what_is_no_destination_is_not_in_a_list() {
        for text in [
            "",
            " , ",
            ":1883",
            "a:",
            "a:0",
            "a:65536",
            "a:+1",
            "a:b",
            "[fd00::1",
            "[fd00::1]1883",
            "[]:1",
            "mqtt://a",
            "a/b",
            "a b/c",
            "é",
        ] {
            assert!(!is_list(text), "{text}");
        }
    }
}
