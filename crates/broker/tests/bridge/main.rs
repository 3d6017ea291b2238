//! Two and more brokers with bridges between them, over sockets, with cuts and restarts.

mod network;
mod peer;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use declic_broker::bridge::{Bridge, Direction, VIA};
use declic_mqtt::{ProtocolVersion, QoS, TopicFilter};

use network::{Server, Wire, config, rule, start, wait_until};
use peer::Peer;

#[test]
fn messages_go_both_ways_with_prefixes_qos_and_the_retain_flag() {
    let (house, cloud) = (Server::start(), Server::start());
    let rules = [rule("data/#", Direction::Both, "house/", "site-1/")];
    let _bridge = start(&config("b", cloud.address, &rules), &house);
    let there = Peer::start(cloud.address, "there", "site-1/#");
    let here = Peer::start(house.address, "here", "house/#");
    let all = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
    for qos in all {
        here.publish("house/data/1", "up", qos);
        let came = there.next();
        assert_eq!((&*came.topic, &*came.payload), ("site-1/data/1", "up"));
        assert_eq!((came.qos, came.retain), (qos, false));
        assert_eq!(here.next().payload, "up", "its own copy");
        there.retain("site-1/data/2", "down", qos);
        let came = here.next();
        assert_eq!((&*came.topic, &*came.payload), ("house/data/2", "down"));
        assert_eq!((came.qos, came.retain), (qos, true));
        assert_eq!(there.next().payload, "down", "its own copy");
    }
    // Nothing came twice, nothing else came.
    here.publish("house/data/end", "end", QoS::ExactlyOnce);
    assert_eq!(there.payloads_until("end"), Vec::<String>::new());
    assert_eq!(here.payloads_until("end"), Vec::<String>::new());
}

#[test]
fn retained_messages_cross_when_the_bridge_is_made() {
    let (house, cloud) = (Server::start(), Server::start());
    let here = Peer::start(house.address, "here", "down/#");
    let there = Peer::start(cloud.address, "there", "up/#");
    here.retain("up/old", "1", QoS::AtLeastOnce);
    there.retain("down/old", "2", QoS::AtLeastOnce);
    wait_until(|| house.handle.stats().expect("it runs").retained == 1);
    wait_until(|| cloud.handle.stats().expect("it runs").retained == 1);
    let rules = [
        rule("#", Direction::Out, "up/", "up/"),
        rule("#", Direction::In, "down/", "down/"),
    ];
    let _bridge = start(&config("b", cloud.address, &rules), &house);
    assert_eq!(there.next().payload, "1");
    assert_eq!(here.next().payload, "2");
}

/// Numbers that came, in order of coming, without what begins them.
fn numbers(payloads: &[String], kind: &str) -> Vec<u32> {
    let number = |payload: &String| payload.strip_prefix(kind)?.parse().ok();
    payloads.iter().filter_map(number).collect()
}

fn check_all(payloads: &[String], count: u32, exactly: bool) {
    let once = numbers(payloads, "once-");
    let least = numbers(payloads, "least-");
    let all: BTreeSet<_> = (0..count).collect();
    assert_eq!(least.into_iter().collect::<BTreeSet<_>>(), all);
    if exactly {
        assert_eq!(once, (0..count).collect::<Vec<_>>());
    } else {
        assert_eq!(once.into_iter().collect::<BTreeSet<_>>(), all);
    }
}

