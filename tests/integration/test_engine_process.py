"""Engine processes that are killed, abort and hang: no chunk is lost, the guilty one is found."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import CHECKOUT, eventually
from worker.engine.engine import Engine
from worker.engine.errors import EngineClosed, EngineDied, EngineError, TakeCancelled, UnknownVoice
from worker.engine.registry import EngineSpec, build
from worker.engine.request import ChunkRequest
from worker.process import EngineProcess

#: Only a broken engine takes so long.
PATIENCE_S = 30.0


def chunk(name: object, text: str = "Hello from the farm", **fields: Any) -> ChunkRequest:
    return ChunkRequest(str(name), text, "en", fields.pop("voice", "default"), 7, **fields)


def is_alive(pid: int) -> bool:
    """True if the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def engines() -> Iterator[Callable[..., EngineProcess]]:
    """Make ready engine processes; `engines(name="fake", hang_s=1, speed=20)`."""
    made: list[EngineProcess] = []

    def make(name: str = "fake", ready: bool = True, **settings: Any) -> EngineProcess:
        known = {"env", "hang_s", "max_deaths", "ring_bytes", "on_phase"} & set(settings)
        given = {key: settings.pop(key) for key in known}
        engine = EngineProcess(EngineSpec(name, settings), **given)
        made.append(engine)
        engine.start()
        if ready:
            engine.ready.result(PATIENCE_S)
        return engine

    yield make
    for engine in made:
        engine.close()


@pytest.mark.parametrize("name", ["fake", "espeak"])
def test_it_says_the_same_as_an_engine_in_this_process(engines, name):
    requests = [chunk(number, f"This is number {number}.") for number in range(12)]
    inline = Engine(build(name, {}))
    inline.start()
    inline.ready.result(PATIENCE_S)
    apart = engines(name)

    expected = [inline.submit(request) for request in requests]
    found = [apart.submit(request) for request in requests]

    assert apart.offer() == inline.offer()
    for one, other in zip(expected, found, strict=True):
        assert np.array_equal(one.result(PATIENCE_S).samples, other.result(PATIENCE_S).samples)
    inline.close()


def test_what_was_done_to_the_end_of_a_take_is_told_across(engines):
    engine = engines(ramble_on="well")

    takes = [engine.submit(chunk(text, text)).result(PATIENCE_S) for text in ("oh", "oh well")]

    assert [take.truncated for take in takes] == [False, True]
    assert engine.offer().guarded


def test_an_error_of_the_device_ends_the_process_and_harms_the_guilty_chunk_alone(engines):
    engine = engines(fault_on="cursed")
    good = [engine.submit(chunk(number)) for number in range(6)]

    guilty = engine.submit(chunk("guilty", "a cursed line"))

    failure = guilty.exception(PATIENCE_S)
    assert isinstance(failure, EngineDied)
    assert "device-side assert" in str(failure)
    for future in [*good, engine.submit(chunk("later"))]:
        assert future.result(PATIENCE_S).samples.size
    # Three alone, and before them as many as it takes to halve those that began beside it.
    assert 3 <= engine.snapshot()["deaths"] <= 6


def test_takes_larger_than_the_ring_come_in_pieces(engines):
    requests = [chunk(number, "A rather long text. " * 20) for number in range(8)]
    small = engines(ring_bytes=10_000)
    large = engines()

    found = [small.submit(request) for request in requests]
    expected = [large.submit(request) for request in requests]

    for one, other in zip(expected, found, strict=True):
        samples = other.result(PATIENCE_S).samples
        assert samples.nbytes > 10 * 10_000
        assert np.array_equal(one.result(PATIENCE_S).samples, samples)


def test_every_chunk_is_answered_when_the_process_is_killed_in_the_middle(engines):
    phases: list[str] = []
    engine = engines(speed=5, on_phase=lambda phase, detail: phases.append(phase))
    futures = [engine.submit(chunk(number)) for number in range(24)]
    futures[0].result(PATIENCE_S)
    first_pid = engine.snapshot()["engine_pid"]

    os.kill(first_pid, signal.SIGKILL)

    assert not wait(futures, PATIENCE_S).not_done
    assert all(future.exception() is None for future in futures)
    snapshot = engine.snapshot()
    assert snapshot["engine_pid"] != first_pid
    assert (snapshot["deaths"], snapshot["restarts"], snapshot["takes"]) == (1, 1, 24)
    assert phases[:3] == ["loading", "warming", "ready"]
    assert phases[3:] == ["loading", "warming", "ready"]


def test_a_text_that_kills_is_given_up_and_its_neighbours_are_spoken(engines):
    engine = engines(abort_on="BOOM")

    innocent = [engine.submit(chunk(number)) for number in range(5)]
    guilty = engine.submit(chunk("guilty", "a BOOM here"))
    innocent += [engine.submit(chunk(number)) for number in range(5, 10)]

    error = guilty.exception(PATIENCE_S)
    assert isinstance(error, EngineDied)
    assert "SIGABRT" in str(error)
    assert all(future.result(PATIENCE_S) for future in innocent)
    # Three alone, and before them as many as it takes to halve those that began beside it: at most
    # seven others, then three, then one. Who was done before the first death is no suspect.
    assert 3 <= engine.snapshot()["deaths"] <= 6
    assert engine.submit(chunk("next")).result(PATIENCE_S)


