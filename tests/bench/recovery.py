"""How soon the jobs of a killed worker run again under `voicefarm up`, with one worker and two.

python -m tests.bench.recovery
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from pathlib import Path

from producer import JobState, VoiceFarm
from producer.embedded import EmbeddedBroker
from tests.integration.up_process import Up, pid_of

#: Kills of each kind.
TRIES = 3

#: Fake engine: eight jobs at a time, each some seconds long.
SETTINGS = {
    "VOICEFARM_SLOTS": "8",
    "VOICEFARM_INTERACTIVE_SHARE": "0",
    "VOICEFARM_FAKE_SPEED": "0.1",
}


def recovery_s(directory: Path, workers: int) -> tuple[int, float]:
    """Kill a worker that runs jobs; return how many, and seconds until all run again."""
    home = directory / "farm"
    up = Up(home, directory, f"--workers-per-gpu={workers}", **SETTINGS).ready()
    try:
        with VoiceFarm(EmbeddedBroker.find_url(home), home=home) as farm:
            while len(farm.workers(0.3)) < workers:
                pass
            jobs = farm.submit_many(f"line number {n}" for n in range(8))
            while not all(job.status is JobState.RUNNING for job in jobs):
                time.sleep(0.01)
            node = jobs[0].row().node
            lost = [job for job in jobs if job.row().node == node]
            killed_s = time.monotonic()
            os.kill(pid_of(home, f" worker -n {node} "), signal.SIGKILL)
            while not all(job.row().attempts == 2 for job in lost):
                time.sleep(0.01)
            took_s = time.monotonic() - killed_s
            assert {job.wait(180) for job in jobs} == {JobState.DONE}
            return len(lost), took_s
    finally:
        up.process.send_signal(signal.SIGTERM)
        up.process.communicate(timeout=60)


def main() -> None:
    """Print a line for each kill."""
    for workers in (1, 2):
        for _ in range(TRIES):
            with tempfile.TemporaryDirectory() as directory:
                lost, took_s = recovery_s(Path(directory), workers)
            print(f"{workers} workers: {lost} jobs lost, all ran again after {took_s:.2f} s")


if __name__ == "__main__":
    main()