#[test]
fn nothing_is_lost_and_qos_2_comes_once_while_the_connection_is_cut_again_and_again() {
    const COUNT: u32 = 400;
    let (house, cloud) = (Server::start(), Server::start());
    let wire = Wire::to(cloud.address);
    let rules = [rule("t/#", Direction::Both, "", "")];
    let bridge = start(&config("b", wire.address, &rules), &house);
    let here = Peer::start(house.address, "here", "t/down/#");
    let there = Peer::start(cloud.address, "there", "t/up/#");
    for number in 0..COUNT {
        here.publish("t/up/2", &format!("once-{number}"), QoS::ExactlyOnce);
        here.publish("t/up/1", &format!("least-{number}"), QoS::AtLeastOnce);
        there.publish("t/down/2", &format!("once-{number}"), QoS::ExactlyOnce);
        there.publish("t/down/1", &format!("least-{number}"), QoS::AtLeastOnce);
    }
    let stats = || bridge.stats();
    for _ in 0..12 {
        // Cut while messages are on their way, as long as there are some.
        let before = stats();
        wait_until(|| {
            let now = stats();
            now.connected && now.sent + now.received >= before.sent + before.received
        });
        wire.cut();
    }
    here.publish("t/up/2", "end", QoS::ExactlyOnce);
    there.publish("t/down/2", "end", QoS::ExactlyOnce);
    let (up, down) = (there.payloads_until("end"), here.payloads_until("end"));
    // QoS 1 goes another way than QoS 2, and may be behind it.
    let rest = |peer: &Peer, mut payloads: Vec<String>| {
        while numbers(&payloads, "least-")
            .into_iter()
            .collect::<BTreeSet<_>>()
            .len()
            < COUNT as usize
        {
            payloads.push(peer.next().payload);
        }
        payloads
    };
    check_all(&rest(&there, up), COUNT, true);
    check_all(&rest(&here, down), COUNT, true);
    assert!(stats().connects > 2, "{:?}", stats());
    assert_eq!(stats().dropped, 0);
}

#[test]
fn what_was_published_while_the_other_broker_was_away_arrives_when_it_is_back() {
    let (house, mut cloud) = (Server::start(), Server::start());
    let rules = [rule("t/#", Direction::Out, "", "")];
    let bridge = start(&config("b", cloud.address, &rules), &house);
    let here = Peer::start(house.address, "here", "none");
    for round in 0..3 {
        let address = cloud.address;
        drop(cloud);
        wait_until(|| !bridge.stats().connected);
        for number in 0..200 {
            here.publish("t/2", &format!("once-{number}"), QoS::ExactlyOnce);
            here.publish("t/1", &format!("least-{number}"), QoS::AtLeastOnce);
            here.publish("t/0", "lost", QoS::AtMostOnce);
        }
        // The bridge's session here has them all before anybody listens there.
        let name = format!("marker-{round}");
        here.publish("none", &name, QoS::AtLeastOnce);
        assert_eq!(here.payloads_until(&name), Vec::<String>::new());
        cloud = Server::start_at(address);
        let there = Peer::start(cloud.address, "there", "t/#");
        here.publish("t/2", "end", QoS::ExactlyOnce);
        let payloads = there.payloads_until("end");
        // The subscriber may have been later than the bridge.
        let came = numbers(&payloads, "once-");
        assert!(came.is_sorted(), "{came:?}");
        drop(there);
    }
    wait_until(|| bridge.stats().connected && bridge.stats().sent >= 3 * 401);
}

#[test]
fn what_was_published_while_the_bridge_was_away_arrives_both_ways() {
    let (house, cloud) = (Server::start(), Server::start());
    let rules = [rule("t/#", Direction::Both, "", "")];
    let config = config("b", cloud.address, &rules);
    let here = Peer::start(house.address, "here", "t/down/#");
    let there = Peer::start(cloud.address, "there", "t/up/#");
    drop(start(&config, &house));
    for round in 0..3 {
        for number in 0..100 {
            here.publish("t/up/2", &format!("once-{number}"), QoS::ExactlyOnce);
            here.publish("t/up/1", &format!("least-{number}"), QoS::AtLeastOnce);
            there.publish("t/down/2", &format!("once-{number}"), QoS::ExactlyOnce);
            there.publish("t/down/1", &format!("least-{number}"), QoS::AtLeastOnce);
        }
        let bridge = start(&config, &house);
        let (up, down) = (format!("up-{round}"), format!("down-{round}"));
        here.publish("t/up/2", &up, QoS::ExactlyOnce);
        there.publish("t/down/2", &down, QoS::ExactlyOnce);
        for (peer, last) in [(&there, &up), (&here, &down)] {
            let mut payloads = peer.payloads_until(last);
            while numbers(&payloads, "least-").len() < 100 {
                payloads.push(peer.next().payload);
            }
            // It stops in good order, so not even these come twice.
            check_all(&payloads, 100, true);
        }
        drop(bridge);
    }
}

