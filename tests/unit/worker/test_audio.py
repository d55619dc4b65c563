"""Rates, 16-bit samples, resampling and encoding."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from producer.job import RATES_OF, AudioFormat, OutputSpec
from worker.audio import (
    AudioWriter,
    Resampler,
    check_samples,
    choose_rate,
    file_name,
    pcm16,
)
from worker.audio_sink import TOGETHER_BYTES
from worker.engine.request import Samples
from worker.errors import BadAudio, StoreFailed

FORMATS: tuple[AudioFormat, ...] = get_args(AudioFormat)
LOSSLESS: tuple[AudioFormat, ...] = ("wav", "flac")

#: A disk that is always full.
FULL_DISK = Path("/dev/full")

cuts = st.lists(st.integers(0, 3000), max_size=6).map(sorted)


def tone(rate_hz: int, seconds: float = 1.0, pitch_hz: float = 440.0) -> Samples:
    times_s = np.arange(round(rate_hz * seconds)) / rate_hz
    return (0.5 * np.sin(2 * np.pi * pitch_hz * times_s)).astype(np.float32)


def pieces_of(samples: Samples, cuts: list[int]) -> list[Samples]:
    edges = [0, *(min(cut, len(samples)) for cut in cuts), len(samples)]
    return [samples[start:end] for start, end in pairwise(edges)]


def written(
    path: Path, format: AudioFormat, pieces: list[Samples], from_hz: int, to_hz: int
) -> int:
    """Write the pieces as the store does, and return the number of samples in the file."""
    resampler, writer = Resampler(from_hz, to_hz), AudioWriter(path, format, to_hz)
    for piece in pieces:
        writer.write(resampler.convert(piece))
    writer.write(resampler.flush())
    writer.close()
    return writer.samples


@pytest.mark.parametrize("from_hz", [22050, 24000, 40000])
@pytest.mark.parametrize("format", FORMATS)
def test_a_tone_is_the_same_tone_in_every_format(
    tmp_path: Path, format: AudioFormat, from_hz: int
) -> None:
    to_hz = choose_rate(OutputSpec(format=format), from_hz)

    count = written(tmp_path / "audio", format, [tone(from_hz)], from_hz, to_hz)

    heard, rate_hz = soundfile.read(tmp_path / "audio")
    assert rate_hz == to_hz
    assert len(heard) == count
    assert abs(count / to_hz - 1.0) <= 1 / to_hz
    power = np.abs(np.fft.rfft(heard * np.hanning(len(heard)))) ** 2
    assert abs(int(power.argmax()) - 440) <= 1
    assert power[436:445].sum() > 0.99 * power.sum()
    assert np.sqrt(np.mean(heard**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


@contextmanager
def held_bytes(together_bytes: int) -> Iterator[None]:
    """Let files be written to the disk whenever so much has come together."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("worker.audio_sink.TOGETHER_BYTES", together_bytes)
        yield


@settings(max_examples=30, deadline=None)
@given(
    cuts=cuts,
    to_hz=st.sampled_from([8000, 22050, 24000, 48000]),
    together_bytes=st.sampled_from([1, 50, 1000]),
)
def test_any_partition_into_writes_gives_the_same_wav_bytes(
    cuts: list[int], to_hz: int, together_bytes: int
) -> None:
    samples = tone(22050, seconds=0.15)

    with tempfile.TemporaryDirectory() as home:
        at_once, in_pieces = Path(home, "at_once"), Path(home, "in_pieces")
        written(at_once, "wav", [samples], 22050, to_hz)
        with held_bytes(together_bytes):
            written(in_pieces, "wav", pieces_of(samples, cuts), 22050, to_hz)

        assert in_pieces.read_bytes() == at_once.read_bytes()


@pytest.mark.parametrize("format", ["flac", "mp3", "opus"])
def test_pieces_sound_like_the_whole(tmp_path: Path, format: AudioFormat) -> None:
    samples = tone(24000)

    written(tmp_path / "at_once", format, [samples], 24000, 48000)
    written(tmp_path / "in_pieces", format, pieces_of(samples, [7, 7, 2400]), 24000, 48000)

    at_once, _ = soundfile.read(tmp_path / "at_once")
    in_pieces, _ = soundfile.read(tmp_path / "in_pieces")
    assert np.array_equal(at_once, in_pieces)


@pytest.mark.parametrize("format", FORMATS)
def test_the_file_grows_while_it_is_written(tmp_path: Path, format: AudioFormat) -> None:
    writer = AudioWriter(tmp_path / "audio", format, 8000)

    with held_bytes(4096):
        for _ in range(30):
            writer.write(tone(8000))
        before_the_end_bytes = (tmp_path / "audio").stat().st_size
        writer.close()

    assert before_the_end_bytes > 0.8 * (tmp_path / "audio").stat().st_size


@pytest.mark.parametrize("together_bytes", [1000, TOGETHER_BYTES])
@pytest.mark.parametrize("format", FORMATS)
def test_a_seal_tells_the_hash_and_the_length_of_the_file(
    tmp_path: Path, format: AudioFormat, together_bytes: int
) -> None:
    writer = AudioWriter(tmp_path / "audio", format, 24000)

    with held_bytes(together_bytes):
        writer.write(tone(24000))
        sha256, size_bytes = writer.seal()

    content = (tmp_path / "audio").read_bytes()
    assert sha256 == hashlib.sha256(content).hexdigest()
    assert size_bytes == len(content)


