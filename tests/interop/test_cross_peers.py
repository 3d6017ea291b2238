"""Any publisher to any subscriber through our broker, across libraries, tools and versions."""

import pytest

from conftest import LIBRARIES, at, tool
from process import run

TOOLS = ("mosquitto", "declic")
VERSION_FLAGS = {311: "mqttv311", 5: "mqttv5"}
EVERYONE = [*LIBRARIES, "mosquitto", pytest.param("declic", marks=pytest.mark.needs_declic)]
PAYLOADS = ["ON", "OFF", "é ☃", "x" * 3000]


@pytest.fixture
def subscribe(broker, peer_of, start_sub):
    """Subscribes with a library or a tool; returns a function that takes the next payload."""

    def subscribe(who, version, topic):
        if who in TOOLS:
            sub = start_sub(who, broker, "-V", VERSION_FLAGS[version], "-q", "2", "-t", topic)
            return sub.next_line
        client = peer_of(who, version).connect()
        client.subscribe(topic, qos=2)
        return lambda: client.receive().payload.decode()

    return subscribe


@pytest.fixture
def publish(broker, peer_of):
    """Publishes with a library or a tool."""

    def publish(who, version, topic, payloads, qos):
        if who in TOOLS:
            for payload in payloads:
                flags = ["-V", VERSION_FLAGS[version], "-q", str(qos), "-t", topic, "-m", payload]
                done = run([*tool(who, "pub"), *at(broker), *flags])
                assert (done.returncode, done.stderr) == (0, b"")
        else:
            client = peer_of(who, version).connect()
            for payload in payloads:
                client.publish(topic, payload, qos=qos)
            client.fence()

    return publish


@pytest.mark.parametrize("versions", [(311, 5), (5, 311), (5, 5), (311, 311)],
                         ids=lambda pair: f"v{pair[0]}-to-v{pair[1]}")
@pytest.mark.parametrize("subscriber", EVERYONE)
@pytest.mark.parametrize("publisher", EVERYONE)
def test_messages_go_from_any_publisher_to_any_subscriber(subscribe, publish, publisher, subscriber, versions):
    take = subscribe(subscriber, versions[1], "cross/é")
    for qos in (0, 1, 2):
        publish(publisher, versions[0], "cross/é", PAYLOADS, qos)
        assert [take() for _ in PAYLOADS] == PAYLOADS, f"QoS {qos}"
