"""A real worker with XTTS in an engine process, on a tiny checkpoint: a job becomes a file."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import soundfile

from producer import InvalidJob, VoiceFarm
from tests.conftest import eventually, facts_of, missing

pytestmark = pytest.mark.service

#: The engine process imports coqui-tts first.
PATIENCE_S = 60.0


@pytest.fixture
def models(home: Path) -> Path:
    """The farm's models, with a tiny checkpoint among them."""
    if importlib.util.find_spec("TTS") is None:
        missing("coqui-tts")
    from tests.unit.worker.engine.xtts.tiny_checkpoint import write_checkpoint

    write_checkpoint(home / "models" / "xtts")
    return home / "models"


def test_jobs_become_files_and_one_that_cannot_be_spoken_fails_alone(models, start_worker, farm):
    start_worker(engine="auto", device="cpu")

    spoken = [
        farm.submit("Hello from the farm.", voice="alice"),
        farm.submit("São 3 horas.", voice="bob", language="pt", speed=1.5),
        farm.submit("मेरे पास 42 किताबें", language="hi"),
    ]
    numbers = farm.submit("1234567890 " * 20, voice="alice")
    too_long = farm.submit("a" * 249, voice="alice")

    for job in spoken:
        result = job.result(PATIENCE_S)
        samples, rate_hz = soundfile.read(result.path)
        assert rate_hz == 24000
        assert len(samples) > 1000
        assert abs(samples).max() > 0.1
    assert too_long.result(PATIENCE_S).path.exists()
    # So many digits make more tokens than the model takes at once.
    numbers.result(PATIENCE_S)
    row = numbers.row()
    assert row.chunks_done == row.chunks > 1
    if importlib.util.find_spec("cutlet") is None:
        with pytest.raises(InvalidJob, match="'ja'"):
            farm.submit("日本語", language="ja")
    facts = facts_of(farm)
    assert facts["state"] == "ready"
    assert facts["revision"].startswith("xtts-")
    assert facts["engine"] == "xtts"


def test_a_voice_is_offered_changed_and_withdrawn_while_the_worker_runs(
    models, start_worker, farm, tmp_path
):
    start_worker(engine="xtts", device="cpu")
    with pytest.raises(InvalidJob, match="no voice 'anna'"):
        farm.submit("Hello from the farm.", voice="anna")

    add("anna", models, tmp_path, seed=1)
    eventually(lambda: "anna" in offered(farm))
    first = farm.submit("Hello from the farm.", voice="anna").result(PATIENCE_S)
    eventually(lambda: facts_of(farm).get("voices") == 4)

    revision = offered(farm)["anna"]
    add("anna", models, tmp_path, seed=2)
    eventually(lambda: offered(farm)["anna"] != revision)
    second = farm.submit("Hello from the farm.", voice="anna").result(PATIENCE_S)
    assert first.sha256 != second.sha256

    (models / "voices" / "anna.safetensors").unlink()
    eventually(lambda: "anna" not in offered(farm))
    with VoiceFarm(farm.broker.url, home=models.parent) as other:
        assert set(offered(other)) == {"alice", "bob", "default"}
        with pytest.raises(InvalidJob, match="no voice 'anna'"):
            other.submit("Hello from the farm.", voice="anna")


def offered(farm: VoiceFarm) -> dict[str, str]:
    """The voices that clients see, with their revisions."""
    return {voice.name: voice.revision for voice in farm.voices().voices}


def add(name: str, models: Path, tmp_path: Path, seed: int) -> None:
    """Make a voice of noise, as `voices add` does."""
    from worker.cloning import add_voice
    from worker.config import WorkerSettings

    recording = tmp_path / f"{seed}.wav"
    noise = np.random.default_rng(seed).standard_normal(7 * 16000)
    soundfile.write(recording, (0.3 * noise / abs(noise).max()).astype(np.float32), 16000)
    add_voice(WorkerSettings.load(home=models.parent), name, [recording])