def test_a_process_that_hangs_is_replaced(engines):
    engine = engines(hang_on="HANG", hang_s=1.5, max_deaths=1)
    first_pid = engine.snapshot()["engine_pid"]

    guilty = engine.submit(chunk("guilty", "HANG"))

    error = guilty.exception(PATIENCE_S)
    assert isinstance(error, EngineDied)
    assert "no step" in str(error)
    assert engine.submit(chunk("next")).result(PATIENCE_S)
    assert not is_alive(first_pid)


def test_a_process_that_holds_its_interpreter_is_replaced(engines):
    engine = engines(hang_s=1.5, max_deaths=1)
    future = engine.submit(chunk("slow", "m" * 100))
    future.result(PATIENCE_S)

    # A stopped process says as little as one whose C code never returns.
    os.kill(engine.snapshot()["engine_pid"], signal.SIGSTOP)

    assert isinstance(engine.submit(chunk("a")).exception(PATIENCE_S), EngineDied)
    assert engine.submit(chunk("next")).result(PATIENCE_S)


def test_a_cancelled_chunk_leaves_and_what_cannot_be_spoken_is_refused(engines):
    engine = engines(speed=1, slots=1)
    computed = engine.submit(chunk("computed", "a long text " * 100))
    eventually(lambda: engine.snapshot()["steps"])
    waiting = engine.submit(chunk("waiting"))

    engine.cancel("waiting")
    engine.cancel("computed")
    unknown = engine.submit(chunk("unknown", voice="anna"))

    assert isinstance(computed.exception(PATIENCE_S), TakeCancelled)
    assert isinstance(waiting.exception(PATIENCE_S), TakeCancelled)
    assert isinstance(unknown.exception(PATIENCE_S), UnknownVoice)
    assert engine.capacity(interactive=True) == 1
    assert engine.snapshot()["deaths"] == 0


def test_closing_ends_the_process_and_what_it_was_doing(engines):
    engine = engines(speed=1)
    pid = engine.snapshot()["engine_pid"]
    future = engine.submit(chunk("a", "a long text " * 100))

    engine.close()

    assert isinstance(future.exception(timeout=0), EngineClosed)
    assert not is_alive(pid)


def test_a_process_that_hangs_is_killed_at_the_close(engines):
    engine = engines(hang_on="HANG")
    pid = engine.snapshot()["engine_pid"]
    engine.submit(chunk("a", "HANG"))
    os.kill(pid, signal.SIGSTOP)

    engine.close(timeout_s=0.1)

    assert not is_alive(pid)


def test_a_process_that_cannot_load_tells_why(engines):
    engine = engines(load_error="no such device", ready=False)

    error = engine.ready.exception(PATIENCE_S)

    assert isinstance(error, EngineError)
    assert "no such device" in str(error)
    assert engine.phase == "broken"


def test_a_process_that_cannot_even_start_tells_its_last_words(engines):
    engine = engines(env={"PYTHONHOME": "/nonexistent"}, ready=False)

    error = engine.ready.exception(PATIENCE_S)

    assert "exited with status" in str(error)
    assert "No module named" in str(error)


def test_the_process_gets_the_environment_that_it_is_given(engines):
    engine = engines(env={"CUDA_VISIBLE_DEVICES": "GPU-1"})

    environ = Path(f"/proc/{engine.snapshot()['engine_pid']}/environ").read_bytes()

    assert b"CUDA_VISIBLE_DEVICES=GPU-1" in environ.split(b"\0")


def test_ctrl_c_does_not_reach_the_process(engines):
    engine = engines()

    os.kill(engine.snapshot()["engine_pid"], signal.SIGINT)

    assert engine.submit(chunk("a")).result(PATIENCE_S)
    assert engine.snapshot()["deaths"] == 0


def test_the_process_does_not_outlive_a_worker_that_is_killed():
    code = (
        "import sys, time\n"
        "from worker.process import EngineProcess\n"
        "from worker.engine.registry import EngineSpec\n"
        "engine = EngineProcess(EngineSpec('fake'))\n"
        "engine.start()\n"
        "engine.ready.result(30)\n"
        "sys.stdout.write(f\"{engine.snapshot()['engine_pid']}\\n\")\n"
        "sys.stdout.flush()\n"
        "time.sleep(600)\n"
    )
    worker = subprocess.Popen([sys.executable, "-c", code], cwd=CHECKOUT, stdout=subprocess.PIPE)
    assert worker.stdout is not None
    pid = int(worker.stdout.readline())
    assert is_alive(pid)

    worker.kill()
    worker.communicate()

    eventually(lambda: not is_alive(pid))
