"""Workers that are killed: everything is done once, and soon."""

from __future__ import annotations

import random
import time

import pytest
from crew import Crew
from evidence import LEASE_S, RECOVERY_S, Answers, assert_settled

from producer import JobState
from producer.queues import LEASES_KEY
from tests.conftest import eventually
from worker.lease import release

pytestmark = [pytest.mark.service, pytest.mark.slow]

#: Who is killed by chance, how often, and how many jobs come in between.
KILLS = 40
JOBS_A_KILL = 50

#: Where every second job is cancelled.
CANCELLING_KILLS = 8

#: For all that came last to be done, with a lease that runs out.
REST_S = 300.0


@pytest.mark.parametrize("reaped", [False, True], ids=["lost host", "known to be dead"])
def test_the_eight_jobs_of_a_killed_worker_run_again_in_time_and_are_done_once(
    worker, farm, client, journal, report, reaped
):
    # Its jobs take longer than it takes the next one to be ready.
    dying = worker("dying", fake_speed=0.4)
    jobs = farm.submit_many(f"line number {n}, " * 15 for n in range(8))
    eventually(lambda: len(journal.begun()) == 8)
    worker("next", fake_speed=20)

    dying.process.kill()
    dying.process.wait()
    killed_s = time.monotonic()
    if reaped:
        release(client, "dying@test")
    eventually(lambda: all(n == 2 for n in journal.begun().values()), LEASE_S + RECOVERY_S + 30)
    took_s = time.monotonic() - killed_s

    assert [job.wait(60) for job in jobs] == [JobState.DONE] * 8
    assert_settled(farm, jobs)
    assert set(journal.begun().values()) == {2}
    assert took_s < (5.0 if reaped else LEASE_S + RECOVERY_S)
    name = f"kill -9 with 8 jobs running, {'reaped' if reaped else f'lease of {LEASE_S:g} s'}"
    report(name, tried=8, lost=0, twice=0, rerun=8, seconds=took_s)


def test_forty_kills_at_random_while_two_thousand_jobs_flow(worker, farm, client, journal, report):
    chance = random.Random(40)
    answers = Answers(client)
    jobs = []

    def start(name: str):
        return worker(name, ready=False, fake_speed=4)

    began_s = time.monotonic()
    with Crew(start, ["one", "two", "three"]) as crew:
        for _ in range(KILLS):
            first = len(jobs)
            jobs += farm.submit_many(f"line number {first + n:04}" for n in range(JOBS_A_KILL))
            time.sleep(chance.uniform(0.2, 1.0))
            holding = eventually(lambda: client.hvals(LEASES_KEY))
            crew.kill(chance.choice(sorted(holding)).partition("@")[0])
        ended = dict(farm.follow([job.id for job in jobs], REST_S))
        took_s = time.monotonic() - began_s
        assert_settled(farm, jobs)
        deaths = crew.deaths
    answers.close()

    assert set(ended.values()) == {JobState.DONE}
    assert (len(ended), len(answers.told), set(answers.told.values())) == (2000, 2000, {1})
    assert deaths >= KILLS / 2
    rerun = sum(n > 1 for n in journal.begun().values())
    name = f"kill -9 at random, {KILLS} times ({deaths} deaths)"
    report(name, tried=2000, lost=0, twice=0, rerun=rerun, seconds=took_s)


def test_of_jobs_that_are_cancelled_among_kills_each_ends_once_and_the_others_are_done(
    worker, farm, client, journal, report
):
    chance = random.Random(12)
    answers = Answers(client)
    kept, unwanted = [], []

    def start(name: str):
        return worker(name, ready=False, fake_speed=4)

    began_s = time.monotonic()
    with Crew(start, ["one", "two"]) as crew:
        for wave in range(CANCELLING_KILLS):
            jobs = farm.submit_many(f"wave {wave}, line {n:02}" for n in range(JOBS_A_KILL))
            kept += jobs[::2]
            time.sleep(chance.uniform(0.1, 0.5))
            # By now some of them run, some wait, and some have ended.
            for job in jobs[1::2]:
                job.cancel()
            unwanted += jobs[1::2]
            holding = eventually(lambda: client.hvals(LEASES_KEY))
            crew.kill(chance.choice(sorted(holding)).partition("@")[0])
        ended = dict(farm.follow([job.id for job in kept + unwanted], REST_S))
        took_s = time.monotonic() - began_s
        assert_settled(farm, kept, unwanted)
        deaths = crew.deaths
    answers.close()

    count = len(kept) + len(unwanted)
    assert deaths >= CANCELLING_KILLS / 2
    cancelled = {job.id for job in unwanted if ended[job.id] is JobState.CANCELLED}
    # Some of them ran, others waited.
    assert cancelled & journal.begun().keys()
    assert cancelled - journal.begun().keys()
    assert (len(ended), len(answers.told), set(answers.told.values())) == (count, count, {1})
    rerun = sum(n > 1 for n in journal.begun().values())
    name = f"every second job cancelled, kill -9 at random, {CANCELLING_KILLS} times"
    report(name, tried=count, lost=0, twice=0, rerun=rerun, seconds=took_s)
