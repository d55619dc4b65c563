"""Voices made of recordings: what coqui-tts makes of the same ones, and what cannot be one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

torch = pytest.importorskip("torch")

from tests.unit.worker.engine.xtts.recordings import recorded  # noqa: E402
from worker.engine.errors import CheckpointError, EngineError  # noqa: E402
from worker.engine.xtts.conditioning import Conditioning  # noqa: E402
from worker.engine.xtts.errors import BadSample  # noqa: E402
from worker.engine.xtts.sample import Sample, read_sample  # noqa: E402
from worker.engine.xtts.speakers import Speaker  # noqa: E402

HEARD_S = 30


@pytest.fixture(scope="module")
def conditioning(written_checkpoint) -> Conditioning:
    """What makes voices, of the tiny checkpoint."""
    return Conditioning.read(written_checkpoint)


@pytest.fixture
def reading(monkeypatch) -> None:
    """Lets coqui-tts read files without ffmpeg, through the library that we use too."""

    def load(file: str) -> tuple[Any, int]:
        frames, rate_hz = soundfile.read(file, dtype="float32", always_2d=True)
        return torch.from_numpy(frames.T.copy()), rate_hz

    monkeypatch.setattr("TTS.tts.models.xtts.torchaudio.load", load)


def expected(coqui: Any, files: list[Path], **changes: Any) -> Speaker:
    """The voice that coqui-tts makes of files, with the settings that `synthesize` gives it."""
    settings = {
        "gpt_cond_len": coqui.config.gpt_cond_len,
        "gpt_cond_chunk_len": coqui.config.gpt_cond_chunk_len,
        "max_ref_length": coqui.config.max_ref_len,
        "sound_norm_refs": coqui.config.sound_norm_refs,
        **changes,
    }
    latents, embedding = coqui.get_conditioning_latents(audio_path=files, **settings)
    return Speaker.of(latents[0], embedding[0, :, 0])


def assert_same(found: Speaker, wanted: Speaker) -> None:
    assert found.latents.shape == wanted.latents.shape == (32, 64)
    assert found.embedding.shape == wanted.embedding.shape == (512,)
    assert (found.latents - wanted.latents).abs().max() <= 1e-5
    assert (found.embedding - wanted.embedding).abs().max() <= 1e-5
    assert wanted.latents.std() > 0.01


@pytest.mark.parametrize(
    "recordings",
    [
        [recorded(7, 22050)],
        [recorded(6, 44100, channels=2)],
        [recorded(5, 48000)],
        [recorded(9, 16000)],
        [recorded(4, 8000), recorded(3.1, 44100, channels=2), recorded(2, 22050, pitch_hz=90)],
        [recorded(33, 24000)],
        [recorded(31, 22050), recorded(5, 22050, pitch_hz=90)],
    ],
    ids=["plain", "stereo", "48 kHz", "16 kHz", "three", "long", "long and short"],
)
def test_voices_are_those_of_coqui_tts(recordings, conditioning, coqui, reading, tmp_path):
    files = [recording.write(tmp_path / f"{n}.wav") for n, recording in enumerate(recordings)]

    found = conditioning.voice([read_sample(file, HEARD_S) for file in files])

    assert_same(found, expected(coqui, files))


@pytest.mark.parametrize(
    "changes",
    [
        {"gpt_cond_len": 6, "gpt_cond_chunk_len": 6},
        {"gpt_cond_len": 5, "gpt_cond_chunk_len": 2, "max_ref_len": 3},
        {"sound_norm_refs": True},
    ],
)
def test_the_settings_of_a_checkpoint_are_heeded(
    changes, directory, coqui, reading, tmp_path, rewritten
):
    files = [recorded(7, 22050).write(tmp_path / "a.wav")]
    rewritten(directory / "config.json", **changes)

    voice = Conditioning.read(directory).voice([read_sample(file, HEARD_S) for file in files])

    renamed = {"max_ref_length" if k == "max_ref_len" else k: v for k, v in changes.items()}
    assert_same(voice, expected(coqui, files, **renamed))


def test_a_file_in_half_precision_makes_voices_too(directory, conditioning):
    archive = torch.load(directory / "model.pth", weights_only=True)
    halves = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in archive["model"].items()
    }
    torch.save({**archive, "model": halves}, directory / "model.pth")
    sample = recorded(6, 22050).sample

    found, wanted = Conditioning.read(directory).voice([sample]), conditioning.voice([sample])

    assert (found.latents - wanted.latents).abs().max() <= 0.02


def test_the_same_sample_is_the_same_voice_and_another_is_another(conditioning):
    voices = [
        conditioning.voice([recording.sample])
        for recording in (recorded(6, 22050), recorded(6, 22050), recorded(6, 22050, pitch_hz=90))
    ]

    assert voices[0].revision == voices[1].revision
    assert voices[0].revision != voices[2].revision


def test_less_than_a_third_of_a_second_is_no_voice(conditioning):
    with pytest.raises(BadSample, match="too short"):
        conditioning.voice([recorded(0.3, 22050).sample])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mel_stats", "mel_stats is missing"),
        ("gpt.conditioning_perceiver.latents", "conditioning_perceiver does not fit.*latents"),
        ("hifigan_decoder.speaker_encoder.layer2.0.conv1.weight", "layer2.0.conv1.weight is miss"),
    ],
)
def test_a_checkpoint_that_cannot_clone_names_the_tensor(name, words, directory):
    archive = torch.load(directory / "model.pth", weights_only=True)
    del archive["model"][name]
    torch.save(archive, directory / "model.pth")

    with pytest.raises(CheckpointError, match=words):
        Conditioning.read(directory)


def test_without_coqui_tts_it_says_so(written_checkpoint, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "TTS.encoder.models.resnet", None)

    with pytest.raises(EngineError, match="coqui-tts"):
        Conditioning.read(written_checkpoint)


def test_what_lies_beyond_what_is_heard_changes_nothing(conditioning, tmp_path):
    long = recorded(40, 22050)
    longer = Sample(
        np.concatenate([long.sample.audio, np.ones(22050, np.float32)]), 22050, 1, duration_s=41
    )
    files = [tmp_path / "long.wav", tmp_path / "longer.wav"]
    for file, sample in zip(files, (long.sample, longer), strict=True):
        soundfile.write(file, sample.audio, 22050)

    read = [read_sample(file, HEARD_S) for file in files]

    assert read[0].sha256 == read[1].sha256
    assert conditioning.voice(read[:1]).revision == conditioning.voice(read[1:]).revision
