"""Recordings as they are read and judged, before any model is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.worker.engine.xtts.recordings import recorded
from worker.engine.xtts.errors import BadSample
from worker.engine.xtts.sample import Sample, read_sample
from worker.engine.xtts.sample_check import Verdict, faults_together, judge

HEARD_S = 30


def test_channels_become_their_mean(tmp_path):
    recording = recorded(1, 44100, channels=2)

    sample = read_sample(recording.write(tmp_path / "a.wav"), HEARD_S)

    assert (sample.rate_hz, sample.channels, sample.duration_s) == (44100, 2, 1.0)
    assert np.abs(sample.audio - recording.frames.mean(axis=1)).max() < 1e-4


@pytest.mark.parametrize("name", ["a.flac", "a.ogg", "a.mp3"])
def test_compressed_files_are_read_too(tmp_path, name):
    recording = recorded(2, 44100)
    soundfile.write(tmp_path / name, recording.frames, recording.rate_hz)

    sample = read_sample(tmp_path / name, HEARD_S)

    assert sample.duration_s == pytest.approx(2, abs=0.1)
    assert np.sqrt((sample.audio**2).mean()) == pytest.approx(
        np.sqrt((recording.frames**2).mean()), rel=0.1
    )


def test_of_a_long_file_only_the_beginning_is_read(tmp_path):
    sample = read_sample(recorded(40, 8000).write(tmp_path / "a.wav"), HEARD_S)

    assert sample.duration_s == 40
    assert len(sample.audio) == 8000 * (HEARD_S + 1)


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.wav", b"RIFF, or so it says"), ("a.wav", b""), ("a.txt", b"Hello"), ("a", b"x" * 999)],
)
def test_what_is_no_audio_is_refused_by_its_name(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)

    with pytest.raises(BadSample, match=f"^{name}: is no audio file"):
        read_sample(tmp_path / name, HEARD_S)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(BadSample, match=r"gone\.wav"):
        read_sample(tmp_path / "gone.wav", HEARD_S)


@pytest.mark.parametrize(
    ("frames", "words"),
    [(np.zeros(0, np.float32), "holds no audio"), (np.full(9, np.nan, np.float32), "not finite")],
)
def test_files_without_a_number_in_them_are_refused(tmp_path, frames, words):
    soundfile.write(tmp_path / "a.wav", frames, 22050, subtype="FLOAT")

    with pytest.raises(BadSample, match=words):
        read_sample(tmp_path / "a.wav", HEARD_S)


def test_the_hash_is_that_of_the_sound_whatever_the_file(tmp_path):
    frames = (recorded(1, 22050).frames * 32767).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", frames, 22050)
    soundfile.write(tmp_path / "b.flac", frames, 22050)

    one, other = (read_sample(tmp_path / name, HEARD_S) for name in ("a.wav", "b.flac"))

    assert one.sha256 == other.sha256
    assert replace(one, rate_hz=22049).sha256 != one.sha256
    assert replace(one, audio=-one.audio).sha256 != one.sha256


def test_a_good_sample_has_neither_faults_nor_remarks():
    verdict = judge(recorded(12, 44100).sample, HEARD_S)

    assert (verdict.faults, verdict.remarks) == ((), ())
    assert verdict.sound_s == pytest.approx(12, abs=0.1)
    assert -12 < verdict.peak_dbfs < -3


def silence(duration_s: float) -> Sample:
    return Sample(np.zeros(round(22050 * duration_s), np.float32), 22050, 1, duration_s)


def between_silences(sample: Sample, duration_s: float) -> Sample:
    quiet = silence(duration_s).audio
    audio = np.concatenate([quiet, sample.audio, quiet])
    return replace(sample, audio=audio, duration_s=len(audio) / 22050)


def scaled(sample: Sample, gain: float) -> Sample:
    return replace(sample, audio=sample.audio * np.float32(gain))


def clipped(sample: Sample, share: float) -> Sample:
    audio = sample.audio.copy()
    audio[:: round(1 / share)] = 1
    return replace(sample, audio=audio)


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        (recorded(2.5, 22050).sample, "too short: 2.5 s of sound, at least 3 s"),
        (between_silences(recorded(2, 22050).sample, 5), "too short: 2.0 s of sound"),
        (silence(10), "silent: its peak is -inf dBFS"),
        (scaled(recorded(10, 22050).sample, 0.003), "silent: its peak is -62 dBFS"),
        (clipped(recorded(10, 22050).sample, 0.02), "clipped: 2.0% of it"),
    ],
)
def test_faults_are_told_with_their_numbers(sample, words):
    [fault] = judge(sample, HEARD_S).faults

    assert fault.startswith(words)


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        (recorded(5, 22050).sample, "short: 5.0 s of sound, 6 s are better"),
        (recorded(40, 22050).sample, "long: of 40.0 s the first 30 s are heard"),
        (recorded(10, 8000).sample, "dull: 8000 Hz"),
        (clipped(recorded(10, 22050).sample, 0.001), "a little clipped: 0.10%"),
    ],
)
def test_what_is_worth_knowing_is_no_fault(sample, words):
    verdict = judge(sample, HEARD_S)

    assert verdict.faults == ()
    [remark] = verdict.remarks
    assert remark.startswith(words)


def test_several_short_ones_are_enough_together():
    verdicts = [
        judge(recorded(length_s, 22050).sample, HEARD_S, alone=False) for length_s in (1.2, 2)
    ]

    assert all(not verdict.faults for verdict in verdicts)
    assert faults_together(verdicts) == ()
    assert faults_together(verdicts[:1])[0].startswith("too short: 1.2 s")


@given(
    st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=300),
    st.sampled_from([8000, 22050, 48000]),
    st.booleans(),
)
def test_anything_can_be_judged(values, rate_hz, alone):
    audio = np.array(values, np.float32)

    verdict = judge(Sample(audio, rate_hz, 1, len(audio) / rate_hz), HEARD_S, alone=alone)

    assert isinstance(verdict, Verdict)
    assert verdict.faults
    assert 0 <= verdict.clipped_share <= 1
    assert verdict.sound_s <= verdict.duration_s + 1e-9
