"""The engine's convert stage: sounds and recordings become other voices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import soundfile

from tests.unit.worker.engine.baton import PATIENCE_S
from tests.unit.worker.engine.conversions import (
    FAKE_HZ,
    WatchedConverter,
    converted,
    expected,
    plain,
    spoken,
)
from worker.engine.converter import Source
from worker.engine.engine import Engine
from worker.engine.errors import (
    NoConversion,
    TakeCancelled,
    UnfitVoice,
    UnknownVoice,
)
from worker.engine.fake import FakeModel, FakeOptions, tones
from worker.engine.fake_converter import FakeConverter, ringing
from worker.engine.request import ChunkRequest, ConversionRequest


def test_what_is_spoken_comes_out_in_the_other_voice_at_its_rate(converting_engines):
    engine = converting_engines()
    requests = [spoken(str(n), voice, f"text {n}") for n, voice in enumerate(["robot", "alien"])]

    takes = [engine.submit(request).result(PATIENCE_S) for request in requests]

    for request, take, rate_hz in zip(requests, takes, (24000, 48000), strict=True):
        assert np.array_equal(take.samples, expected(request))
        assert take.sample_rate_hz == rate_hz
        assert take.duration_s == pytest.approx(len(tones(request)) / FAKE_HZ, abs=1e-4)


def test_a_recording_is_converted_without_being_spoken(converting_engines, recording):
    engine = converting_engines()
    request = converted("r", recording(), "robot")

    take = engine.submit(request).result(PATIENCE_S)

    samples, _ = soundfile.read(request.recording.path, dtype="float32")
    assert np.array_equal(take.samples, ringing(Source("r", samples, 16000, request.conversion)))
    assert len(take.samples) == 12000
    assert engine.snapshot()["active"] == 0


def test_many_of_all_kinds_at_once_each_get_their_own(converting_engines, recording):
    engine = converting_engines(slots=4)
    piece = recording()
    requests = [
        plain(str(n)) if n % 3 == 0 else spoken(str(n)) if n % 3 == 1 else converted(str(n), piece)
        for n in range(60)
    ]

    futures = [engine.submit(request) for request in requests]

    for request, future in zip(requests, futures, strict=True):
        samples = future.result(PATIENCE_S).samples
        if request.recording is None:
            wanted_samples = expected(request) if request.conversion else tones(request)
            assert np.array_equal(samples, wanted_samples)
        else:
            assert len(samples) == 8000 * 3
    facts = engine.snapshot()
    assert (facts["active"], facts["waiting"], facts["converting"]) == (0, 0, 0)
    assert facts["converted"] == 40


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (spoken("a", "nobody"), UnknownVoice),
        (spoken("a", "whisper", wanted={"pitch": 3}), UnfitVoice),
    ],
)
def test_what_cannot_be_converted_is_refused_at_once(converting_engines, request_, error):
    engine = converting_engines()

    assert isinstance(engine.submit(request_).exception(timeout=0), error)
    assert engine.snapshot()["steps"] == 0


def test_an_engine_without_a_converter_refuses_conversions_and_speaks_on():
    engine = Engine(FakeModel())
    engine.start()
    engine.ready.result(PATIENCE_S)

    refused = engine.submit(spoken("a")).exception(timeout=0)

    assert isinstance(refused, NoConversion)
    assert "VOICEFARM_RVC" in str(refused)
    assert engine.offer().conversion is None
    assert engine.submit(plain("b")).result(PATIENCE_S)
    engine.close()


@pytest.mark.parametrize("where", ["converting", "waiting for it"])
def test_a_chunk_can_be_cancelled_while_it_is_converted_or_waits_for_that(
    converting_engines, baton, where
):
    engine = converting_engines(WatchedConverter(baton, portion_s=0.1), slots=2)
    first = engine.submit(spoken("first"))
    baton.wait_for_burst()
    second = engine.submit(spoken("second"))
    gone, kept = (first, second) if where == "converting" else (second, first)

    engine.cancel("first" if gone is first else "second")
    baton.let_go()

    if where == "converting":
        # It was in a batch that had begun: what is ready by then is still delivered.
        assert gone.result(PATIENCE_S)
    else:
        assert isinstance(gone.exception(PATIENCE_S), TakeCancelled)
    assert kept.result(PATIENCE_S)
    assert engine.submit(plain("next")).result(PATIENCE_S)
    assert engine.capacity(interactive=True) == 2


def test_what_waits_for_its_conversion_keeps_its_slot(converting_engines, baton):
    engine = converting_engines(WatchedConverter(baton), slots=2)
    engine.submit(spoken("a"))
    baton.wait_for_burst()

    assert engine.capacity(interactive=True) == 1


def test_a_few_that_wait_for_their_conversion_leave_their_slots_to_others(
    converting_engines, baton
):
    engine = converting_engines(WatchedConverter(baton), slots=8)
    first = engine.submit(spoken("first"))
    baton.wait_for_burst()
    others = [engine.submit(spoken(str(place))) for place in range(4)]

    # Four wait for slots; the first one is being converted, and has none.
    assert engine.capacity() == 4
    baton.let_go()

    assert all(future.result(PATIENCE_S) for future in (first, *others))
    assert engine.capacity(interactive=True) == 8
    assert engine.snapshot()["active"] == 0


def test_what_the_model_said_of_a_sound_is_kept(converting_engines):
    engine = converting_engines(ramble_on="again")

    take = engine.submit(spoken("a", text="again")).result(PATIENCE_S)

    assert take.truncated


class LateModel(FakeModel):
    """Makes the audio of rows only when there is nothing left to decode, or two of them wait."""

    def __init__(self) -> None:
        super().__init__(FakeOptions(slots=2))
        self._late: dict[str, Any] = {}

    def vocode(self, slots, *, wait):
        self._late |= super().vocode(slots, wait=wait)
        if not wait and len(self._late) < 2:
            return {}
        done, self._late = self._late, {}
        return done


def test_rows_that_keep_their_slots_do_not_hold_up_the_audio_that_would_free_them(
    converting_engines,
):
    engine = converting_engines(FakeConverter(), LateModel(), slots=1)

    futures = [engine.submit(spoken(name)) for name in "abc"]

    for future in futures:
        assert future.result(PATIENCE_S)


def test_a_request_survives_the_way_to_another_process(recording):
    import json

    request = ChunkRequest(
        "r", "", "", "", 0,
        conversion=ConversionRequest("robot", 2**62, {"pitch": "auto"}), recording=recording(),
    )  # fmt: skip

    assert ChunkRequest.decode(json.loads(json.dumps(request.encode()))) == request
