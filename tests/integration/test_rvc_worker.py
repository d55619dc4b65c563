"""A real worker with RVC in its engine process, on tiny networks: the audio is the converter's."""

from __future__ import annotations

import importlib.util
import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from producer import InvalidJob, JobFailed, VoiceFarm
from producer.state import Reason
from tests.conftest import eventually, facts_of, missing

# Where torch is missing, nothing below can be imported.
# ruff: noqa: E402
torch = pytest.importorskip("torch")

from worker.engine.fake import tones
from worker.engine.request import ChunkRequest

pytestmark = pytest.mark.service

#: The engine process imports torch first, and every machine here is shared.
PATIENCE_S = 120.0

#: Of 16 bit, and of float32 in another order.
EQUAL = 2 / 32768


@pytest.fixture
def models(home: Path, tmp_path: Path) -> Path:
    """The farm's RVC files: tiny networks in the true formats, and two voices."""
    if importlib.util.find_spec("transformers") is None:
        missing("transformers")
    from tests.unit.worker.engine.rvc.peers import peer_module
    from tests.unit.worker.engine.rvc.tiny_hubert import TinyHubert
    from tests.unit.worker.engine.rvc.tiny_index import write_index
    from tests.unit.worker.engine.rvc.tiny_rmvpe import TinyRmvpe
    from tests.unit.worker.engine.rvc.tiny_voice import write_voice
    from worker.engine.rvc.library import RvcLibrary

    directory = home / "models" / "rvc"
    directory.mkdir(parents=True)
    TinyHubert(768, 2, 12).write_fairseq(directory / "hubert_base.pt")
    TinyRmvpe(peer_module("rvc_python", "lib.rmvpe")).write(directory / "rmvpe.pt")
    library = RvcLibrary(directory / "voices")
    index = write_index(tmp_path / "carl.index", 768)
    model = write_voice(tmp_path / "carl.pth", "v2", 40000, seed=1)
    library.add("carl", model, index, median_hz=180.0)
    library.add("zoe", write_voice(tmp_path / "zoe.pth", "v1", 32000, f0=False, seed=2))
    return directory


@pytest.fixture
def converted(models: Path) -> Callable[..., np.ndarray[Any, Any]]:
    """What the converter itself makes of samples."""
    from worker.engine.rvc.clip import Clip, Conversion
    from worker.engine.rvc.content import Content
    from worker.engine.rvc.content_file import read_content
    from worker.engine.rvc.converter import Converter
    from worker.engine.rvc.library import RvcLibrary
    from worker.engine.rvc.pitch import Pitch
    from worker.engine.rvc.rmvpe_file import read_rmvpe
    from worker.engine.rvc.synthesizer import Synthesizer
    from worker.engine.rvc.voices import VoiceShelf

    converter = Converter(
        Content(read_content(models / "hubert_base.pt")),
        Pitch(read_rmvpe(models / "rmvpe.pt")),
        Synthesizer(),
    )
    shelf = VoiceShelf(RvcLibrary(models / "voices"), device_bytes=1 << 30)

    def convert(
        samples: np.ndarray[Any, Any], rate_hz: int, voice: str, seed: int, **given: Any
    ) -> np.ndarray[Any, Any]:
        conversion = Conversion(**{"length": "exact", **given})
        wave = torch.from_numpy(samples.astype(np.float32))
        clip = Clip(wave, rate_hz, shelf.acquire(voice), conversion, seed=seed)
        [found] = converter.convert([clip])
        assert isinstance(found, torch.Tensor)
        return found.numpy()

    return convert


def wav(samples: np.ndarray[Any, Any], rate_hz: int, subtype: str = "FLOAT") -> bytes:
    content = io.BytesIO()
    soundfile.write(content, samples, rate_hz, subtype, format="WAV")
    return content.getvalue()


def noise(count: int, channels: int = 1, seed: int = 0) -> np.ndarray[Any, Any]:
    shape = (count, channels) if channels > 1 else count
    return np.random.default_rng(seed).normal(0, 0.1, shape).astype(np.float32)


