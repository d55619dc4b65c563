"""Fixtures of the tests with real processes: `client`, `command`, `start_up`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from producer import VoiceFarm
from producer.cli import run_voicefarm
from producer.embedded import find_server
from producer.errors import EmbeddedBrokerFailed
from tests.conftest import eventually, missing
from tests.integration.up_process import Up, processes_of


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    """The farm's server, asked directly."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


@pytest.fixture
def command(
    redis_url: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run a command line; returns its exit code, what it said as data, and what beside it."""

    def run(*words: str) -> tuple[int, str, str]:
        code = run_voicefarm(words, lambda broker, _: VoiceFarm(redis_url, home=home))
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def start_up(home: Path, tmp_path: Path) -> Iterator[Callable[..., Up]]:
    """Start `voicefarm up ARGUMENTS` with a home of its own; nothing may be left of it."""
    try:
        find_server()
    except EmbeddedBrokerFailed as error:
        missing(str(error))
    started: list[Up] = []

    def start(*arguments: str, **settings: str) -> Up:
        started.append(Up(home, tmp_path, *arguments, **settings))
        return started[-1]

    yield start
    for up in started:
        if up.process.poll() is None:
            up.process.kill()
        up.process.communicate()
    eventually(lambda: not processes_of(home))
