"""The password of the broker is told by nothing: no argument, log, page, number or error."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from producer import BrokerUnavailable, VoiceFarm
from producer.cli import run_voicefarm
from tests.conftest import CHECKOUT, READY_TIMEOUT_S, eventually, facts_of
from tests.valkey_server import ValkeyServer, free_port

pytestmark = pytest.mark.service

#: With what must be quoted in a URL, so that neither form may be told.
SECRET, QUOTED = "cor@rect:horse/battery", "cor%40rect%3Ahorse%2Fbattery"


def assert_no_secret(text: str) -> None:
    assert text
    assert [form for form in (SECRET, QUOTED, "horse") if form in text] == []


@pytest.fixture
def broker(tmp_path) -> Iterator[ValkeyServer]:
    """A broker with the password."""
    server = ValkeyServer(tmp_path / "server", f'requirepass "{SECRET}"')
    server.start()
    yield server
    server.kill()


@pytest.fixture
def url(broker) -> str:
    return f"redis://:{QUOTED}@127.0.0.1:{broker.port}/0"


def arguments(group: int) -> str:
    """The command lines of all processes of a group, as every user of the machine sees them."""
    lines = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(process.name)) == group:
                lines.append((process / "cmdline").read_text())
        except (ProcessLookupError, FileNotFoundError):
            continue
    return "\n".join(lines)


def page(port: int, path: str) -> str:
    """A page, or what stands in its place; empty while nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return error.read().decode()
    except OSError:
        return ""


def celery(url: str, *said: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "tasks", *said],
        cwd=CHECKOUT,
        env={**os.environ, "VOICEFARM_BROKER_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout + ran.stderr


@pytest.fixture
def worker(url, home, start_worker):
    """A worker of that broker, ready, with a port for metrics."""
    process = start_worker(
        "w", "-E", ready=False, broker_url=url, http_port=free_port(), engine_process="own"
    )
    with VoiceFarm(url, home=home) as farm:
        eventually(
            lambda: farm.workers(0.5).get("w@test", {}).get("state") == "ready", READY_TIMEOUT_S
        )
        process.job = farm.submit("A line that is spoken")
        process.job.wait(60)
        process.http_port = facts_of(farm)["http_port"]
    return process


@pytest.fixture
def flower(url, tmp_path) -> Iterator[tuple[int, Path]]:
    """A Flower of that broker: its port and its log."""
    port, log = free_port(), tmp_path / "flower.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "tasks", "flower", f"--port={port}",
             "--address=127.0.0.1", "--conf=worker/flowerconfig.py"],
            cwd=CHECKOUT,
            env={**os.environ, "VOICEFARM_BROKER_URL": url, "FLOWER_UNAUTHENTICATED_API": "true"},
            stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    yield port, log
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_worker_tells_the_password_to_nobody(worker, url):
    for command in ("stats", "conf", "report", "gpu_ready", "active_queues"):
        assert_no_secret(celery(url, "inspect", command))
    assert_no_secret(celery(url, "report"))
    for path in ("/metrics", "/readyz", "/livez"):
        assert_no_secret(page(worker.http_port, path))
    assert_no_secret(arguments(worker.process.pid))
    worker.stop()
    assert_no_secret(worker.log)


def test_flower_shows_no_password(worker, flower):
    port, log = flower

    eventually(lambda: "w@test" in page(port, "/api/workers?refresh=1"), 60)

    told = f"/task/{worker.job.id}"
    paths = (
        "/api/workers",
        "/api/tasks",
        "/workers",
        "/broker",
        "/worker/w@test",
        "/metrics",
        told,
    )
    for path in paths:
        assert_no_secret(page(port, path))
    assert "A line that is spoken" in page(port, told)
    assert_no_secret(log.read_text())


def test_commands_tell_no_password(worker, url, home, capsys, monkeypatch):
    monkeypatch.setenv("VOICEFARM_BROKER_URL", url)
    for command in (["doctor"], ["doctor", "--json"], ["workers", "--json"], ["status"]):
        run_voicefarm([*command, "--home", str(home)])
        shown = capsys.readouterr()
        assert_no_secret(shown.out + shown.err)


def test_a_wrong_password_is_not_repeated(broker, home, start_worker, capsys):
    wrong = f"redis://:{QUOTED}-wrong@127.0.0.1:{broker.port}/0"

    code = run_voicefarm(["submit", "Hello", "--broker", wrong, "--home", str(home)])
    told = capsys.readouterr().err
    worker = start_worker(ready=False, broker_url=wrong)
    eventually(lambda: worker.process.poll() is not None, 60)

    assert (code, worker.process.returncode) == (3, 3)
    assert "refuses" in told
    assert "refuses" in worker.log
    assert_no_secret(told)
    assert_no_secret(worker.log)
    assert_no_secret(json.dumps(worker.process.args))


@pytest.mark.parametrize("form", ["redis://:{}@127.0.0.1:{}/0", "sentinel://:{}@127.0.0.1:{}/farm"])
def test_an_address_where_nobody_answers_is_told_without_the_password(form, home, start_worker):
    nowhere = form.format(QUOTED, free_port())

    with VoiceFarm(nowhere, home=home) as farm, pytest.raises(BrokerUnavailable) as unavailable:
        farm.submit("Hello")
    worker = start_worker(ready=False, broker_url=nowhere)
    eventually(lambda: "Trying again" in worker.log, 60)
    worker.stop(signal.SIGQUIT)

    assert_no_secret(str(unavailable.value) + repr(unavailable.value.__cause__))
    assert_no_secret(worker.log)
