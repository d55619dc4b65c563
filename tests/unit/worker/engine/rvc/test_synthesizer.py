"""The synthesizer gives what the peers' networks give, whatever is computed at the same time."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import sys
import types
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

# Where torch is missing, nothing below can be imported.
# ruff: noqa: E402
torch = pytest.importorskip("torch")

from torch import Tensor

from tests.conftest import missing
from tests.unit.worker.engine.rvc.tiny_voice import UPSAMPLING, write_voice
from worker.engine.rvc.noise import LATENTS, SOURCE
from worker.engine.rvc.parcel import parcel
from worker.engine.rvc.synthesizer import Limits, Synthesizer
from worker.engine.rvc.utterance import PaddedRows, Utterance
from worker.engine.rvc.voice_config import VoiceConfig
from worker.engine.rvc.voice_file import read_voice
from worker.engine.rvc.weights import SynthesizerWeights, prepare

PEER = "infer_rvc_python"

#: Frames of utterances that are one crop, two and many.
FRAMES = (260, 333, 150, 401)


def loaded(file: Path) -> tuple[VoiceConfig, SynthesizerWeights]:
    """A voice as the synthesizer takes it."""
    voice = read_voice(file)
    return voice.config, parcel(prepare(voice), torch.float32).tree


def utterances_of(config: VoiceConfig) -> list[Utterance]:
    """Utterances with and without pitch in places; of the last one everything is kept."""
    generator = torch.Generator().manual_seed(1)
    made = []
    for place, frames in enumerate(FRAMES):
        f0_hz = 120 + 60 * torch.sin(torch.arange(frames) / 9 + place)
        f0_hz[40:60] = 0
        made.append(
            Utterance(
                1.5 * torch.randn(frames, config.features, generator=generator),
                (f0_hz / 4).long().clamp(1, 255) if config.has_pitch else None,
                f0_hz if config.has_pitch else None,
                (0, frames) if frames == max(FRAMES) else (frames // 3, frames - 60),
                speaker=place % config.speakers,
                seed=place,
            )
        )
    return made


def replay(seeds: Tensor, stream: int, firsts: Tensor, count: int) -> Tensor:
    """Noise that can be drawn again for a peer: a long row for each seed and stream."""
    rows = zip(seeds.tolist(), firsts.tolist(), strict=True)
    return torch.stack([long_noise(seed, stream, first + count)[first:] for seed, first in rows])


@lru_cache(maxsize=2)
def _row(seed: int, stream: int) -> Tensor:
    generator = torch.Generator().manual_seed(2 * seed + stream)
    return torch.randn(250_000, generator=generator)


def long_noise(seed: int, stream: int, count: int) -> Tensor:
    """The beginning of one row."""
    return _row(seed, stream)[:count]


def peer_network(file: Path) -> Any:
    """The network of a peer with the voice in it; the package around it is never imported."""
    if PEER not in sys.modules:
        found = importlib.util.find_spec(PEER)
        if found is None or not found.submodule_search_locations:
            missing(PEER)
        package = types.ModuleType(PEER)
        package.__path__ = list(found.submodule_search_locations)
        sys.modules[PEER] = package
    models = importlib.import_module(f"{PEER}.lib.infer_pack.models")
    voice = torch.load(file, weights_only=True)
    voice["config"][-3] = len(voice["weight"]["emb_g.weight"])
    width = {"v1": "256", "v2": "768"}[voice["version"]]
    name = f"SynthesizerTrnMs{width}NSFsid{'' if voice['f0'] else '_nono'}"
    with contextlib.redirect_stdout(io.StringIO()):
        network = getattr(models, name)(*voice["config"], is_half=False)
    del network.enc_q
    network.load_state_dict(voice["weight"])
    return network.eval().float()


def peer_samples(network: Any, config: VoiceConfig, said: Utterance) -> Tensor:
    """What the peer makes of it with the same noise."""
    latents = long_noise(said.seed, LATENTS, said.frames * config.inter_channels)
    draws = iter(
        (
            latents.view(said.frames, -1).T[None],
            long_noise(said.seed, SOURCE, said.frames * config.samples_per_frame)[None, :, None],
        )
    )
    pitch = (
        [] if said.coarse is None or said.f0_hz is None else [said.coarse[None], said.f0_hz[None]]
    )
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(torch, "randn_like", lambda _like: next(draws))
        wave = network.infer(
            said.features[None], torch.tensor([said.frames]), *pitch, torch.tensor([said.speaker])
        )[0][0, 0]
    kept: Tensor = wave[slice(*(frame * config.samples_per_frame for frame in said.keep))]
    return kept


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(("version", "rate"), UPSAMPLING)
@pytest.mark.parametrize("f0", [True, False])
def test_samples_are_those_of_the_peer(tmp_path, version, rate, f0):
    file = write_voice(tmp_path / "voice.pth", version, rate, f0=f0, seed=3)
    network = peer_network(file)
    config, weights = loaded(file)
    said = utterances_of(config)

    ours = Synthesizer(noise=replay, limits=Limits(width=128)).synthesize(config, weights, said)

    for samples, utterance in zip(ours, said, strict=True):
        theirs = peer_samples(network, config, utterance)
        assert 0.01 < theirs.std() < 0.7
        torch.testing.assert_close(samples, theirs, rtol=0, atol=1e-4)


def test_neighbours_and_cuts_change_nothing(tmp_path):
    config, weights = loaded(write_voice(tmp_path / "voice.pth"))
    said = utterances_of(config)

    together = Synthesizer(limits=Limits(width=64, scores=2 * 333**2)).synthesize(
        config, weights, said
    )

    for samples, utterance in zip(together, said, strict=True):
        (alone,) = Synthesizer().synthesize(config, weights, [utterance])
        torch.testing.assert_close(samples, alone, rtol=0, atol=1e-4)


def test_shapes_that_are_filled_up_change_nothing(tmp_path, monkeypatch):
    config, weights = loaded(write_voice(tmp_path / "voice.pth"))
    said = utterances_of(config)[:3]
    wanted = Synthesizer().synthesize(config, weights, said)

    for module in ("synthesizer", "utterance"):
        monkeypatch.setattr(f"worker.engine.rvc.{module}.few_shapes_on", lambda device: True)
    padded = PaddedRows.of(config, weights, said)
    found = Synthesizer().synthesize(config, weights, said)

    assert padded.features.shape[:2] == (4, 384)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-4)


def test_another_seed_sounds_otherwise(tmp_path):
    config, weights = loaded(write_voice(tmp_path / "voice.pth"))
    said = utterances_of(config)[0]
    other = Utterance(said.features, said.coarse, said.f0_hz, said.keep, said.speaker, seed=77)

    one, two, again = Synthesizer().synthesize(config, weights, [said, other, said])

    assert (one - two).abs().max() > 1e-3
    torch.testing.assert_close(one, again, rtol=0, atol=1e-5)
