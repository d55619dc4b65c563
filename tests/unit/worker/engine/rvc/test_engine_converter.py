"""RVC behind the engine: what it offers, what it refuses, and that it is the converter itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

# Where torch is missing, nothing below can be imported.
# ruff: noqa: E402
torch = pytest.importorskip("torch")

import soundfile

from tests.unit.worker.engine.rvc.voices_and_speech import loaded, source, speech
from worker.engine.converter import LongSource, Source
from worker.engine.errors import (
    UnfitAudio,
    UnfitVoice,
    UnknownVoice,
)
from worker.engine.progress import Stage
from worker.engine.request import ConversionRequest, Sound
from worker.engine.rvc.clip import Clip, Conversion
from worker.engine.rvc.content import Content
from worker.engine.rvc.content_file import read_content
from worker.engine.rvc.converter import Converter
from worker.engine.rvc.library import RvcLibrary
from worker.engine.rvc.pitch import Pitch
from worker.engine.rvc.rmvpe_file import read_rmvpe
from worker.engine.rvc.synthesizer import Synthesizer


@pytest.fixture
def alone(models: Path) -> Converter:
    """The converter itself over the same files."""
    return Converter(
        Content(read_content(models / "hubert_base.pt")),
        Pitch(read_rmvpe(models / "rmvpe.pt")),
        Synthesizer(),
    )


def test_it_offers_the_voices_of_the_library_at_their_rates(opened):
    offer = opened().offer()

    voices = {one.name: (one.sample_rate_hz, one.has_pitch) for one in offer.voices}
    assert voices == {"anna": (40000, True), "bert": (32000, True), "flat": (48000, False)}
    assert offer.obstacle == ""
    assert offer.revision.startswith("rvc-1+")


def test_a_batch_of_voices_is_what_the_converter_makes_of_each(opened, alone, sources):
    batch = [
        source("a", "anna", index_rate=1.0, pitch=3),
        source("bb", "bert", 1.7, rms_mix_rate=1.0),
        source("ccc", "flat"),
        source("dddd", "anna", 0.6, pitch="auto"),
    ]

    found = opened().convert(batch).outcomes()

    for one, outcome in zip(batch, found, strict=True):
        index = sources["index"] if one.voice == "anna" else None
        voice = loaded(sources[one.voice], index)
        voice = type(voice)(voice.name, voice.config, voice.weights, voice.index, 220.0)
        conversion = Conversion(**one.wanted.parameters)
        clip = Clip(torch.from_numpy(one.samples), 16000, voice, conversion, seed=17)
        [expected] = alone.convert([clip])
        assert isinstance(outcome, Sound)
        assert outcome.sample_rate_hz == voice.config.sample_rate_hz
        assert np.abs(outcome.samples).max() > 0.001
        assert np.allclose(outcome.samples, expected.numpy(), atol=1e-4)


def test_a_long_recording_is_what_the_converter_makes_of_it(opened, alone, sources, tmp_path):
    wave = speech(44.0)
    file = tmp_path / "long.wav"
    soundfile.write(file, wave.numpy(), 16000, "FLOAT")
    converter = opened()
    wanted = ConversionRequest("bert", 17, {"length": "exact", "pitch": 2})
    target = tmp_path / "take.f32"

    bits = converter.convert_long(LongSource("l", file, wanted, tmp_path, target))
    stages = []
    while True:
        try:
            stages.append(next(bits).stage)
        except StopIteration as end:
            rate_hz = end.value
            break

    conversion = Conversion(length="exact", pitch=2)
    clip = Clip(wave, 16000, loaded(sources["bert"]), conversion, seed=17)
    [expected] = alone.convert([clip])
    found = np.fromfile(target, np.float32)
    assert rate_hz == 32000
    assert len(stages) > 5
    assert list(dict.fromkeys(stages)) == list(Stage)[1:]
    assert len(found) == 44 * 32000
    # The oscillator sums the pitch up over seconds: see docs/rvc.md.
    assert np.abs(found - expected.numpy()).max() < 0.01 * np.abs(found).max()
    assert converter.facts()["rvc_voices_in_use"] == 0
    assert sorted(one.name for one in tmp_path.glob("*.*")) == ["long.wav", "take.f32"]


@pytest.mark.parametrize(
    ("voice", "parameters", "error", "words"),
    [
        ("nobody", {}, UnknownVoice, "'nobody'"),
        ("flat", {"pitch": 2}, UnfitVoice, "without pitch"),
        ("bert", {"pitch": "auto"}, UnfitVoice, "pitch-hz"),
        ("anna", {"speaker": 3}, UnfitVoice, "3 speakers"),
    ],
)
def test_what_a_voice_cannot_do_is_refused_before_it_costs_anything(
    opened, voice, parameters, error, words
):
    with pytest.raises(error, match=words):
        opened().check(ConversionRequest(voice, 0, parameters))


def test_the_middle_of_a_voice_may_be_given_later(opened, models, sources):
    converter = opened()
    [before] = converter.convert([source("x", "bert")]).outcomes()

    RvcLibrary(models / "voices").add("bert", sources["bert"], median_hz=120.0)

    assert converter.renew()
    offered = {one.name: one.median_hz for one in converter.offer().voices}
    assert offered == {"anna": 220.0, "bert": 120.0, "flat": None}
    moved = source("x", "bert", pitch="auto")
    converter.check(moved.wanted)
    [after] = converter.convert([moved]).outcomes()
    assert isinstance(before, Sound) and isinstance(after, Sound)
    assert not np.array_equal(after.samples, before.samples)


def test_audio_that_is_too_short_fails_alone(opened):
    short = source("short", "anna")
    short = Source("short", short.samples[:18], 16000, short.wanted)

    failed, good = opened().convert([short, source("good", "anna")]).outcomes()

    assert isinstance(failed, UnfitAudio)
    assert "18 samples" in str(failed)
    assert isinstance(good, Sound)


def test_silence_and_stereo_rates_of_telephones_are_converted(opened):
    silence = source("s", "anna")
    quiet = Source("s", np.zeros(8000, np.float32), 8000, silence.wanted)

    [outcome] = opened().convert([quiet]).outcomes()

    assert isinstance(outcome, Sound)
    assert np.isfinite(outcome.samples).all()