#[test]
fn a_ring_of_brokers_and_bridges_at_both_ends_carry_each_message_once_over_each_bridge() {
    let servers = [Server::start(), Server::start(), Server::start()];
    let rules = [rule("t/#", Direction::Both, "", "")];
    let mut bridges: Vec<Bridge> = Vec::new();
    for (from, to) in [(0, 1), (1, 2), (2, 0), (1, 0)] {
        let name = format!("b{from}{to}");
        bridges.push(start(
            &config(&name, servers[to].address, &rules),
            &servers[from],
        ));
    }
    let peers: Vec<_> = servers
        .iter()
        .map(|server| Peer::start(server.address, "peer", "t/#"))
        .collect();
    peers[0].publish("t/1", "message", QoS::AtLeastOnce);
    for peer in &peers {
        let came = peer.next();
        assert_eq!(came.payload, "message");
        assert!(came.user_properties.iter().all(|(name, _)| name == VIA));
    }
    // Where a loop has no end, neither has this.
    let carried = || {
        let each = bridges.iter().map(Bridge::stats);
        each.map(|one| (one.sent + one.received, one.looped))
            .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    };
    wait_until(|| carried().1 > 0);
    for number in 0..50 {
        peers[1].publish("t/2", &format!("{number}"), QoS::AtLeastOnce);
    }
    peers[1].publish("t/2", "end", QoS::AtLeastOnce);
    for peer in &peers {
        peer.payloads_until("end");
    }
    let settled = || {
        let before: Vec<_> = servers
            .iter()
            .map(|one| one.handle.stats().expect("it runs").received)
            .collect();
        std::thread::sleep(std::time::Duration::from_millis(200));
        let after: Vec<_> = servers
            .iter()
            .map(|one| one.handle.stats().expect("it runs").received)
            .collect();
        before == after
    };
    wait_until(settled);
    // 52 messages, each over four bridges in every order at most.
    assert!(carried().0 <= 52 * 24, "{:?}", carried());
}

#[test]
fn the_state_of_a_bridge_is_a_topic_as_with_mosquitto() {
    let (house, cloud) = (Server::start(), Server::start());
    let rules = [rule("t", Direction::Out, "", "")];
    let bridge = start(&config("cloud", cloud.address, &rules), &house);
    let filter = TopicFilter::new("$SYS/broker/connection/cloud/state").expect("a filter");
    let state = || {
        let page = house.handle.retained(filter, None, 1, 10).expect("it runs");
        page.messages[0].payload.clone()
    };
    wait_until(|| *state() == *b"1");
    drop(cloud);
    wait_until(|| *state() == *b"0");
    drop(bridge);
}

#[test]
fn a_message_larger_than_allowed_is_dropped_and_others_go_on() {
    let (house, cloud) = (Server::start(), Server::start());
    let rules = [rule("t/#", Direction::Both, "", "")];
    let mut config = config("b", cloud.address, &rules);
    config.packet_size = 1_024;
    let _bridge = start(&config, &house);
    let here = Peer::start(house.address, "here", "t/down/#");
    let there = Peer::start(cloud.address, "there", "t/up/#");
    let large = "x".repeat(2_000);
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        here.publish("t/up/1", &large, qos);
        there.publish("t/down/1", &large, qos);
    }
    here.publish("t/up/2", "end", QoS::AtMostOnce);
    there.publish("t/down/2", "end", QoS::AtMostOnce);
    assert_eq!(there.payloads_until("end"), Vec::<String>::new());
    assert_eq!(here.payloads_until("end"), Vec::<String>::new());
}

