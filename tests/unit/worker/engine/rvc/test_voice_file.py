"""A voice loads in every form that people have, or one error says what is wrong with it."""

from __future__ import annotations

import os
import pty
from pathlib import Path
from typing import Any

import pytest

# Where torch is missing, nothing below can be imported.
# ruff: noqa: E402
torch = pytest.importorskip("torch")

from tests.unit.worker.engine.rvc.tiny_voice import UPSAMPLING, published, write_voice
from worker.engine.errors import CheckpointError
from worker.engine.rvc.voice_file import read_voice


class Evil:
    """Calls something where pickles are trusted."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def __reduce__(self) -> Any:
        return self._call, ("true",)


@pytest.mark.parametrize(("version", "rate"), UPSAMPLING)
@pytest.mark.parametrize("f0", [True, False])
def test_a_voice_says_what_it_is(tmp_path, version, rate, f0):
    file = write_voice(tmp_path / "voice.pth", version, rate, f0=f0)

    config = read_voice(file).config

    assert (config.version, config.sample_rate_hz, config.has_pitch) == (version, rate, f0)
    assert (config.speakers, config.samples_per_frame) == (3, rate // 100)


def test_weight_norm_is_folded_as_torch_does_it(tmp_path):
    found = published()
    torch.save(found, tmp_path / "voice.pth")

    tensors = read_voice(tmp_path / "voice.pth").tensors

    name = "dec.resblocks.3.convs1.1.weight"
    v, g = found["weight"][f"{name}_v"].float(), found["weight"][f"{name}_g"].float()
    torch.testing.assert_close(tensors[name], torch._weight_norm(v, g, 0), rtol=1e-6, atol=0)


def test_names_of_newer_torch_and_what_training_needs_are_taken(tmp_path):
    found = published()
    weight = {
        name.replace(".weight_g", ".parametrizations.weight.original0").replace(
            ".weight_v", ".parametrizations.weight.original1"
        ): tensor
        for name, tensor in found["weight"].items()
    }
    others = {"enc_q.pre.weight": torch.zeros(1)}
    # As Applio writes it.
    more = {
        "vocoder": "HiFi-GAN", "embedder_model": "contentvec", "sr": 40000, "f0": True, "epoch": 20,
        "step": 4200, "creation_date": "2026-08-03T10:00:00", "model_hash": "ab" * 32,
        "dataset_length": "00:10:00", "model_name": "carl", "author": "somebody", "speakers_id": 3,
        "overtrain_info": "", "info": "20epoch_4200step",
    }  # fmt: skip
    torch.save({**found, **more, "weight": weight | others}, tmp_path / "a.pth")
    write_voice(tmp_path / "b.pth")

    newer, older = (read_voice(tmp_path / name).tensors for name in ("a.pth", "b.pth"))

    assert newer.keys() == older.keys()
    assert all(torch.equal(newer[name], older[name]) for name in newer)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"weight": None, "model": {}, "optimizer": {}}, "file of training"),
        ({"weight": None}, "no entry 'weight'"),
        ({"vocoder": "RefineGAN"}, "vocoder is 'RefineGAN'"),
        ({"vocoder": "MRF HiFi-GAN"}, "vocoder is 'MRF HiFi-GAN'"),
        ({"embedder_model": "spin"}, "embedder_model is 'spin'"),
        ({"embedder_model": "japanese-hubert-base"}, "embedder_model is 'japanese-hubert-base'"),
        ({"version": "v3"}, "version is 'v3'"),
        ({"f0": "maybe"}, "f0 is 'maybe'"),
        ({"config": [1, 2]}, "no list of 18"),
        ({"version": "v1"}, "enc_p.emb_phone.weight is [16, 768], wanted [16, 256]"),
        ({"f0": 0}, "belongs to no voice"),
        ({"info": Evil(os.system)}, f"wants to call {os.system.__module__}.system"),
        ({"weight": Evil(eval)}, "wants to call eval"),
        ({"author": Evil(pty.spawn)}, "wants to call pty.spawn"),
    ],
)
def test_what_is_no_voice_is_refused_by_name(tmp_path, change, fault):
    torch.save(published() | change, tmp_path / "voice.pth")

    with pytest.raises(CheckpointError) as caught:
        read_voice(tmp_path / "voice.pth")

    assert fault in str(caught.value)
    assert "voice.pth" in str(caught.value)


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    found = published()
    found["weight"]["enc_p.proj.bias"][0] = float("nan")
    torch.save(found, tmp_path / "voice.pth")

    with pytest.raises(CheckpointError, match=r"enc_p\.proj\.bias holds numbers"):
        read_voice(tmp_path / "voice.pth")


def test_a_text_and_half_a_file_are_refused(tmp_path):
    whole = write_voice(tmp_path / "whole.pth").read_bytes()
    for content in (b"hello", whole[: len(whole) // 2], b""):
        Path(tmp_path / "voice.pth").write_bytes(content)

        with pytest.raises(CheckpointError):
            read_voice(tmp_path / "voice.pth")
