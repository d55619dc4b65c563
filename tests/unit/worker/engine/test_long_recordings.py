"""Long recordings are converted bit by bit, in turns with all else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.unit.worker.engine.baton import PATIENCE_S
from tests.unit.worker.engine.conversions import (
    converted,
    spoken,
)
from worker.engine.converter import Source
from worker.engine.errors import (
    ChunkFailed,
    EngineOutOfMemory,
    TakeCancelled,
    UnfitAudio,
)
from worker.engine.fake_converter import FakeConverter, ringing
from worker.engine.long_work import LongWork, fact_of
from worker.engine.progress import Progress, Stage
from worker.engine.request import LONG_S, ConversionRequest


def test_a_long_recording_is_converted_bit_by_bit_into_a_file(converting_engines, recording):
    engine = converting_engines(slots=2)
    request = converted("long", recording(LONG_S + 25), "robot")

    long = engine.submit(request)
    short = engine.submit(spoken("short"))
    take = long.result(PATIENCE_S)

    assert short.result(PATIENCE_S)
    assert take.file == str(Path(request.recording.scratch) / "take.f32")
    assert take.duration_s == LONG_S + 25
    samples, _ = soundfile.read(request.recording.path, dtype="float32")
    first = ringing(Source("", samples[:16000], 16000, request.conversion))
    assert np.array_equal(take.samples[:24000], first)
    assert sum(map(len, take.blocks())) == len(take.samples)
    assert engine.capacity(interactive=True) == 2


def test_many_long_recordings_and_all_else_take_turns(converting_engines, recording):
    engine = converting_engines(slots=12)
    long = [engine.submit(converted(f"long{n}", recording(LONG_S + 9 + n))) for n in range(7)]
    others = [engine.submit(spoken(str(n))) for n in range(9)]

    for n, future in enumerate(long):
        assert future.result(PATIENCE_S).duration_s == LONG_S + 9 + n
    assert all(future.result(PATIENCE_S) for future in others)
    assert engine.snapshot()["converting"] == 0


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (UnfitAudio("too odd"), UnfitAudio),
        (MemoryError("no more"), EngineOutOfMemory),
        (OSError(28, "No space left on device"), ChunkFailed),
        (RuntimeError("strange"), ChunkFailed),
    ],
)
def test_a_long_recording_that_fails_says_why_and_harms_nobody(
    converting_engines, recording, error, kind
):
    class Failing(FakeConverter):
        def convert_long(self, source):
            yield Progress(Stage.READING, 0.5)
            raise error

    engine = converting_engines(Failing())

    failed = engine.submit(converted("long", recording(LONG_S + 1)))
    good = engine.submit(spoken("good"))

    assert type(failed.exception(PATIENCE_S)) is kind
    assert str(getattr(error, "strerror", None) or error) in str(failed.exception())
    assert good.result(PATIENCE_S)


def test_a_long_recording_can_be_cancelled_between_two_bits(converting_engines, baton, recording):
    closed: list[bool] = []

    class Endless(FakeConverter):
        def convert_long(self, source):
            try:
                source.target.write_bytes(b"half")
                while True:
                    baton(0.0)
                    yield Progress(Stage.PITCH, 0.5)
            finally:
                closed.append(True)

    engine = converting_engines(Endless())
    request = converted("long", recording(LONG_S + 1))
    future = engine.submit(request)
    baton.wait_for_burst()

    engine.cancel("long")
    baton.let_go()

    assert isinstance(future.exception(PATIENCE_S), TakeCancelled)
    assert engine.submit(spoken("next")).result(PATIENCE_S)
    assert closed == [True]
    assert list(Path(request.recording.scratch).iterdir()) == []


def test_it_is_told_what_is_done_with_a_long_recording(recording):
    far = [
        Progress(Stage.READING, 0.5),
        Progress(Stage.PITCH, 1 / 3),
        Progress(Stage.CONVERTING, 0.25),
    ]

    class Halfway(FakeConverter):
        def convert_long(self, source):
            yield from far
            source.target.write_bytes(b"\0" * 400)
            return 100

    work = LongWork(Halfway())
    work.add("long", recording(LONG_S + 20), ConversionRequest("robot", 1))

    seen = []
    while not work.turn():
        seen.append(work.facts())

    assert [set(facts) for facts in seen] == 3 * [{fact_of("long")}]
    found = [Progress.decode(facts[fact_of("long")]) for facts in seen]
    assert [one.stage for one in found] == [one.stage for one in far]
    assert [one.share for one in found] == pytest.approx([one.share for one in far], abs=1e-3)
    assert [one.converted_share for one in found] == [0, 0, 0.25]
    assert work.facts() == {}
