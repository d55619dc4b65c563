"""Two workers of one farm: neither waits for the other, and nothing is done twice."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest

from producer import JobState
from tests.conftest import CHECKOUT, facts_of

pytestmark = pytest.mark.service


def test_the_fast_worker_is_not_idle_while_the_slow_one_holds_waiting_jobs(start_worker, farm):
    common = {"slots": 4, "interactive_share": 0}
    start_worker("slow", **common, fake_speed=1)
    start_worker("fast", **common, fake_speed=8)

    # Of some length, so that on a busy machine too it is speech that takes the time.
    jobs = farm.submit_many(f"line number {n:02} of a long poem " * 2 for n in range(72))
    ended = [(row.node, row.times) for row in (job.row() for job in jobs if job.wait(90))]

    by_node = {node: sum(n == node for n, _ in ended) for node in ("slow@test", "fast@test")}
    assert by_node["fast@test"] > 5 * by_node["slow@test"]
    # Nothing lay with the slow one unstarted: its last start is before the fast one's last end.
    last_start = max(t[JobState.RUNNING] for n, t in ended if n == "slow@test")
    last_end = max(t[JobState.DONE] for n, t in ended if n == "fast@test")
    assert last_start <= last_end


def test_a_hundred_jobs_of_ten_clients_on_two_workers_are_a_hundred_right_files(
    start_worker, farm, redis_url, home
):
    start_worker("one", slots=4)
    start_worker("two", slots=4)
    program = (
        "import sys; from producer import VoiceFarm; f = VoiceFarm(sys.argv[1], home=sys.argv[2]);"
        "[print(j.id) for j in f.submit_many(f'client {sys.argv[3]}, line {n}' for n in range(10))]"
    )
    clients = [
        subprocess.Popen(
            [sys.executable, "-c", program, redis_url, str(home), str(n)],
            cwd=CHECKOUT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(10)
    ]
    ids = [line for client in clients for line in client.communicate(timeout=60)[0].split()]

    results = [farm.job(job_id).result(60) for job_id in ids]

    assert len({result.path for result in results}) == 100
    for result in results:
        assert hashlib.sha256(result.path.read_bytes()).hexdigest() == result.sha256
    counts = {state: n for state, n in farm.counts().items() if n}
    assert counts == {JobState.DONE: 100}
    assert sum(facts_of(farm, node)["takes"] for node in ("one@test", "two@test")) == 100
    assert not any((home / "processed" / ".staging").iterdir())
    rows = [farm.job(job_id).row() for job_id in ids]
    assert {row.attempts for row in rows} == {1}
