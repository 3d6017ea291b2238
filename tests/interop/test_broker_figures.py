"""What the broker tells about itself, read by programs that others wrote."""

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from brokers import UNDER_TEST
from process import wait_until

ours = pytest.mark.skipif(UNDER_TEST != "declic", reason="asked of our broker only")


@ours
def test_prometheus_parser_takes_the_metrics(start_broker, peer_of):
    broker = start_broker("declic")
    client = peer_of("paho", 5, on=broker).connect()
    client.subscribe("a", qos=1)
    client.publish("a", b"x", qos=1)
    client.receive()
    families = {family.name: family for family in text_string_to_metric_families(broker.ctl("metrics"))}
    assert len(families) > 25
    for family in families.values():
        assert family.name.startswith("declic_broker_"), family
        assert family.documentation.endswith("."), family
        assert family.type in ("gauge", "counter"), family
        assert len(family.samples) == 1, family
    assert families["declic_broker_publishes_received"].samples[0].value == 1
    assert families["declic_broker_clients"].samples[0].value == 1
    assert families["declic_broker_build_info"].samples[0].labels["version"]


def test_sys_topics_have_mosquittos_names_and_form(start_broker, peer_of):
    """Read from either broker in turn by the same test."""
    broker = start_broker()
    client = peer_of("paho", 5, on=broker).connect()
    client.subscribe("$SYS/#", qos=0)
    wanted = {
        "$SYS/broker/version": r"\w+ version \d+\.\d+\.\d+",
        "$SYS/broker/uptime": r"\d+ seconds",
        "$SYS/broker/clients/total": r"\d+",
        "$SYS/broker/clients/connected": r"\d+",
        "$SYS/broker/clients/disconnected": r"\d+",
        "$SYS/broker/clients/maximum": r"\d+",
        "$SYS/broker/clients/expired": r"\d+",
        "$SYS/broker/messages/received": r"\d+",
        "$SYS/broker/messages/sent": r"\d+",
        "$SYS/broker/publish/messages/received": r"\d+",
        "$SYS/broker/publish/messages/sent": r"\d+",
        "$SYS/broker/publish/messages/dropped": r"\d+",
        "$SYS/broker/bytes/received": r"\d+",
        "$SYS/broker/bytes/sent": r"\d+",
        "$SYS/broker/subscriptions/count": r"\d+",
        "$SYS/broker/retained messages/count": r"\d+",
        "$SYS/broker/store/messages/count": r"\d+",
        "$SYS/broker/store/messages/bytes": r"\d+",
        "$SYS/broker/load/connections/1min": r"\d+\.\d\d",
        "$SYS/broker/load/messages/received/5min": r"\d+\.\d\d",
        "$SYS/broker/load/bytes/sent/15min": r"\d+\.\d\d",
    }
    told = {}
    while not set(wanted) <= set(told):
        message = client.receive()
        told[message.topic] = message.payload.decode()
    for topic, form in wanted.items():
        assert re.fullmatch(form, told[topic]), (topic, told[topic])


@ours
def test_ctl_clears_a_retained_message(start_broker, peer_of):
    broker = start_broker("declic")
    client = peer_of("paho", 5, on=broker).connect()
    client.publish("a/b", b"x", qos=1, retain=True)
    assert broker.ctl("clear", "a/#") == "cleared 1 message\n"
    client.subscribe("a/#", qos=1)
    assert client.fence() == []
    wait_until(lambda: "a/b" not in broker.ctl("retained"), "it is gone")
