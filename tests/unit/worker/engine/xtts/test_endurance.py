"""A thousand chunks through one engine leave nothing behind."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

pytest.importorskip("torch")

from worker.engine.engine import Engine
from worker.engine.registry import build
from worker.engine.request import ChunkRequest

#: Only a broken engine takes so long.
PATIENCE_S = 120.0

#: Chunks before memory is looked at first, and in all.
WARM_UP, CHUNKS = 100, 1000

#: Tempos that chunks have in turn, so that all lengths occur before memory is looked at: torch
#: keeps what it has prepared for each width of the vocoder's windows.
SPEEDS = tuple(0.5 * 1.05**step for step in range(50))

#: What allocators and caches of texts may still take. The samples of one chunk are some 100 kB:
#: if each chunk left only them behind it would be 90 MB. Measured: within 10 MB, up and down.
GROWTH_BYTES = 16 << 20


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def speak(engine: Engine, numbers: range) -> None:
    """Have the engine say a different text for each number, in two voices and many tempos."""
    futures = [
        engine.submit(
            ChunkRequest(
                str(n),
                f"Chunk number {n} of many.",
                "en",
                ("alice", "bob")[n % 2],
                n,
                {"speed": SPEEDS[n % len(SPEEDS)]},
            )
        )
        for n in numbers
    ]
    assert all(future.result(PATIENCE_S).samples.size for future in futures)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_chunks(written_checkpoint):
    options = {"directory": str(written_checkpoint), "device": "cpu", "slots": 3}
    engine = Engine(build("xtts", options))
    engine.start()
    engine.ready.result(PATIENCE_S)
    speak(engine, range(WARM_UP))
    before_bytes = resident_bytes()

    for start in range(WARM_UP, CHUNKS, WARM_UP):
        speak(engine, range(start, start + WARM_UP))

    assert resident_bytes() - before_bytes < GROWTH_BYTES
    assert engine.snapshot()["takes"] == CHUNKS
    engine.close()
