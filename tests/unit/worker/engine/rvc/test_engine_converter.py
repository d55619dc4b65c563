"""RVC behind the engine: what it offers, what it refuses, and that it is the converter itself."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

# Where torch is missing, nothing below can be imported.
# ruff: noqa: E402
torch = pytest.importorskip("torch")

import soundfile

from tests.unit.worker.engine.rvc.tiny_hubert import TinyHubert
from tests.unit.worker.engine.rvc.tiny_index import write_index
from tests.unit.worker.engine.rvc.tiny_voice import write_voice
from tests.unit.worker.engine.rvc.voices_and_speech import loaded, speech
from worker.engine.converter import LongSource, Source
from worker.engine.engine import Engine
from worker.engine.errors import (
    CheckpointError,
    NoConversion,
    UnfitAudio,
    UnfitVoice,
    UnknownVoice,
)
from worker.engine.fake import FakeModel
from worker.engine.progress import Stage
from worker.engine.request import ChunkRequest, ConversionRequest, Sound
from worker.engine.rvc import warm_up
from worker.engine.rvc.clip import Clip, Conversion
from worker.engine.rvc.content import Content
from worker.engine.rvc.content_file import read_content
from worker.engine.rvc.converter import Converter
from worker.engine.rvc.engine_converter import RvcConverter
from worker.engine.rvc.library import RvcLibrary
from worker.engine.rvc.pitch import Pitch
from worker.engine.rvc.rmvpe_file import read_rmvpe
from worker.engine.rvc.synthesizer import Synthesizer

#: As other programs do it: what the converter does by itself.
COMPAT = {"length": "compat"}


@pytest.fixture(scope="module")
def hubert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of fairseq whose features fit voices of both versions."""
    folder = tmp_path_factory.mktemp("wide")
    return TinyHubert(768, 2, 12).write_fairseq(folder / "hubert_base.pt")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Voice files as people have them, and an index."""
    folder = tmp_path_factory.mktemp("voices")
    return {
        "anna": write_voice(folder / "anna.pth", "v2", 40000, seed=1),
        "bert": write_voice(folder / "bert.pth", "v1", 32000, seed=2),
        "flat": write_voice(folder / "flat.pth", "v2", 48000, f0=False, seed=3),
        "index": write_index(folder / "anna.index", 768),
    }


@pytest.fixture
def models(tmp_path: Path, hubert: Path, rmvpe_file: Path, sources: dict[str, Path]) -> Path:
    """A directory as `models/rvc` is."""
    directory = tmp_path / "rvc"
    directory.mkdir()
    shutil.copy(hubert, directory / "hubert_base.pt")
    shutil.copy(rmvpe_file, directory / "rmvpe.pt")
    library = RvcLibrary(directory / "voices")
    library.add("anna", sources["anna"], sources["index"], median_hz=220.0)
    library.add("bert", sources["bert"])
    library.add("flat", sources["flat"])
    return directory


@pytest.fixture
def opened(models: Path) -> Callable[..., RvcConverter]:
    def open_(directory: Path = models, **given: Any) -> RvcConverter:
        converter = RvcConverter(directory, device="cpu", **given)
        converter.load()
        converter.warm_up()
        return converter

    return open_


@pytest.fixture
def alone(models: Path) -> Converter:
    """The converter itself over the same files."""
    return Converter(
        Content(read_content(models / "hubert_base.pt")),
        Pitch(read_rmvpe(models / "rmvpe.pt")),
        Synthesizer(),
    )


def source(name: str, voice: str, seconds: float = 1.0, **parameters: Any) -> Source:
    samples = speech(seconds, seed=len(name)).numpy()
    wanted = ConversionRequest(voice, 17, {**COMPAT, **parameters})
    return Source(name, samples, 16000, wanted)


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


def test_a_voice_whose_file_breaks_later_fails_its_chunks_and_no_others(opened, models):
    converter = opened()
    file = models / "voices" / "bert.safetensors"
    content = bytearray(file.read_bytes())
    content[-4:] = b"\xff\xff\xff\x7f"
    file.write_bytes(content)

    broken, good = converter.convert([source("b", "bert"), source("g", "anna")]).outcomes()

    assert isinstance(broken, CheckpointError)
    assert "bert.safetensors" in str(broken)
    assert isinstance(good, Sound)


def test_a_voice_whose_file_is_broken_is_told_of_by_name(opened, models):
    converter = opened()
    file = models / "voices" / "bert.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])

    assert converter.renew()

    offer = converter.offer()
    assert {one.name for one in offer.voices} == {"anna", "flat"}
    assert "bert.safetensors" in offer.faults["bert"]
    with pytest.raises(CheckpointError, match=r"bert\.safetensors"):
        converter.check(ConversionRequest("bert", 0))
    assert not converter.renew()
    file.write_bytes(whole)
    assert converter.renew()
    assert converter.offer().faults == {}


def test_voices_that_come_and_go_are_offered_and_a_job_keeps_its_own(opened, models, sources):
    converter = opened()
    offered = {one.name: one.revision for one in converter.offer().voices}
    assert not converter.renew()
    [before] = converter.convert([source("x", "bert")]).outcomes()

    RvcLibrary(models / "voices").add("zoe", sources["bert"])
    RvcLibrary(models / "voices").add("bert", sources["anna"])

    assert converter.renew()
    voices = {one.name: one.revision for one in converter.offer().voices}
    assert voices["zoe"] == offered["bert"]
    # The one that the job began with is still on the shelf.
    wanted = ConversionRequest("bert", 17, COMPAT, offered["bert"])
    old = replace(source("x", "bert"), wanted=wanted)
    converter.check(old.wanted)
    [after] = converter.convert([old]).outcomes()
    assert np.array_equal(after.samples, before.samples)


@pytest.mark.parametrize("missing", ["hubert_base.pt", "rmvpe.pt"])
def test_a_missing_network_is_named_and_keeps_nobody_from_speaking(models, missing):
    (models / missing).unlink()
    engine = Engine(FakeModel(), RvcConverter(models, device="cpu"))
    engine.start()

    offer = engine.ready.result(60)

    assert missing in offer.conversion.obstacle
    assert offer.conversion.voices == ()
    wanted = ConversionRequest("anna", 0)
    refused = engine.submit(ChunkRequest("a", "Hello", "en", "default", 7, conversion=wanted))
    assert isinstance(refused.exception(timeout=0), NoConversion)
    assert missing in str(refused.exception())
    assert engine.submit(ChunkRequest("b", "Hello", "en", "default", 7)).result(60)
    engine.close()


def test_a_broken_network_is_named(models):
    (models / "rmvpe.pt").write_bytes(b"not a model")

    converter = RvcConverter(models, device="cpu")
    converter.load()

    offer = converter.offer()
    assert "rmvpe.pt" in offer.obstacle
    assert offer.is_broken
    with pytest.raises(CheckpointError, match=r"rmvpe\.pt"):
        converter.check(ConversionRequest("anna", 0))


def test_voices_within_their_budget_leave_the_rest_on_the_disk(opened):
    converter = opened(voices_mb=1)

    for _ in range(2):
        for voice in ("anna", "bert", "flat"):
            [outcome] = converter.convert([source(voice, voice, 0.5)]).outcomes()
            assert isinstance(outcome, Sound)

    facts = converter.facts()
    assert facts["rvc_evictions"] > 0
    assert facts["rvc_voices_in_use"] == 0


def test_voices_that_do_not_fit_beside_one_another_are_converted_into_in_turns(opened):
    batch = [source(str(place), voice) for place, voice in enumerate(["anna", "bert", "flat"] * 2)]
    wanted = opened().convert(batch).outcomes()

    found = opened(voices_mb=1).convert(batch).outcomes()

    for one, other in zip(found, wanted, strict=True):
        assert isinstance(one, Sound) and isinstance(other, Sound)
        assert np.allclose(one.samples, other.samples, atol=1e-4)


def test_a_voice_of_each_kind_is_warmed_up_and_a_broken_one_stops_nobody(
    opened, models, monkeypatch
):
    converter = opened()
    (models / "voices" / "bert.safetensors").write_bytes(b"hello")
    monkeypatch.setattr(warm_up, "SILENCES_S", (1, 3))
    converted: list[tuple[str, int]] = []

    def watched(sources: Any) -> Any:
        converted.append((sources[0].voice, len(sources)))
        return converter.convert(sources)

    warm_up.warm_up_voices(watched, ["bert", "anna", "flat"], most_s=3.0, times=1)

    assert converted == [("bert", 1), ("anna", 1), ("anna", 2), ("anna", 1)]

    facts = converter.facts()
    assert (facts["rvc_voices"], facts["rvc_voices_in_use"]) == (1, 0)
    assert sorted(converter._parts.targets.examples) == ["anna", "bert", "flat"]
