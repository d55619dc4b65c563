"""A recording is read as far as it is there; what is no recording says so."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

# Where torch is missing, nothing below can be imported.
# ruff: noqa: E402
torch = pytest.importorskip("torch")

import soundfile

from tests.unit.worker.engine.rvc.voices_and_speech import speech
from worker.engine.rvc.audio_file import AudioFile
from worker.engine.rvc.errors import UnfitAudio

#: What a header may claim in 32 bits.
FOUR_GB = 2**32 - 1


@pytest.mark.parametrize("suffix", ["wav", "flac", "aiff"])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_recording_is_read_in_parts_as_in_one_piece(tmp_path, monkeypatch, suffix, channels):
    wave = speech(0.7)[:, None].repeat(1, channels).numpy()
    soundfile.write(tmp_path / f"a.{suffix}", wave, 8000, "PCM_16")
    monkeypatch.setattr("worker.engine.rvc.audio_file._BLOCK", 1000)

    file = AudioFile(tmp_path / f"a.{suffix}")

    assert (file.rate_hz, file.channels, file.claimed_s) == (8000, channels, len(wave) / 8000)
    assert len(list(file.blocks())) > 5
    assert np.abs(file.samples().numpy() - wave).max() < 2**-14


def test_mp3_is_read_in_parts_as_in_one_piece(tmp_path, monkeypatch):
    rate_hz = 22050
    tone = 0.3 * np.sin(np.arange(20 * rate_hz) / 17)
    soundfile.write(tmp_path / "a.mp3", tone, rate_hz)
    whole, _ = soundfile.read(tmp_path / "a.mp3", dtype="float32")
    monkeypatch.setattr("worker.engine.rvc.audio_file._BLOCK", 10_000)

    samples = AudioFile(tmp_path / "a.mp3").samples()

    assert np.abs(samples[:, 0].numpy() - whole).max() < 1e-6


def lying_wav(file: Path, data: bytes, claimed_bytes: int = FOUR_GB) -> Path:
    """A header that claims more than there is."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16)
    riff = struct.pack("<4sI4s", b"RIFF", claimed_bytes, b"WAVE")
    file.write_bytes(riff + form + struct.pack("<4sI", b"data", claimed_bytes) + data)
    return file


def test_a_header_that_claims_four_gigabytes_costs_none_of_them(tmp_path):
    data = (speech(0.5) * 32767).short().numpy().tobytes()
    file = lying_wav(tmp_path / "a.wav", data)
    tracemalloc.start()

    samples = AudioFile(file).samples()

    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()
    assert len(samples) == 8000
    assert torch.equal(samples[:, 0] * 32768, torch.tensor(np.frombuffer(data, "i2").astype("f4")))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("text.wav", b"Chapter one. It was a dark night."),
        ("text.txt", b"Chapter one. It was a dark night."),
        ("empty.wav", b""),
        ("half.flac", b"fLaC\0\0\0"),
    ],
)
def test_what_is_no_recording_says_so_by_name(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)

    with pytest.raises(UnfitAudio, match=f"{name}: is no audio file"):
        AudioFile(tmp_path / name)


def test_a_file_that_is_not_there_says_so(tmp_path):
    with pytest.raises(UnfitAudio, match=r"gone\.wav"):
        AudioFile(tmp_path / "gone.wav")


def test_a_file_that_vanishes_while_it_waits_says_so(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(100), 8000)
    file = AudioFile(tmp_path / "a.wav")
    (tmp_path / "a.wav").unlink()

    with pytest.raises(UnfitAudio, match=r"a\.wav"):
        file.samples()
