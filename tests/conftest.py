"""Fixtures of all tests, named as nouns: `redis_url`, `home`, `farm`, `worker`."""

from __future__ import annotations

import importlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis

from producer import EmbeddedBrokerFailed, VoiceFarm
from producer.embedded import EmbeddedBroker

CHECKOUT = Path(__file__).parents[1]

#: How long a worker of the tests may take until it is ready; generous, as machines are shared.
READY_TIMEOUT_S = 60.0

#: What a person at the keyboard stops a process with, and what that does to Python.
_OF_THE_KEYBOARD = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGQUIT: signal.SIG_DFL,
}

#: A second less per worker: nobody here listens to gossip.
LEAN = ("--loglevel=info", "--without-gossip", "--without-mingle")


def missing(what: str) -> None:
    """Skip on a laptop what it lacks; in CI everything must be there."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing, and CI must have it")
    pytest.skip(f"{what} is missing")


def needed(module: str) -> Any:
    """Import what a test compares itself with, or skip on a laptop that lacks it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        missing(module)


def pytest_configure(config: pytest.Config) -> None:
    """Without torch whole files are skipped, which CI must not take for a success."""
    if os.environ.get("CI") and importlib.util.find_spec("torch") is None:
        raise pytest.UsageError("torch is missing, and CI must have it")
    # A shell has what it runs in the background ignore them, and children would inherit that.
    for number, action in _OF_THE_KEYBOARD.items():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, action)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Spread tests as `Distribution` says, where pytest-xdist is there at all."""
    from tests.distribution import Distribution

    return Distribution(config, log)


def eventually(condition: Callable[[], Any], timeout_s: float = 30.0) -> Any:
    """Return what `condition` gives as soon as it is true; fail if it never becomes so."""
    deadline_s = time.monotonic() + timeout_s
    while not (found := condition()):
        if time.monotonic() > deadline_s:
            pytest.fail(f"not true within {timeout_s} s: {condition}")
        time.sleep(0.02)
    return found


def facts_of(farm: VoiceFarm, node: str = "w@test") -> dict[str, Any]:
    """Return what a worker tells of itself; on a busy machine it may have to be asked again."""
    return eventually(lambda: farm.workers(0.5).get(node))


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on the farm of whoever runs it."""
    for name in list(os.environ):
        if name.startswith(("VOICEFARM_", "CELERY_")):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Valkey or Redis with its append-only file on."""
    broker = EmbeddedBroker(tmp_path_factory.mktemp("broker"))
    try:
        url = broker.start()
    except EmbeddedBrokerFailed as error:
        missing(str(error))
    yield url
    broker.stop()


@pytest.fixture
def redis_url(server_url: str) -> str:
    """The server, emptied."""
    with redis.Redis.from_url(server_url) as client:
        client.flushall()
    return server_url


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The farm's directory, empty."""
    return tmp_path / "farm"


@pytest.fixture
def farm(redis_url: str, home: Path) -> Iterator[VoiceFarm]:
    """A client of the farm."""
    with VoiceFarm(redis_url, home=home) as client:
        yield client


class WorkerProcess:
    """A real `celery -A tasks worker`, its log in a file."""

    def __init__(
        self,
        environment: dict[str, str],
        log: Path,
        *arguments: str,
        program: Sequence[str] = (sys.executable, "-m", "celery"),
    ) -> None:
        self.log_file = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [*program, "-A", "tasks", "worker", *LEAN, *arguments],
                cwd=CHECKOUT,
                env=environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def stop(self, how: signal.Signals = signal.SIGTERM, timeout_s: float = 30.0) -> int:
        """Send a signal and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            pytest.fail(f"the worker did not stop:\n{self.log[-3000:]}")


@pytest.fixture
def start_worker(
    redis_url: str, home: Path, farm: VoiceFarm, tmp_path: Path
) -> Iterator[Callable[..., WorkerProcess]]:
    """Start workers: `start_worker("fast", "--autoscale=8,2", engine="fake", slots=4)`."""
    started: list[WorkerProcess] = []

    def start(
        name: str = "w",
        *arguments: str,
        ready: bool = True,
        env: Any = (),
        program: Sequence[str] = (sys.executable, "-m", "celery"),
        **settings: Any,
    ) -> WorkerProcess:
        given = {"engine": "fake", **settings}
        environment = {
            **os.environ,
            "VOICEFARM_BROKER_URL": redis_url,
            "VOICEFARM_HOME": str(home),
            **{f"VOICEFARM_{key.upper()}": str(value) for key, value in given.items()},
            **dict(env),
        }
        worker = WorkerProcess(
            environment,
            tmp_path / f"{name}.log",
            *("-n", f"{name}@test", *arguments),
            program=program,
        )
        started.append(worker)

        def is_ready() -> bool:
            if worker.process.poll() is not None:
                pytest.fail(f"the worker ended:\n{worker.log[-4000:]}")
            return farm.workers(0.3).get(f"{name}@test", {}).get("state") == "ready"

        if ready:
            eventually(is_ready, READY_TIMEOUT_S)
        return worker

    yield start
    for worker in started:
        worker.stop()
