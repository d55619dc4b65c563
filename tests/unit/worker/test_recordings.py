"""Recordings to convert: judged before anything is computed, and read part by part."""

from __future__ import annotations

import hashlib
import io
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from worker.engine.audio_stream import mono, opened, samples_of
from worker.engine.errors import TakeCancelled, UnfitAudio
from worker.engine.progress import Progress
from worker.errors import UploadMissing
from worker.recordings import Judgement, judge

Samples = np.ndarray[Any, Any]


@pytest.fixture
def judged(tmp_path: Path) -> Callable[[bytes], Judgement]:
    """Judge the content of a file."""

    def judged(content: bytes) -> Judgement:
        file = tmp_path / "upload"
        file.write_bytes(content)
        return judge(file, hashlib.sha256(content).hexdigest(), lambda far: None)

    return judged


def noise(seconds: float, rate_hz: int, channels: int = 1, level: float = 0.1) -> Samples:
    draws = np.random.default_rng(1)
    shape = (int(seconds * rate_hz), channels)
    return draws.normal(0, level, shape).astype(np.float32)


def audio(samples: Samples, rate_hz: int, format: str = "WAV", subtype: str = "FLOAT") -> bytes:
    content = io.BytesIO()
    channels = samples.shape[1] if samples.ndim == 2 else 1
    with soundfile.SoundFile(content, "w", rate_hz, channels, subtype, format=format) as file:
        # libsndfile's Vorbis encoder dies of too much at once.
        for place in range(0, len(samples), rate_hz):
            file.write(samples[place : place + rate_hz])
    return content.getvalue()


@pytest.mark.parametrize("channels", [1, 2])
def test_a_recording_is_counted_and_its_rate_is_told(judged, channels):
    found = judged(audio(noise(2, 8000, channels), 8000))

    assert (found.samples, found.rate_hz) == (16000, 8000)


@pytest.mark.parametrize(
    ("format", "subtype"),
    [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")],
)
def test_reading_part_by_part_gives_what_one_read_gives(tmp_path, format, subtype):
    rate_hz = 22050
    tone = 0.3 * np.sin(np.arange(40 * rate_hz, dtype=np.float32) / 17)
    file = tmp_path / "tone"
    file.write_bytes(audio(tone, rate_hz, format, subtype))
    whole, _ = soundfile.read(file, dtype="float32")

    with opened(file) as stream:
        parts = list(mono(stream))

    assert len(parts) > 2
    assert np.allclose(np.concatenate(parts), whole, atol=1e-6)
    assert np.array_equal(samples_of(file)[0], np.concatenate(parts))


def test_channels_become_their_mean(tmp_path):
    samples = noise(1, 8000, channels=2)
    (tmp_path / "stereo").write_bytes(audio(samples, 8000))

    found, rate_hz = samples_of(tmp_path / "stereo")

    assert rate_hz == 8000
    assert np.allclose(found, samples.mean(1), atol=1e-7)


def test_a_header_that_claims_four_gigabytes_is_not_believed(judged):
    content = bytearray(audio(noise(1, 16000), 16000, subtype="PCM_16"))
    place = content.index(b"data")
    content[place + 4 : place + 8] = struct.pack("<I", 2**32 - 1)
    content[4:8] = struct.pack("<I", 2**32 - 1)

    found = judged(bytes(content))

    assert found.samples == 16000
    assert len(samples_of(found.file)[0]) == 16000


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"Dear diary, today I renamed a text.\n" * 50, "no audio that can be read"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "no audio that can be read"),
        (audio(noise(0, 16000), 16000), "no samples"),
        (audio(np.array([0.1, np.nan, 0.1], np.float32), 16000), "not finite"),
        (audio(np.array([0.1, np.inf], np.float32), 16000), "not finite"),
    ],
    # Named by hand: the files hold the time of their making.
    ids=["text", "half a header", "empty", "not a number", "infinite"],
)
def test_what_cannot_be_converted_says_why(judged, content, words):
    with pytest.raises(UnfitAudio, match=words) as raised:
        judged(content)

    assert "upload" not in str(raised.value)


def test_where_the_first_bad_number_is_can_be_read(judged):
    samples = noise(3, 16000)
    samples[24000] = np.nan

    with pytest.raises(UnfitAudio, match=r"1\.50 s"):
        judged(audio(samples, 16000))


def test_it_is_told_how_far_a_recording_is_read_and_whoever_hears_may_end_that(tmp_path):
    file, told = tmp_path / "upload", []
    file.write_bytes(content := audio(noise(120, 8000), 8000))
    sha256 = hashlib.sha256(content).hexdigest()

    def tell(far: Progress) -> None:
        told.append(far.share)
        if far.share > 0.5:
            raise TakeCancelled("the job was cancelled")

    with pytest.raises(TakeCancelled):
        judge(file, sha256, tell)

    assert len(told) >= 2
    assert told == sorted(told)


def test_a_file_that_is_not_there_names_the_volume(tmp_path):
    with pytest.raises(UploadMissing, match="VOICEFARM_HOME"):
        judge(tmp_path / "nothing", "ab" * 32, lambda far: None)


def test_a_file_that_was_changed_on_the_volume_is_refused(tmp_path):
    file = tmp_path / "upload"
    file.write_bytes(audio(noise(1, 16000), 16000))

    with pytest.raises(UnfitAudio, match="damaged"):
        judge(file, "ab" * 32, lambda far: None)


def test_a_long_recording_takes_little_memory(judged):
    rate_hz, minutes = 8000, 20
    samples = noise(60 * minutes, rate_hz)
    content = audio(samples, rate_hz, subtype="PCM_16")
    del samples

    tracemalloc.start()
    found = judged(content)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert found.samples == 60 * minutes * rate_hz
    # All of it in float32 would be 38 MB.
    assert peak_bytes < 12e6
