"""The fake model: tones that depend on the request alone, and misfortune on request."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from worker.engine.errors import (
    ChunkFailed,
    EngineError,
    EngineOutOfMemory,
    UnknownVoice,
    UnsupportedLanguage,
)
from worker.engine.fake import (
    AMPLITUDE,
    LONGEST_BURST_S,
    NOTE_S,
    RAMBLINGS,
    SAMPLE_RATE_HZ,
    FakeModel,
    FakeOptions,
    tones,
)
from worker.engine.request import ChunkRequest

HELLO = ChunkRequest("hello", "Hello from the farm", "en", "default", seed=7)


def loudest_hz(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples))
    return float(np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE_HZ)[spectrum.argmax()])


def test_the_same_request_gives_the_same_samples():
    assert np.array_equal(tones(HELLO), tones(replace(HELLO, id="other")))


@pytest.mark.parametrize("change", [{"seed": 8}, {"voice": "low"}, {"text": "Hello from the fern"}])
def test_seed_voice_and_text_decide_the_samples(change):
    assert not np.array_equal(tones(HELLO), tones(replace(HELLO, **change)))


@pytest.mark.parametrize("speed", [0.25, 0.5, 1.0, 2.0, 4.0])
def test_every_character_is_a_note_as_long_as_the_speed_allows(speed):
    samples = tones(replace(HELLO, parameters={"speed": speed}))

    wanted_s = NOTE_S * len(HELLO.text) / speed
    assert len(samples) / SAMPLE_RATE_HZ == pytest.approx(wanted_s, abs=0.001)


def test_the_voices_lie_an_octave_apart():
    low, default, high = (
        loudest_hz(tones(replace(HELLO, text="m" * 40, voice=voice)))
        for voice in ("low", "default", "high")
    )

    assert default / low == pytest.approx(2, rel=0.05)
    assert high / default == pytest.approx(2, rel=0.05)


def test_notes_are_loud_enough_and_begin_and_end_softly():
    samples = tones(HELLO)

    assert samples.dtype == np.float32
    assert np.abs(samples).max() == pytest.approx(AMPLITUDE, rel=0.05)
    assert abs(samples[0]) < 0.001
    assert abs(samples[-1]) < 0.001


def test_what_is_no_letter_or_digit_is_a_rest():
    assert not tones(replace(HELLO, text=" ,.")).any()


def test_the_options_are_plain_json():
    options = FakeOptions(slots=3, fail_on="bad", memory_bytes=10)

    again = FakeOptions(**json.loads(json.dumps(asdict(options))))

    assert FakeModel(again).offer() == FakeModel(options).offer()


@pytest.mark.parametrize(
    ("change", "error"),
    [({"voice": "anna"}, UnknownVoice), ({"language": "xx"}, UnsupportedLanguage)],
)
def test_what_it_does_not_offer_it_refuses(change, error):
    with pytest.raises(error):
        FakeModel().check(replace(HELLO, **change))


def test_every_offered_voice_and_language_is_spoken():
    model = FakeModel()
    offer = model.offer()

    for voice in offer.voices:
        for language in offer.languages:
            model.check(replace(HELLO, voice=voice.name, language=language))
    assert len({voice.revision for voice in offer.voices}) == len(offer.voices)


def test_more_rows_than_the_memory_holds_are_refused_whole():
    model = FakeModel(FakeOptions(memory_bytes=20, bytes_per_slot=10))
    model.prefill([(0, HELLO)])

    with pytest.raises(EngineOutOfMemory):
        model.prefill([(1, HELLO), (2, HELLO)])

    assert list(model.decode()) == [0]


def test_a_burst_takes_as_long_as_the_speed_says():
    slept_s: list[float] = []
    model = FakeModel(FakeOptions(speed=10, burst_s=0.5, load_s=3.0), sleep=slept_s.append)
    bursts = int(np.ceil(NOTE_S * len(HELLO.text) / 0.5))

    model.load()
    model.prefill([(0, HELLO)])
    ended = [list(model.decode()) for _ in range(bursts)]

    assert ended == [[]] * (bursts - 1) + [[0]]
    assert slept_s == pytest.approx([3.0] + [0.05] * bursts)


def test_a_slow_model_can_be_stopped_within_a_second_and_ends_when_its_speed_says():
    slept_s: list[float] = []
    model = FakeModel(FakeOptions(speed=0.01), sleep=slept_s.append)
    model.prefill([(0, HELLO)])

    while not model.decode():
        pass

    assert set(slept_s) == {LONGEST_BURST_S}
    assert sum(slept_s) == pytest.approx(NOTE_S * len(HELLO.text) / 0.01, abs=1.5 * LONGEST_BURST_S)


def test_a_text_may_fail_alone():
    model = FakeModel(FakeOptions(fail_on="bad"))
    model.prefill([(0, HELLO), (1, replace(HELLO, id="b", text="a bad text"))])

    good, bad = model.vocode([0, 1], wait=True).values()

    assert np.array_equal(good.samples, tones(HELLO))
    assert isinstance(bad, ChunkFailed)


def test_a_text_may_be_rambled():
    model = FakeModel(FakeOptions(ramble_on="well"))
    rambled = replace(HELLO, id="b", text="oh well")
    model.prefill([(0, HELLO), (1, rambled)])

    brief, long = model.vocode([0, 1], wait=True).values()

    assert model.offer().guarded
    assert not FakeModel().offer().guarded
    assert (brief.truncated, long.truncated) == (False, True)
    assert np.array_equal(long.samples, np.tile(tones(rambled), RAMBLINGS))


def test_loading_may_fail():
    with pytest.raises(EngineError, match="no such device"):
        FakeModel(FakeOptions(load_error="no such device")).load()


def test_a_silent_model_makes_the_same_short_silence_of_any_text():
    model = FakeModel(FakeOptions(silent=True))
    model.prefill([(0, HELLO), (1, replace(HELLO, id="b", text="Something else, much longer"))])

    first, second = model.vocode([0, 1], wait=True).values()

    assert first.samples is second.samples
    assert 0 < len(first.samples) < SAMPLE_RATE_HZ / 10
    assert not first.samples.any()