#[cfg(feature = "tls")]
#[test]
fn the_connection_can_be_encrypted_and_a_stranger_is_not_trusted() {
    let directory = std::env::temp_dir().join(format!("declic-bridge-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a temporary directory");
    let path = |name: &str| directory.join(name);
    for name in ["far", "stranger"] {
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).expect("parameters");
        let certificate = params.self_signed(&key).expect("a certificate");
        std::fs::write(path(&format!("{name}.pem")), certificate.pem()).expect("a place to write");
        std::fs::write(path(&format!("{name}.key")), key.serialize_pem())
            .expect("a place to write");
    }
    let any = "127.0.0.1:0".parse().expect("an address");
    let cloud = declic_broker::Broker::bind(declic_broker::Config {
        listeners: vec![any],
        tls_listeners: vec![any],
        tls: Some(declic_broker::Tls {
            certificate: path("far.pem"),
            key: path("far.key"),
            client_ca: None,
            client_crl: None,
            require_client_certificate: false,
        }),
        ..declic_broker::Config::default()
    });
    let cloud = cloud.expect("a free port");
    let (plain, encrypted) = (cloud.local_addrs()[0], cloud.tls_addrs()[0]);
    let handle = cloud.handle();
    let thread = std::thread::spawn(move || cloud.run());
    let house = Server::start();
    let rules = [rule("t/#", Direction::Both, "", "")];
    let mut trusting = config("b", encrypted, &rules);
    trusting.ca = Some(path("far.pem"));
    let bridge = start(&trusting, &house);
    let here = Peer::start(house.address, "here", "t/down");
    let there = Peer::start(plain, "there", "t/up");
    let large = "x".repeat(30_000);
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        here.publish("t/up", &large, qos);
        assert_eq!(there.next().payload, large);
        there.publish("t/down", "down", qos);
        assert_eq!(here.next().payload, "down");
    }
    drop(bridge);
    let accepted = handle.stats().expect("it runs").accepted;
    let mut wary = trusting.clone();
    wary.ca = Some(path("stranger.pem"));
    let bridge = Bridge::start(&wary, &house.handle).expect("a valid bridge");
    wait_until(|| bridge.stats().failures >= 2);
    drop(bridge);
    assert_eq!(handle.stats().expect("it runs").accepted, accepted);
    let mut missing = trusting;
    missing.ca = Some(path("missing.pem"));
    let error = Bridge::start(&missing, &house.handle).expect_err("no such file");
    assert!(error.to_string().contains("missing.pem"), "{error}");
    drop((here, there));
    handle.shutdown();
    thread.join().expect("no panic").expect("no failure");
    let _ = std::fs::remove_dir_all(&directory);
}

#[test]
fn with_a_broker_that_knows_3_1_1_only_the_bridge_speaks_it_and_remembers() {
    // CONNACK: unacceptable protocol version; of 5.0: unsupported protocol version; nothing.
    for answer in [&b"\x20\x02\0\x01"[..], b"\x20\x03\0\x84\0", b""] {
        let (house, cloud) = (Server::start(), Server::start());
        let wire = Wire::to_older(cloud.address, answer);
        let rules = [
            rule("up/#", Direction::Out, "", ""),
            rule("down/#", Direction::In, "", ""),
        ];
        let bridge = start(&config("b", wire.address, &rules), &house);
        let links = 2;
        let refused = || wire.refused.load(Ordering::Relaxed);
        assert_eq!(refused(), links, "{answer:?}");
        let there = Peer::start(cloud.address, "there", "up/#");
        let here = Peer::start(house.address, "here", "down/#");
        for round in ["1", "2"] {
            here.publish("up/x", round, QoS::ExactlyOnce);
            assert_eq!(there.next().payload, round);
            there.publish("down/x", round, QoS::ExactlyOnce);
            assert_eq!(here.next().payload, round);
            let connects = bridge.stats().connects;
            wire.cut();
            wait_until(|| bridge.stats().connects >= connects + links as u64);
            wait_until(|| bridge.stats().connected);
        }
        assert_eq!(refused(), links, "5.0 is not tried again: {answer:?}");
        let versions = cloud.handle.clients(0, 10).expect("it runs").clients;
        let bridges = versions
            .iter()
            .filter(|one| one.info.client_id.starts_with("declic-b"));
        let versions: Vec<_> = bridges.map(|one| one.info.version).collect();
        assert_eq!(versions, [Some(ProtocolVersion::V3_1_1); 2]);
    }
}

#[test]
fn a_bridge_with_rules_that_need_5_0_does_not_fall_back() {
    let (house, cloud) = (Server::start(), Server::start());
    let wire = Wire::to_older(cloud.address, b"\x20\x02\0\x01");
    let rules = [rule("both/#", Direction::Both, "", "")];
    let bridge = Bridge::start(&config("b", wire.address, &rules), &house.handle);
    let bridge = bridge.expect("a valid bridge");
    wait_until(|| wire.refused.load(Ordering::Relaxed) > 4);
    assert_eq!(bridge.stats().connects, 0);
}
