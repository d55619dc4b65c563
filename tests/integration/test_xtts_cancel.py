"""A job of a real worker with XTTS is cancelled in the middle of a take."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, Final

import pytest
import soundfile

from producer import JobCancelled, JobState
from tests.conftest import eventually, facts_of, missing

pytestmark = pytest.mark.service

#: The engine process imports coqui-tts first.
PATIENCE_S: Final = 90.0

#: The most codes of a take, half a minute or more of steps on a processor; and of one step of the
#: engine (`BURST_STEPS`).
MAX_CODES: Final = 20_000
CODES_A_STEP: Final = 8

#: Drawn so, the model of this test repeats itself until it meets its limit; and so it soon ends.
ENDLESS: Final[dict[str, Any]] = {"top_k": 1, "repetition_penalty": 1.0, "seed": 1}
ENDING: Final[dict[str, Any]] = {
    "temperature": 2.0,
    "top_k": 1024,
    "top_p": 1.0,
    "repetition_penalty": 1.0,
    "seed": 1,
}


@pytest.fixture
def endless_model(home: Path) -> None:
    """A tiny checkpoint that may speak for very long."""
    if importlib.util.find_spec("TTS") is None:
        missing("coqui-tts")
    from tests.unit.worker.engine.xtts.tiny_checkpoint import write_checkpoint

    directory = home / "models" / "xtts"
    write_checkpoint(directory, stop_bias=-2.0, max_audio_tokens=MAX_CODES)


def test_a_row_leaves_the_batch_in_the_middle_of_its_take_and_its_neighbour_goes_on(
    endless_model, start_worker, farm
):
    start_worker(engine="xtts", device="cpu", slots=2, guard="false")
    victim = farm.submit("This will be very long.", voice="alice", **ENDLESS)
    eventually(lambda: facts_of(farm)["active"] == 1)
    begun = facts_of(farm)["steps"]
    eventually(lambda: facts_of(farm)["steps"] > begun)
    neighbour = farm.submit("Hello there", voice="bob", **ENDING)

    victim.cancel()

    with pytest.raises(JobCancelled):
        victim.result(PATIENCE_S)
    result = neighbour.result(PATIENCE_S)
    assert len(soundfile.read(result.path)[0]) > 1000
    assert (victim.status, neighbour.status) == (JobState.CANCELLED, JobState.DONE)
    eventually(lambda: facts_of(farm)["active"] == 0)
    after = facts_of(farm)
    # The one take is the neighbour's, and far fewer steps were made than the victim's whole take.
    assert after["takes"] == 1
    assert after["steps"] * CODES_A_STEP < MAX_CODES
    # Its row is free: two more are spoken.
    more = [farm.submit(text, voice="bob", **ENDING) for text in ("One more", "And another")]
    for job in more:
        job.result(PATIENCE_S)
