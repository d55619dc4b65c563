"""The engine's convert stage: sounds and recordings become other voices, and fail alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.unit.worker.engine.baton import PATIENCE_S, Baton
from worker.engine.converter import Source
from worker.engine.engine import Engine
from worker.engine.errors import (
    ChunkFailed,
    EngineOutOfMemory,
    NoConversion,
    TakeCancelled,
    UnfitAudio,
    UnfitVoice,
    UnknownVoice,
)
from worker.engine.fake import NOTE_S, FakeModel, FakeOptions, tones
from worker.engine.fake_converter import FakeConverter, ringing
from worker.engine.lifecycle import Phase
from worker.engine.model import Outcome
from worker.engine.request import LONG_S, ChunkRequest, ConversionRequest, Recording

FAKE_HZ = 24000


def spoken(name: str, voice: str = "robot", text: str = "Hello", **fields: Any) -> ChunkRequest:
    wanted = ConversionRequest(voice, 11, fields.pop("wanted", {}))
    return ChunkRequest(name, text, "en", "default", 7, conversion=wanted, **fields)


def plain(name: str, text: str = "Hello") -> ChunkRequest:
    return ChunkRequest(name, text, "en", "default", 7)


def converted(name: str, piece: Recording, voice: str = "alien") -> ChunkRequest:
    wanted = ConversionRequest(voice, 5)
    return ChunkRequest(name, "", "", "", 0, conversion=wanted, recording=piece)


def expected(request: ChunkRequest) -> np.ndarray[Any, Any]:
    """What the fake converter makes of what the fake model says."""
    assert request.conversion is not None
    said = tones(request)
    return ringing(Source(request.id, said, FAKE_HZ, request.conversion))


class WatchedConverter(FakeConverter):
    """Tells what was in its batches, and can be held or made to stumble."""

    def __init__(self, baton: Callable[[float], None] = lambda _: None, **given: Any) -> None:
        super().__init__(**given)
        self.batches: list[list[str]] = []
        self.stumbles_on: dict[str, Exception] = {}
        self._baton = baton

    def convert(self, sources: Sequence[Source]) -> Sequence[Outcome]:
        self.batches.append([source.id for source in sources])
        self._baton(0.0)
        for source in sources:
            if source.id in self.stumbles_on:
                raise self.stumbles_on[source.id]
        return super().convert(sources)


@pytest.fixture
def engines() -> Iterator[Callable[..., Engine]]:
    """Make ready engines that convert; all are closed at the end."""
    made: list[Engine] = []

    def make(
        converter: FakeConverter | None = None,
        model: FakeModel | None = None,
        /,
        slots: int | None = None,
        **options: Any,
    ) -> Engine:
        model = model or FakeModel(FakeOptions(**options))
        engine = Engine(model, converter or FakeConverter(), slots=slots, interactive_share=0.0)
        made.append(engine)
        engine.start()
        engine.ready.result(PATIENCE_S)
        return engine

    yield make
    for engine in made:
        engine.close()


@pytest.fixture
def baton() -> Iterator[Baton]:
    baton = Baton()
    yield baton
    baton.let_go()


@pytest.fixture
def recording(tmp_path: Path) -> Callable[..., Recording]:
    """Write recordings of noise."""

    def write(seconds: float = 0.5, rate_hz: int = 16000) -> Recording:
        count = round(seconds * rate_hz)
        samples = np.random.default_rng(3).normal(0, 0.1, count).astype(np.float32)
        file = tmp_path / f"{count}.wav"
        soundfile.write(file, samples, rate_hz, "FLOAT")
        scratch = tmp_path / f"scratch-{len(list(tmp_path.iterdir()))}"
        scratch.mkdir()
        return Recording(str(file), rate_hz, count, str(scratch))

    return write


def test_what_is_spoken_comes_out_in_the_other_voice_at_its_rate(engines):
    engine = engines()
    requests = [spoken(str(n), voice, f"text {n}") for n, voice in enumerate(["robot", "alien"])]

    takes = [engine.submit(request).result(PATIENCE_S) for request in requests]

    for request, take, rate_hz in zip(requests, takes, (24000, 48000), strict=True):
        assert np.array_equal(take.samples, expected(request))
        assert take.sample_rate_hz == rate_hz
        assert take.duration_s == pytest.approx(len(tones(request)) / FAKE_HZ, abs=1e-4)


def test_a_recording_is_converted_without_being_spoken(engines, recording):
    engine = engines()
    request = converted("r", recording(), "robot")

    take = engine.submit(request).result(PATIENCE_S)

    samples, _ = soundfile.read(request.recording.path, dtype="float32")
    assert np.array_equal(take.samples, ringing(Source("r", samples, 16000, request.conversion)))
    assert len(take.samples) == 12000
    assert engine.snapshot()["active"] == 0


def test_a_long_recording_is_converted_bit_by_bit_into_a_file(engines, recording):
    engine = engines(slots=2)
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


def test_many_long_recordings_and_all_else_take_turns(engines, recording):
    engine = engines(slots=12)
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
def test_a_long_recording_that_fails_says_why_and_harms_nobody(engines, recording, error, kind):
    class Failing(FakeConverter):
        def convert_long(self, source):
            yield 0.0
            raise error

    engine = engines(Failing())

    failed = engine.submit(converted("long", recording(LONG_S + 1)))
    good = engine.submit(spoken("good"))

    assert type(failed.exception(PATIENCE_S)) is kind
    assert str(getattr(error, "strerror", None) or error) in str(failed.exception())
    assert good.result(PATIENCE_S)


def test_a_long_recording_can_be_cancelled_between_two_bits(engines, baton, recording):
    closed: list[bool] = []

    class Endless(FakeConverter):
        def convert_long(self, source):
            try:
                source.target.write_bytes(b"half")
                while True:
                    baton(0.0)
                    yield 0.5
            finally:
                closed.append(True)

    engine = engines(Endless())
    request = converted("long", recording(LONG_S + 1))
    future = engine.submit(request)
    baton.wait_for_burst()

    engine.cancel("long")
    baton.let_go()

    assert isinstance(future.exception(PATIENCE_S), TakeCancelled)
    assert engine.submit(spoken("next")).result(PATIENCE_S)
    assert closed == [True]
    assert list(Path(request.recording.scratch).iterdir()) == []


def test_many_of_all_kinds_at_once_each_get_their_own(engines, recording):
    engine = engines(slots=4)
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
def test_what_cannot_be_converted_is_refused_at_once(engines, request_, error):
    engine = engines()

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


def test_a_conversion_that_fails_leaves_its_neighbours_alone(engines, baton):
    converter = WatchedConverter(baton, fail_voice="alien")
    engine = engines(converter, slots=4)
    first = engine.submit(spoken("first"))
    baton.wait_for_burst()
    good, bad = engine.submit(spoken("good")), engine.submit(spoken("bad", "alien"))

    baton.let_go()

    assert isinstance(bad.exception(PATIENCE_S), ChunkFailed)
    assert first.result(PATIENCE_S)
    assert good.result(PATIENCE_S)


def test_a_batch_that_stumbles_is_tried_one_by_one(engines, baton):
    converter = WatchedConverter(baton)
    engine = engines(converter, slots=4)
    first = engine.submit(spoken("first"))
    baton.wait_for_burst()
    good, bad, fine = (engine.submit(spoken(name)) for name in ("good", "bad", "fine"))
    converter.stumbles_on = {"bad": RuntimeError("strange")}

    baton.let_go()

    assert isinstance(bad.exception(PATIENCE_S), ChunkFailed)
    assert "RuntimeError: strange" in str(bad.exception())
    for future in (first, good, fine):
        assert future.result(PATIENCE_S)


def test_an_error_of_the_device_breaks_the_engine(engines):
    converter = WatchedConverter()
    converter.stumbles_on = {"a": RuntimeError("CUDA error: illegal address")}
    engine = engines(converter)

    failure = engine.submit(spoken("a")).exception(PATIENCE_S)

    assert "illegal address" in str(failure)
    assert engine.phase is Phase.BROKEN


def test_what_does_not_fit_into_memory_together_is_converted_in_turns(engines, baton):
    second = NOTE_S * 5
    converter = WatchedConverter(baton, memory_s=2.5 * second)
    engine = engines(converter, slots=8)
    first = engine.submit(spoken("first"))
    baton.wait_for_burst()
    futures = [engine.submit(spoken(str(n))) for n in range(7)]

    baton.let_go()

    assert all(future.result(PATIENCE_S) for future in (first, *futures))
    assert max(map(len, converter.batches)) > 2


def test_what_does_not_fit_even_alone_fails_and_the_engine_goes_on(engines):
    engine = engines(FakeConverter(memory_s=1.0), slots=4)

    large = engine.submit(spoken("large", text="m" * 40))
    small = engine.submit(spoken("small"))

    assert isinstance(large.exception(PATIENCE_S), EngineOutOfMemory)
    assert small.result(PATIENCE_S)


@pytest.mark.parametrize("where", ["converting", "waiting for it"])
def test_a_chunk_can_be_cancelled_while_it_is_converted_or_waits_for_that(engines, baton, where):
    engine = engines(WatchedConverter(baton, portion_s=0.1), slots=2)
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


def test_what_waits_for_its_conversion_keeps_its_slot(engines, baton):
    engine = engines(WatchedConverter(baton), slots=2)
    engine.submit(spoken("a"))
    baton.wait_for_burst()

    assert engine.capacity(interactive=True) == 1


def test_a_model_that_stumbles_leaves_the_recordings_alone(engines, recording):
    class Stumbling(FakeModel):
        def decode(self):
            if self._rows:
                raise RuntimeError("strange")
            return super().decode()

    engine = engines(FakeConverter(), Stumbling(FakeOptions(slots=4)))
    speech = engine.submit(spoken("s"))
    unharmed = engine.submit(converted("r", recording()))

    assert isinstance(speech.exception(PATIENCE_S), ChunkFailed)
    assert unharmed.result(PATIENCE_S)
    assert engine.capacity(interactive=True) == 4


def test_a_recording_that_is_gone_fails_its_chunk_alone(engines):
    engine = engines()

    failed = engine.submit(converted("r", Recording("/nowhere.wav", 16000, 1, "/tmp")))

    assert isinstance(failed.exception(PATIENCE_S), UnfitAudio)
    assert engine.submit(spoken("a")).result(PATIENCE_S)


def test_what_the_model_said_of_a_sound_is_kept(engines):
    engine = engines(ramble_on="again")

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


def test_rows_that_keep_their_slots_do_not_hold_up_the_audio_that_would_free_them(engines):
    engine = engines(FakeConverter(), LateModel(), slots=1)

    futures = [engine.submit(spoken(name)) for name in "abc"]

    for future in futures:
        assert future.result(PATIENCE_S)


def test_a_request_survives_the_way_to_another_process(recording):
    import json
    from dataclasses import asdict

    request = ChunkRequest(
        "r", "", "", "", 0,
        conversion=ConversionRequest("robot", 2**62, {"pitch": "auto"}), recording=recording(),
    )  # fmt: skip

    assert ChunkRequest.decode(json.loads(json.dumps(asdict(request)))) == request
