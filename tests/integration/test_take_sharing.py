"""Takes on a real farm: what one job has spoken no other speaks again, nor itself after a death."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import soundfile

from producer import JobState
from tests.conftest import eventually
from worker.rendition import AHEAD_BATCHES

pytestmark = pytest.mark.service


@pytest.fixture
def journal(tmp_path) -> Path:
    return tmp_path / "journal"


def sentences(count: int, kind: str = "number") -> list[str]:
    """Each is a chunk of its own."""
    return [
        f"This is sentence {kind} {n:03} of a text, and it is so long. ".ljust(200, "x") + "."
        for n in range(count)
    ]


def begun(journal: Path) -> Counter[str]:
    """How often a chunk of each job was begun."""
    lines = journal.read_text().splitlines() if journal.exists() else []
    begun = (line.split()[2] for line in lines if line.startswith("begin "))
    return Counter(chunk.partition(".")[0] for chunk in begun)


def test_jobs_at_the_same_time_share_takes_and_an_edited_text_speaks_only_what_is_new(
    start_worker, farm, journal
):
    start_worker(slots=4, fake_speed=80, fake_journal=journal)
    spoken = sentences(12)
    edited = [*spoken[:7], *sentences(1, "that is new"), *spoken[8:]]

    jobs = [
        farm.submit(" ".join(spoken), format=format, priority="batch") for format in ("wav", "flac")
    ]
    wav, flac = (soundfile.read(job.result(60).path)[0].tolist() for job in jobs)
    other = farm.submit(" ".join(edited))
    other.result(30)

    assert wav == flac
    assert begun(journal).pop(other.id) == 1
    assert begun(journal).total() == 12 + 1
    assert sum(job.row().reused for job in jobs) == 12
    assert other.row().reused == 11


def test_a_long_job_whose_worker_was_killed_goes_on_where_it_was(start_worker, farm, journal):
    slots, chunks = 4, 30
    dying = start_worker("dying", slots=slots, fake_speed=30, fake_journal=journal, lease_s=3)
    job = farm.submit(" ".join(sentences(chunks)))
    eventually(lambda: job.row().chunks_done >= 15)

    dying.process.kill()
    dying.process.wait()
    done = job.row().chunks_done
    start_worker("next", slots=slots, fake_journal=journal, lease_s=3)

    assert job.wait(60) is JobState.DONE
    # Again: what was in the engine or waited to be kept when it died.
    assert begun(journal)[job.id] <= chunks + AHEAD_BATCHES * slots
    assert done <= job.row().reused < chunks
