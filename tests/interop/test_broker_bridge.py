"""A bridge from our broker to Debian's Mosquitto."""

import pytest

from brokers import HOST, UNDER_TEST
from peers import Over
from process import wait_until

pytestmark = pytest.mark.skipif(UNDER_TEST != "declic", reason="bridges of our broker")


def bridge(port, *topics, **keys):
    """A configuration with one bridge; each topic is a dictionary of its keys."""
    lines = ["[log]", 'level = "info"', "[[bridge]]", 'name = "far"', f'host = "{HOST}"', f"port = {port}",
             'shortest_pause = "50ms"', 'longest_pause = "200ms"']
    lines += [f'{key} = "{value}"' for key, value in keys.items()]
    for topic in topics:
        lines.append("[[bridge.topic]]")
        lines += [f'{key} = {value if isinstance(value, int) else chr(34) + value + chr(34)}'
                  for key, value in topic.items()]
    return "\n".join(lines) + "\n"


@pytest.fixture
def pair(start_broker, tmp_path):
    """Ours bridged to Mosquitto: `pair(topics, version="5.0")`."""

    def start(*topics, users=None, **keys):
        far = start_broker("mosquitto", users=users)
        near = start_broker("declic", configuration=bridge(far.port, *topics, **keys))
        near.process.expect("bridge connected", stream="err")
        return near, far

    return start


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_messages_go_both_ways_with_qos_properties_and_the_retain_flag(pair, peer_of, qos):
    near, far = pair({"filter": "data/#", "qos": 2, "remote_prefix": "house/"})
    here = peer_of("paho", 5, on=near).connect()
    there = peer_of("paho", 5, on=far).connect()
    here.subscribe("data/down", qos=2, retain_as_published=True)
    there.subscribe("house/data/up", qos=2, retain_as_published=True)
    here.publish("data/up", b"\x00up", qos=qos, retain=True)
    came = there.receive()
    assert (came.topic, came.payload, came.qos, came.retain) == ("house/data/up", b"\x00up", qos, True)
    there.publish("house/data/down", b"\x00down", qos=qos, retain=True)
    came = here.receive()
    assert (came.topic, came.payload, came.qos, came.retain) == ("data/down", b"\x00down", qos, True)
    assert here.fence() == [] and there.fence() == []


def test_with_3_1_1_each_topic_goes_one_way(pair, peer_of):
    near, far = pair({"filter": "up/#", "direction": "out"}, {"filter": "down/#", "direction": "in"}, version="3.1.1")
    here = peer_of("paho", 311, on=near).connect()
    there = peer_of("paho", 311, on=far).connect()
    here.subscribe("down/#", qos=1)
    there.subscribe("up/#", qos=1)
    here.publish("up/1", b"a", qos=1)
    there.publish("down/1", b"b", qos=1)
    assert there.receive().payload == b"a"
    assert here.receive().payload == b"b"
    assert here.fence() == [] and there.fence() == []


def test_nothing_is_lost_when_mosquitto_is_killed_and_comes_back(pair, peer_of):
    near, far = pair({"filter": "up/#", "direction": "out", "qos": 2})
    here = peer_of("paho", 5, on=near).connect()
    here.publish("up/1", b"before", qos=1)
    far.kill()
    near.process.expect("bridge disconnected", stream="err")
    for number in range(100):
        here.publish("up/2", str(number), qos=2)
        here.publish("up/0", b"lost", qos=0)
    # Retained at Mosquitto, so that it does not matter who is first there.
    here.publish("up/last", b"last", qos=1, retain=True)
    far.start()
    near.process.expect("bridge connected", stream="err")
    there = peer_of("paho", 5, on=far).connect()
    there.subscribe("up/last", qos=1)
    assert there.receive().payload == b"last"


def test_a_password_and_its_refusal(pair, start_broker, tmp_path):
    password = tmp_path / "password"
    password.write_text("secret\n")
    pair({"filter": "a", "direction": "out"}, users={"house": "secret"}, user="house", password_file=password)
    far = start_broker("mosquitto", users={"house": "secret"})
    wrong = bridge(far.port, {"filter": "a", "direction": "out"}, user="house", password="wrong")
    near = start_broker("declic", configuration=wrong)
    near.process.expect("the other broker can't be used .*(not authorized|bad user name)", stream="err")


def test_the_state_is_told_under_mosquittos_topic(pair, peer_of):
    near, far = pair({"filter": "a", "direction": "out"})
    here = peer_of("paho", 5, on=near).connect()
    here.subscribe("$SYS/broker/connection/far/state", qos=0)
    assert here.receive().payload == b"1"
    far.kill()
    assert here.receive().payload == b"0"
    wait_until(lambda: "$SYS/broker/connection/far/state" in near.ctl("retained", "$SYS/broker/connection/#"), "listed")


def test_over_tls_with_a_certificate_of_its_own(start_broker, authority, stranger, peer_of):
    directory = authority.directory
    far = start_broker("mosquitto", configuration=f"""cafile {authority.ca}
certfile {directory}/server.pem
keyfile {directory}/server.key
require_certificate true
use_identity_as_username true""")
    topics = {"filter": "data/#", "qos": 1}
    lamp = {"ca": authority.ca, "certificate": directory / "lamp.pem", "key": directory / "lamp.key"}
    near = start_broker("declic", configuration=bridge(far.port, topics, **lamp))
    near.process.expect("bridge connected", stream="err")
    far.process.expect("u'lamp'", stream="err")
    here = peer_of("paho", 5, on=near).connect()
    there = peer_of("paho", 5, on=far).connect(over=Over(far.port, authority.ca, directory / "lamp.pem"))
    there.subscribe("data/up", qos=1)
    here.publish("data/up", b"up", qos=1)
    assert there.receive().payload == b"up"
    # Without one, with that of somebody else, and where nobody vouches for the other broker.
    other = {"certificate": stranger.directory / "lamp.pem", "key": stranger.directory / "lamp.key"}
    for keys, words in (
        ({"ca": authority.ca}, "it wants a client certificate"),
        ({"ca": authority.ca, **other}, "it does not take this client certificate"),
        ({**lamp, "ca": stranger.ca}, "nobody who is trusted vouches for its certificate"),
    ):
        refused = start_broker("declic", configuration=bridge(far.port, topics, **keys))
        refused.process.expect(words, stream="err")
        assert not any("bridge connected" in line for line in refused.process.lines("err"))
