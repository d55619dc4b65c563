"""Conversions with real workers: speech and recordings become the fake converter's voices."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from producer import AsyncVoiceFarm, InvalidJob, JobFailed, VoiceFarm, VolumeUnavailable
from producer.state import JobState, Reason
from tests.conftest import eventually, facts_of

pytestmark = pytest.mark.service

PATIENCE_S = 60.0


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Two seconds of noise in stereo."""
    samples = np.random.default_rng(1).normal(0, 0.1, (32000, 2))
    file = tmp_path / "my own recording.wav"
    soundfile.write(file, samples, 16000)
    return file


def test_speech_and_recordings_come_out_in_another_voice(start_worker, farm, recording):
    start_worker()

    plain = farm.submit("Hello from the farm.").result(PATIENCE_S)
    spoken = farm.submit("Hello from the farm.", convert="alien").result(PATIENCE_S)
    converted = farm.convert(recording, voice="robot", format="flac").result(PATIENCE_S)

    assert spoken.sample_rate_hz == 48000
    assert spoken.duration_s == pytest.approx(plain.duration_s, abs=0.001)
    assert spoken.sha256 != plain.sha256
    assert converted.path.suffix == ".flac"
    assert (converted.samples, converted.sample_rate_hz) == (48000, 24000)
    manifest = json.loads((converted.path.parent / "job.json").read_text())
    assert manifest["conversion"]["voice"].endswith("robot")
    assert manifest["job"]["upload"] == hashlib.sha256(recording.read_bytes()).hexdigest()


def test_equal_conversions_are_computed_once_and_others_are_not(start_worker, farm, recording):
    start_worker()

    jobs = [farm.convert(recording, voice="robot") for _ in range(5)]
    jobs += [farm.submit("Hello.", convert="robot") for _ in range(5)]
    keys = {job.result(PATIENCE_S).path for job in jobs}
    moved = farm.convert(recording, voice="robot", pitch=2).result(PATIENCE_S)

    assert len(keys) == 2
    assert moved.path not in keys
    assert facts_of(farm)["converted"] == 3


@pytest.mark.parametrize("process", ["inline", "own"])
def test_a_long_recording_is_converted_and_leaves_no_scratch(
    start_worker, farm, home, tmp_path, process
):
    rate_hz, seconds = 8000, 130
    file = tmp_path / "long.wav"
    samples = np.sin(np.arange(seconds * rate_hz) / 9).astype(np.float32) * 0.5
    soundfile.write(file, samples, rate_hz)
    start_worker(engine_process=process)

    result = farm.convert(file, voice="robot").result(PATIENCE_S)

    assert soundfile.info(result.path).frames == result.samples
    assert result.samples == seconds * 24000
    # But for the file in which workers lock their processors.
    assert [p for p in (home / "temp").iterdir() if not p.name.startswith("processors.")] == []


def test_bad_recordings_fail_with_a_reason_and_their_neighbours_do_not(
    start_worker, farm, recording, tmp_path
):
    start_worker()
    text = tmp_path / "text.wav"
    text.write_text("Dear diary")
    broken = tmp_path / "broken.wav"
    soundfile.write(broken, np.array([0.1, np.nan] * 8000), 16000, "FLOAT")

    jobs = [farm.convert(file, voice="robot") for file in (text, recording, broken, recording)]

    assert [job.wait(PATIENCE_S) for job in jobs] == [
        *(JobState.FAILED, JobState.DONE, JobState.FAILED, JobState.DONE)
    ]
    for job, words in ((jobs[0], "no audio"), (jobs[2], "not finite")):
        with pytest.raises(JobFailed, match=words) as failed:
            job.result(PATIENCE_S)
        assert failed.value.reason == Reason.UNFIT_AUDIO


def test_what_nobody_can_do_is_refused_before_it_is_queued(start_worker, farm, home, recording):
    start_worker()

    for field, refused in {
        "convert.voice": {"voice": "nobody"},
        "convert.pitch": {"voice": "whisper", "pitch": 1},
        "convert.protect": {"voice": "robot", "protect": 2},
    }.items():
        with pytest.raises(InvalidJob) as told:
            farm.convert(recording, **refused)
        assert told.value.field == field
    with pytest.raises(InvalidJob, match=r"'robo'.*Did you mean 'robot'"):
        farm.submit("Hello.", convert="robo")
    assert sum(farm.counts().values()) == 0
    assert list((home / "uploads").iterdir()) == []


def test_a_client_that_does_not_see_the_volume_is_told_so(
    start_worker, redis_url, tmp_path, recording
):
    start_worker()

    with (
        VoiceFarm(redis_url, home=tmp_path / "elsewhere") as stranger,
        pytest.raises(VolumeUnavailable, match="VOICEFARM_HOME"),
    ):
        stranger.convert(recording, voice="robot")


def test_a_worker_that_does_not_have_the_file_says_so(start_worker, farm, home, recording):
    start_worker(fake_load_s=0)
    key = hashlib.sha256(recording.read_bytes()).hexdigest()
    job = farm.convert(recording, voice="alien", priority="batch")
    job.wait(PATIENCE_S)
    (home / "uploads" / key[:2] / key).unlink()

    from producer.job import convert_job

    gone = farm._submitted(convert_job(key, voice="robot"), None, require_worker=False)

    with pytest.raises(JobFailed, match="not on this worker's volume"):
        gone.result(PATIENCE_S)


def test_a_conversion_can_be_cancelled(start_worker, farm, tmp_path):
    file = tmp_path / "long.wav"
    soundfile.write(file, np.zeros(600 * 8000, np.float32), 8000)
    start_worker(fake_speed=1, slots=1)
    # It has the only slot.
    speech = farm.submit("word " * 40)
    eventually(lambda: speech.status is JobState.RUNNING)

    job = farm.convert(file, voice="robot")
    assert job.cancel()

    assert job.wait(PATIENCE_S) is JobState.CANCELLED
    speech.cancel()


async def _converted(url: str, home: Path, file: Path) -> Path:
    async with AsyncVoiceFarm(url, home=home) as farm:
        job = await farm.convert(file, voice="robot")
        return await job.path()


def test_the_asyncio_twin_converts_too(start_worker, redis_url, home, recording):
    import asyncio

    start_worker()

    assert asyncio.run(_converted(redis_url, home, recording)).is_file()


def test_an_engine_in_a_process_of_its_own_converts_the_same(start_worker, farm, home, recording):
    worker = start_worker(engine_process="inline")
    inline = farm.convert(recording, voice="alien", pitch=3)
    first = inline.result(PATIENCE_S)
    worker.stop()
    first.path.unlink()

    start_worker("own", engine_process="own")
    second = farm.convert(recording, voice="alien", pitch=3).result(PATIENCE_S)

    assert second.sha256 == first.sha256