def test_speech_and_recordings_are_what_the_converter_gives(
    models, converted, start_worker, farm, tmp_path
):
    start_worker(device="cpu")
    text = "Hello from the farm."
    file = tmp_path / "telephone.wav"
    stereo = noise(12000, channels=2)
    file.write_bytes(wav(stereo, 8000))

    spoken = farm.submit(text, seed=7, convert={"voice": "carl", "pitch": 2}).result(PATIENCE_S)
    recorded = farm.convert(file, voice="zoe", seed=3, length="compat").result(PATIENCE_S)

    samples, rate_hz = soundfile.read(spoken.path, dtype="float32")
    said = tones(ChunkRequest("", text, "en", "default", 7))
    expected = converted(said, 24000, "carl", seed=7, pitch=2)
    assert rate_hz == 40000
    assert len(samples) == len(expected) == round(len(said) * 40 / 24)
    assert np.abs(samples).max() > 0.001
    assert np.allclose(samples, expected, atol=EQUAL)
    samples, rate_hz = soundfile.read(recorded.path, dtype="float32")
    assert rate_hz == 32000
    assert np.allclose(
        samples, converted(stereo.mean(1), 8000, "zoe", seed=3, length="compat"), atol=EQUAL
    )


def test_many_jobs_of_both_kinds_share_the_engine_and_each_gets_its_own(
    models, converted, start_worker, farm, tmp_path
):
    start_worker(device="cpu")
    files = []
    for number in range(6):
        file = tmp_path / f"{number}.wav"
        file.write_bytes(wav(noise(6000 + 999 * number, seed=number), 16000))
        files.append(file)

    jobs = [
        farm.convert(file, voice=("carl", "zoe")[number % 2], seed=number, priority="batch")
        for number, file in enumerate(files)
    ]
    speech = farm.submit_many(["One.", "Two.", "Three."], convert="zoe", seed=1)
    plain = farm.submit("Four.")

    for number, job in enumerate(jobs):
        samples, _ = soundfile.read(job.result(PATIENCE_S).path, dtype="float32")
        wave = noise(6000 + 999 * number, seed=number)
        expected = converted(wave, 16000, ("carl", "zoe")[number % 2], seed=number)
        assert np.allclose(samples, expected, atol=EQUAL)
    assert {job.result(PATIENCE_S).sample_rate_hz for job in speech} == {32000}
    assert plain.result(PATIENCE_S).sample_rate_hz == 24000


def test_a_speaker_is_moved_to_the_middle_of_a_voice_whose_middle_is_known(
    models, converted, start_worker, farm, tmp_path
):
    start_worker(device="cpu")
    wave, file = noise(16000), tmp_path / "speech.wav"
    file.write_bytes(wav(wave, 16000))

    moved = farm.convert(file, voice="carl", seed=3, pitch="auto").result(PATIENCE_S)
    plain = farm.convert(file, voice="carl", seed=3).result(PATIENCE_S)

    samples, _ = soundfile.read(moved.path, dtype="float32")
    assert np.allclose(samples, converted(wave, 16000, "carl", seed=3, pitch="auto"), atol=EQUAL)
    assert moved.sha256 != plain.sha256
    with pytest.raises(InvalidJob, match="'zoe' was trained without pitch"):
        farm.convert(file, voice="zoe", pitch="auto")


def lying(content: bytes) -> bytes:
    """Claim four gigabytes."""
    place = content.index(b"data") + 4
    return content[:4] + b"\xff" * 4 + content[8:place] + struct.pack("<I", 2**32 - 1) + content[
        place + 4 :
    ]  # fmt: skip


def test_bad_audio_ends_with_a_reason_or_is_right_and_harms_nobody(
    models, start_worker, farm, tmp_path
):
    start_worker(device="cpu")
    broken = noise(8000)
    broken[4000] = np.nan
    contents = {
        "text": (b"Dear diary, this is no audio at all.", "no audio that can be read"),
        "nan": (wav(broken, 16000), "not finite"),
        "short": (wav(noise(18), 16000), "18 samples at 16 kHz"),
        "slow": (wav(noise(4000), 1000), "1000 Hz"),
        "silence": (wav(np.zeros(16000), 16000), None),
        "liar": (lying(wav(noise(16000), 16000, "PCM_16")), None),
        "good": (wav(noise(16000), 16000), None),
    }

    jobs = {}
    for name, (content, _) in contents.items():
        (tmp_path / f"{name}.wav").write_bytes(content)
        jobs[name] = farm.convert(tmp_path / f"{name}.wav", voice="carl")

    for name, (_, words) in contents.items():
        if words is None:
            assert jobs[name].result(PATIENCE_S).duration_s == pytest.approx(1.0, abs=0.001)
            continue
        with pytest.raises(JobFailed, match=words) as failed:
            jobs[name].result(PATIENCE_S)
        assert failed.value.reason == Reason.UNFIT_AUDIO
    assert facts_of(farm).get("deaths") == 0


