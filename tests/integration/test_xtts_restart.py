"""An engine process with XTTS is killed in the middle: the takes of the next one are the same."""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import missing
from worker.engine.registry import EngineSpec
from worker.engine.request import ChunkRequest
from worker.process import EngineProcess

#: The process imports coqui-tts first.
PATIENCE_S = 120.0

TEXTS = ("Hello from the farm.", "One, two, three.", "And so it goes on and on.", "Yes. No.")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EngineProcess]:
    """A process with a tiny checkpoint."""
    if importlib.util.find_spec("TTS") is None:
        missing("coqui-tts")
    from tests.unit.worker.engine.xtts.tiny_checkpoint import write_checkpoint

    write_checkpoint(tmp_path / "xtts")
    options = {"directory": str(tmp_path / "xtts"), "device": "cpu", "slots": 2}
    made = EngineProcess(EngineSpec("xtts", options, slots=2))
    made.start()
    made.ready.result(PATIENCE_S)
    yield made
    made.close()


def test_takes_are_the_same_bits_after_the_process_was_killed(engine):
    requests = [
        ChunkRequest(str(n), TEXTS[n % 4], "en", ("alice", "bob")[n % 2], n) for n in range(24)
    ]
    # Given each of them spoken alone
    alone = [engine.submit(request).result(PATIENCE_S).samples for request in requests]
    first_pid = engine.snapshot()["engine_pid"]

    # When the process dies with some of them in it
    futures = [engine.submit(replace(request, id=f"again {request.id}")) for request in requests]
    wait(futures, PATIENCE_S, FIRST_COMPLETED)
    os.kill(first_pid, signal.SIGKILL)

    for expected, future in zip(alone, futures, strict=True):
        assert np.array_equal(future.result(PATIENCE_S).samples, expected)
    facts = engine.snapshot()
    assert (facts["deaths"], facts["restarts"]) == (1, 1)
    assert facts["engine_pid"] != first_pid
