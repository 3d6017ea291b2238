"""`--lan`: open to the network, with a generated password. Asked here on loopback only."""

import re
import stat

import pytest

from brokers import DECLIC, HOST
from conftest import at
from peers import fresh
from process import run, wait_until
from tutorial import TutorialPublisher, TutorialSubscriber
from wire import Wire

pytestmark = pytest.mark.needs_declic

LISTENING = r"^listening on mqtt://127\.0\.0\.1:(\d+)$"


@pytest.fixture(params=["broker", "up"])
def lan(request, spawn):
    """Starts it with `--lan`; the process knows its port."""

    def start(*flags):
        process = spawn([DECLIC, request.param, "--lan", "--listen", f"{HOST}:0", *flags])
        process.port = int(process.expect(LISTENING).group(1))
        if request.param == "up":
            process.expect("^ready$")
        return process

    return start


def login(process):
    """The user and the password that are told, on either stream."""

    def told():
        return re.search(r"user (\S+) .*password (\S+)", "\n".join(process.lines() + process.lines("err")))

    return wait_until(told, "the password is told").groups()


def test_only_the_generated_password_lets_a_client_in(lan):
    process = lan()
    user, password = login(process)
    assert len(password) >= 12
    assert Wire(process.port).connect(fresh("stranger"))[1] in (4, 5)
    assert Wire(process.port, 5).connect(fresh("stranger"), username=user, password="guess")[1] in (0x86, 0x87)
    assert Wire(process.port, 5).connect(fresh("friend"), username=user, password=password)[1] == 0
    credentials = ["-u", user, "-P", password]
    assert run(["mosquitto_pub", *at(process), "-t", "a", "-m", "x", *credentials]).returncode == 0


def test_the_password_stays_the_same_and_only_its_owner_can_read_it(lan, home):
    process = lan()
    first = login(process)
    assert process.stop() == 0
    assert login(lan()) == first
    holding = [path for path in home.rglob("*") if path.is_file() and first[1] in path.read_text(errors="replace")]
    assert holding, "kept in no file below the home directory"
    for path in holding:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_each_home_has_a_password_of_its_own(spawn, tmp_path):
    logins = set()
    for name in ("one", "two"):
        home = tmp_path / name
        home.mkdir()
        process = spawn([DECLIC, "broker", "--lan", "--listen", f"{HOST}:0"], env={"HOME": str(home)})
        logins.add(login(process))
    assert len(logins) == 2


def test_lan_with_anonymous_lets_the_tutorials_boards_in(lan):
    process = lan("--anonymous")
    subscriber, publisher = TutorialSubscriber(process.port), TutorialPublisher(process.port)
    publisher.press_once()
    assert subscriber.next_message() == (0x30, "esp32/data", b"ON")


def test_a_refused_tutorial_board_does_not_disturb_declic_up(spawn):
    process = spawn([DECLIC, "up", "--lan", "--listen", f"{HOST}:0"])
    process.port = int(process.expect(LISTENING).group(1))
    process.expect("^ready$")
    with pytest.raises(AssertionError):
        TutorialPublisher(process.port)
    process.send("press")
    process.expect("^subscriber light ON$")
