"""What is recorded once for a shape serves every voice of a kind; a processor runs it again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

# Where torch is missing, nothing below can be imported.
# ruff: noqa: E402
torch = pytest.importorskip("torch")

from tests.unit.worker.engine.rvc.tiny_voice import write_voice
from tests.unit.worker.engine.rvc.voices_and_speech import loaded
from worker.engine.rvc import voice_graphs
from worker.engine.rvc.parcel import gathered
from worker.engine.rvc.synthesizer import Synthesizer
from worker.engine.rvc.utterance import Utterance
from worker.engine.rvc.voice import Voice
from worker.engine.xtts.graphs import Graphs


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> list[Voice]:
    """Two of one configuration, and one without pitch."""
    folder = tmp_path_factory.mktemp("voices")
    kinds = ((1, True), (2, True), (3, False))
    return [loaded(write_voice(folder / f"{n}.pth", f0=f0, seed=n)) for n, f0 in kinds]


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One for each time that something was recorded."""
    found: list[None] = []
    record = Graphs.record

    def counted(graphs: Graphs, work: Callable[[], None]) -> Callable[[], None]:
        found.append(None)
        return record(graphs, work)

    monkeypatch.setattr(Graphs, "record", counted)
    return found


def utterance(voice: Voice, seed: int, frames: int = 260) -> Utterance:
    draw = torch.Generator().manual_seed(seed)
    features = torch.randn(frames, voice.config.features, generator=draw)
    coarse = f0_hz = None
    if voice.config.has_pitch:
        f0_hz = 100 + 50 * torch.rand(frames, generator=draw)
        coarse = f0_hz.long()
    return Utterance(features, coarse, f0_hz, (100, frames - 100), seed=seed)


def test_every_voice_and_utterance_gets_its_own_samples(voices, recorded):
    plain, graphs = Synthesizer(), Synthesizer(graphs=True)

    for seed in range(4):
        for voice in voices:
            said = [utterance(voice, seed), utterance(voice, seed + 10)]
            wanted = plain.synthesize(voice.config, voice.weights, said)
            found = graphs.synthesize(voice.config, voice.weights, said)
            for one, other in zip(found, wanted, strict=True):
                torch.testing.assert_close(one, other, rtol=0, atol=1e-5)

    # Of each kind what comes before the decoder and the decoder, whatever number of voices.
    assert len(recorded) == 4


def test_what_comes_once_is_not_recorded(voices, recorded):
    graphs = Synthesizer(graphs=True)
    for frames in (230, 270, 310):
        voice = voices[0]
        graphs.synthesize(voice.config, voice.weights, [utterance(voice, 1, frames)])

    # The windows of the decoder are alike, the utterances are not.
    assert len(recorded) <= 1


def test_few_are_kept(voices, recorded, monkeypatch):
    monkeypatch.setattr(voice_graphs, "_KEPT", 1)
    plain, graphs, voice = Synthesizer(), Synthesizer(graphs=True), voices[0]
    said = utterance(voice, 1)
    [wanted] = plain.synthesize(voice.config, voice.weights, [said])

    for _ in range(4):
        [found] = graphs.synthesize(voice.config, voice.weights, [said])
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)

    assert len(recorded) == 6


def test_a_device_that_records_nothing_goes_on_without(voices, monkeypatch):
    def refused(_graphs: Graphs, _work: Callable[[], None]) -> Callable[[], None]:
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(Graphs, "record", refused)
    plain, graphs, voice = Synthesizer(), Synthesizer(graphs=True), voices[0]
    said = utterance(voice, 1)
    [wanted] = plain.synthesize(voice.config, voice.weights, [said])

    for _ in range(3):
        [found] = graphs.synthesize(voice.config, voice.weights, [said])
        assert torch.equal(found, wanted)


def test_weights_that_are_no_parcel_are_used_where_they_lie(voices):
    weights = voices[0].weights
    apart = replace(weights, speakers=weights.speakers.clone())
    said = utterance(voices[0], 1)

    assert gathered(weights) is not None
    assert gathered(apart) is None
    [found] = Synthesizer(graphs=True).synthesize(voices[0].config, apart, [said])
    [wanted] = Synthesizer().synthesize(voices[0].config, weights, [said])
    assert torch.equal(found, wanted)