def test_a_voice_that_is_added_is_converted_into_without_a_restart(
    models, start_worker, farm, redis_url, home, tmp_path
):
    from tests.unit.worker.engine.rvc.tiny_voice import write_voice
    from worker.engine.rvc.library import RvcLibrary

    start_worker(device="cpu")
    with pytest.raises(InvalidJob, match="no RVC voice 'tina'"):
        farm.submit("Hello.", convert="tina")

    RvcLibrary(models / "voices").add("tina", write_voice(tmp_path / "t.pth", "v2", 48000, seed=5))

    def targets() -> set[str]:
        with VoiceFarm(redis_url, home=home) as other:
            return {voice.name for voice in other.voices().targets}

    eventually(lambda: "tina" in targets(), PATIENCE_S)
    assert targets() == {"carl", "tina", "zoe"}
    assert farm.submit("Hello.", convert="tina").result(PATIENCE_S).sample_rate_hz == 48000


def test_a_voice_whose_file_is_damaged_ends_its_jobs_with_its_name_until_it_is_added_again(
    models, start_worker, farm, tmp_path
):
    # Given a voice that is damaged behind its card, after the worker has offered it
    start_worker(device="cpu")
    file, speech = models / "voices" / "carl.safetensors", tmp_path / "speech.wav"
    content = bytearray(file.read_bytes())
    content[-4:] = b"\xff\xff\xff\x7f"
    file.write_bytes(content)
    speech.write_bytes(wav(noise(16000), 16000))

    # When somebody wants it, and somebody else another one
    spoken, recorded = farm.submit("Hello.", convert="carl"), farm.convert(speech, voice="carl")
    other = farm.convert(speech, voice="zoe")

    # Then those who want it learn which file is bad, and nobody else notices
    for job in (spoken, recorded):
        with pytest.raises(JobFailed, match=r"carl\.safetensors") as failed:
            job.result(PATIENCE_S)
        assert failed.value.reason == job.row().reason == Reason.BAD_CHECKPOINT
    assert other.result(PATIENCE_S).path.exists()

    # When the same voice is added again, then the same jobs are done
    from worker.engine.rvc.library import RvcLibrary

    library = RvcLibrary(models / "voices")
    library.add("carl", tmp_path / "carl.pth", tmp_path / "carl.index", median_hz=180.0)
    recorded.retry()
    assert recorded.result(PATIENCE_S).duration_s == pytest.approx(1.0, abs=0.001)


def test_a_voice_whose_file_cannot_be_read_at_all_is_refused_by_name(models, start_worker, farm):
    start_worker(device="cpu")
    (models / "voices" / "zoe.safetensors").write_bytes(b"no voice")

    eventually(lambda: any(one.target_faults for one in farm.voices().offers), PATIENCE_S)
    with pytest.raises(InvalidJob, match=r"'zoe' cannot be used: .*zoe\.safetensors"):
        farm.submit("Hello.", convert="zoe")


def test_a_farm_that_lacks_a_network_says_which_and_speaks_on(models, start_worker, farm):
    (models / "rmvpe.pt").unlink()
    start_worker(device="cpu")

    with pytest.raises(InvalidJob, match=r"rmvpe\.pt"):
        farm.submit("Hello.", convert="carl")
    assert farm.submit("Hello.").result(PATIENCE_S).path.exists()


def test_what_espeak_says_is_converted_too(models, start_worker, farm):
    if importlib.util.find_spec("espeakng_loader") is None:
        missing("espeakng_loader")
    start_worker(engine="espeak", device="cpu")

    plain = farm.submit("Hello from the farm.").result(PATIENCE_S)
    result = farm.submit("Hello from the farm.", convert="carl").result(PATIENCE_S)

    samples, rate_hz = soundfile.read(result.path)
    assert rate_hz == 40000
    assert result.duration_s == pytest.approx(plain.duration_s, abs=0.001)
    assert np.abs(samples).max() > 0.001


def test_xtts_and_rvc_live_together_in_one_engine(models, start_worker, farm, home):
    if importlib.util.find_spec("TTS") is None:
        missing("coqui-tts")
    from tests.unit.worker.engine.xtts.tiny_checkpoint import write_checkpoint

    write_checkpoint(home / "models" / "xtts")
    start_worker(engine="auto", device="cpu")

    plain = farm.submit("Hello from the farm. And again.", voice="alice", seed=4)
    other = farm.submit("Hello from the farm. And again.", voice="alice", seed=4, convert="carl")

    spoken, converted = plain.result(PATIENCE_S), other.result(PATIENCE_S)
    assert (spoken.sample_rate_hz, converted.sample_rate_hz) == (24000, 40000)
    assert converted.duration_s == pytest.approx(spoken.duration_s, abs=0.001)
    assert facts_of(farm)["engine"] == "xtts"