@pytest.mark.parametrize("format", FORMATS)
def test_a_short_file_is_written_as_a_whole(
    tmp_path: Path, format: AudioFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwritev, writes_bytes = os.pwritev, list[int]()

    def write(file: int, pieces: list[memoryview], place: int) -> int:
        writes_bytes.append(sum(map(len, pieces)))
        return pwritev(file, pieces, place)

    monkeypatch.setattr("os.pwritev", write)
    # Its hash is that of what was written: it is not read again.
    monkeypatch.delattr("os.pread")
    writer = AudioWriter(tmp_path / "audio", format, 24000)

    for _ in range(6):
        writer.write(tone(24000))
    writer.seal()

    assert writes_bytes == [(tmp_path / "audio").stat().st_size]


@pytest.mark.parametrize("format", LOSSLESS)
def test_loud_samples_are_clipped_and_do_not_wrap(tmp_path: Path, format: AudioFormat) -> None:
    loud = np.array([-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5], dtype=np.float32)

    written(tmp_path / "audio", format, [loud], 24000, 24000)

    kept, _ = soundfile.read(tmp_path / "audio", dtype="int16")
    assert kept.tolist() == [-32768, -32768, -16384, 0, 16384, 32767, 32767]


@given(st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=50))
def test_sixteen_bits_are_as_near_as_they_can_be(values: list[float]) -> None:
    samples = np.array(values, dtype=np.float32)

    kept = pcm16(samples) / 32768

    assert np.abs(kept - np.clip(samples, -1, 32767 / 32768)).max() <= 0.5 / 32768


@pytest.mark.parametrize(
    ("format", "asked_hz", "native_hz", "chosen_hz"),
    [
        ("wav", None, 22050, 22050),
        ("wav", 8000, 24000, 8000),
        ("flac", None, 40000, 40000),
        ("mp3", None, 24000, 24000),
        ("mp3", None, 40000, 44100),
        ("mp3", 16000, 24000, 16000),
        ("opus", None, 24000, 24000),
        ("opus", None, 22050, 24000),
        ("opus", None, 44100, 48000),
        ("opus", None, 96000, 48000),
    ],
)
def test_the_rate_is_the_one_asked_for_or_the_nearest_that_loses_nothing(
    format: AudioFormat, asked_hz: int | None, native_hz: int, chosen_hz: int
) -> None:
    output = OutputSpec(format=format, sample_rate_hz=asked_hz)

    assert choose_rate(output, native_hz) == chosen_hz


@given(native_hz=st.integers(8000, 192_000), format=st.sampled_from(FORMATS))
def test_every_format_can_hold_the_chosen_rate(native_hz: int, format: AudioFormat) -> None:
    chosen_hz = choose_rate(OutputSpec(format=format), native_hz)

    holds = RATES_OF.get(format, (native_hz,))
    assert chosen_hz in holds
    assert chosen_hz >= min(native_hz, max(holds))


@pytest.mark.skipif(not FULL_DISK.exists(), reason="needs /dev/full")
@pytest.mark.parametrize("format", FORMATS)
def test_a_full_disk_is_told_at_the_write_that_does_not_fit(format: AudioFormat) -> None:
    writer = AudioWriter(FULL_DISK, format, 8000)

    with held_bytes(4096), pytest.raises(OSError) as raised:
        writer.write(tone(8000, 30.0))

    assert raised.value.errno == errno.ENOSPC
    with pytest.raises(OSError):
        writer.close()


@pytest.mark.skipif(not FULL_DISK.exists(), reason="needs /dev/full")
@pytest.mark.parametrize("format", FORMATS)
def test_a_file_that_never_left_the_encoder_fails_at_its_end(format: AudioFormat) -> None:
    writer = AudioWriter(FULL_DISK, format, 8000)

    with pytest.raises(OSError) as raised:
        try:
            writer.write(tone(8000, 0.01))
        finally:
            writer.close()

    assert raised.value.errno == errno.ENOSPC


def test_a_wav_is_refused_where_its_header_could_no_longer_count_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.audio.MAX_WAV_SAMPLES", 8000)
    wav = AudioWriter(tmp_path / "wav", "wav", 8000)
    flac = AudioWriter(tmp_path / "flac", "flac", 8000)

    for writer in (wav, flac):
        writer.write(tone(8000))
    flac.write(tone(8000))
    with pytest.raises(StoreFailed, match="flac"):
        wav.write(tone(8000))
    for writer in (wav, flac):
        writer.close()


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros((10, 2), dtype=np.float32),
        np.zeros(10, dtype=np.float64),
        np.array([0.0, np.nan], dtype=np.float32),
        np.array([0.0, np.inf], dtype=np.float32),
    ],
    ids=["stereo", "float64", "not a number", "infinite"],
)
def test_samples_that_are_no_audio_are_refused(samples: Samples) -> None:
    with pytest.raises(BadAudio):
        check_samples(samples)


def test_one_row_of_finite_samples_is_audio() -> None:
    check_samples(np.zeros(0, dtype=np.float32))
    check_samples(tone(8000))


@pytest.mark.parametrize("format", ["", "ogg", "WAV", "../wav", "wav/../../wav"])
def test_a_file_name_is_made_of_known_formats_alone(format: AudioFormat) -> None:
    with pytest.raises(ValueError, match="no audio format"):
        file_name(format)
