"""An attempt ends in exactly one state, and Celery hears what it must."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
import redis
from celery.exceptions import Ignore, Reject

from producer.errors import InvalidJob, JobFailed, JobNotFound, UnsupportedSchema
from producer.job import SpeechJob
from producer.state import JobState
from worker.attempt import Attempt
from worker.engine.errors import ChunkFailed, EngineClosed, EngineDied, TakeCancelled
from worker.errors import ClaimLost, VolumeFull
from worker.job_request import HAND_BACK, OVERTIME
from worker.pool import TaskPool
from worker.solitude import Solitude


class MemoryLedger:
    """A ledger of one job that writes down every change."""

    def __init__(self) -> None:
        self.encoded: str | None = SpeechJob(text="hi").encode()
        self.changes: list[tuple[JobState, dict]] = []
        self.wants_cancel = False
        self.losses = 0
        self.on_change = lambda: None

    def start(self, job_id, node, now_s, token, tag):
        return None if self.encoded is None else (self.encoded, self.losses)

    def change(self, job_id, state, now_s, *, token, **fields):
        self.changes.append((state, fields))
        self.on_change()
        return True

    def progress(self, job_id, chunks, chunks_done, audio_s, **stage):
        return self.wants_cancel


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
def attempt(ledger) -> Attempt:
    return attempt_at(ledger)


def attempt_at(ledger: MemoryLedger, solitude: Solitude | None = None) -> Attempt:
    station = SimpleNamespace(
        ledger=ledger,
        node="w@test",
        solitude=solitude or Solitude(),
        attempts=set(),
        leases=SimpleNamespace(when_lost=lambda tag, action: None, holder="w@test/1"),
    )
    return Attempt(station, "j" * 32, "tag")


@pytest.mark.parametrize(
    "error",
    [
        redis.ConnectionError("Connection refused"),
        redis.TimeoutError("no answer"),
        redis.exceptions.MaxConnectionsError("Too many connections"),
    ],
)
def test_the_trouble_of_a_broker_fails_no_job(attempt, ledger, error):
    with pytest.raises(Reject) as raised, attempt:
        raise error

    assert raised.value.requeue
    assert [state for state, _ in ledger.changes] == [JobState.QUEUED]


def test_a_job_goes_back_also_when_that_cannot_be_written_down(attempt, ledger):
    def fail() -> None:
        raise redis.ConnectionError("still away")

    ledger.on_change = fail

    with pytest.raises(Reject), attempt:
        raise redis.ConnectionError("away")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ChunkFailed("bad row"), "engine_failed"),
        (EngineDied("killed"), "poison"),
        (VolumeFull("/farm", "no space left"), "volume_full"),
        (InvalidJob("text", "is empty"), "invalid_job"),
        (UnsupportedSchema(9, 1), "unsupported_schema"),
        (ZeroDivisionError("a bug"), "internal"),
    ],
)
def test_every_error_becomes_one_failed_state_with_its_reason(attempt, ledger, error, reason):
    with pytest.raises(JobFailed), attempt:
        raise error

    [(state, fields)] = ledger.changes
    assert state is JobState.FAILED
    assert fields == {"reason": reason, "detail": str(error)}


def test_a_cancelled_take_ends_the_job_as_cancelled(attempt, ledger):
    with pytest.raises(Ignore), attempt:
        raise TakeCancelled("cancelled")

    assert ledger.changes == [(JobState.CANCELLED, {})]


@pytest.mark.parametrize("error", [EngineClosed("closing"), ClaimLost("somebody else's")])
def test_who_may_not_go_on_gives_the_message_back(attempt, ledger, error):
    with pytest.raises(Reject) as rejected, attempt:
        raise error

    assert rejected.value.requeue
    assert ledger.changes == [(JobState.QUEUED, {})]


def test_a_job_of_a_worker_that_stops_at_once_goes_back_instead_of_being_cancelled(attempt, ledger):
    pool = TaskPool(1)

    with pytest.raises(Reject), attempt:
        pool.terminate_job(threading.get_ident(), HAND_BACK)
        raise TakeCancelled("cancelled")

    assert ledger.changes == [(JobState.QUEUED, {})]


def test_a_job_is_handed_back_also_while_its_work_can_not_be_ended(attempt, ledger):
    with attempt:
        [running] = attempt._station.attempts
        running.abandon(ledger)

    assert ledger.changes == [(JobState.QUEUED, {})]
    assert not attempt._station.attempts


def test_a_job_whose_time_is_over_fails_with_that_reason(attempt, ledger):
    pool = TaskPool(1)

    with pytest.raises(JobFailed), attempt:
        pool.terminate_job(threading.get_ident(), OVERTIME)
        raise TakeCancelled("cancelled")

    [(state, fields)] = ledger.changes
    assert (state, fields["reason"]) == (JobState.FAILED, "time_limit")


def test_a_job_that_was_cancelled_before_its_time_was_over_is_cancelled(attempt, ledger):
    pool = TaskPool(1)

    with pytest.raises(Ignore), attempt:
        attempt.cancel()
        pool.terminate_job(threading.get_ident(), OVERTIME)
        raise TakeCancelled("cancelled")

    assert ledger.changes == [(JobState.CANCELLED, {})]


def test_a_job_that_has_ended_meanwhile_is_not_run_again(attempt, ledger):
    ledger.encoded = None

    with pytest.raises(Ignore), attempt:
        attempt.start()

    assert ledger.changes == []


def test_a_message_without_a_row_changes_nothing(attempt, ledger):
    with pytest.raises(Ignore), attempt:
        raise JobNotFound("j" * 32)

    assert ledger.changes == []


def test_somebody_who_wants_the_job_cancelled_is_heard_between_two_chunks(attempt, ledger):
    stopped = []
    attempt.when_cancelled(lambda: stopped.append(True))
    ledger.wants_cancel = True

    with pytest.raises(Ignore), attempt:
        attempt.progress(3, 1, 2.0)

    assert stopped == [True]
    assert ledger.changes == [(JobState.CANCELLED, {})]


def test_what_is_set_up_after_a_cancel_is_stopped_at_once(attempt):
    stopped = []
    attempt.cancel()

    attempt.when_cancelled(lambda: stopped.append(True))

    assert stopped == [True]


def test_two_attempts_at_one_job_never_share_a_name(ledger):
    assert attempt_at(ledger).id != attempt_at(ledger).id


def test_a_job_that_was_lost_once_runs_in_company(attempt, ledger):
    ledger.losses = 1

    with attempt:
        attempt.start()

        assert not attempt._station.solitude.is_wanted
    assert ledger.changes == []


def test_a_job_that_was_lost_twice_waits_in_the_queue_and_then_runs_alone(attempt, ledger):
    ledger.losses = 2

    with attempt:
        job = attempt.start()

        assert job.text == "hi"
        assert attempt._station.solitude.is_wanted
    assert not attempt._station.solitude.is_wanted
    assert ledger.changes == [(JobState.QUEUED, {})]


def test_a_job_that_was_lost_too_often_is_poison(attempt, ledger):
    ledger.losses = 5

    with pytest.raises(JobFailed), attempt:
        attempt.start()

    [(state, fields)] = ledger.changes
    assert (state, fields["reason"]) == (JobState.FAILED, "poison")
    assert not attempt._station.solitude.is_wanted


def test_a_suspect_can_be_cancelled_while_it_waits_for_the_others_to_end(ledger):
    solitude = Solitude()
    suspect = attempt_at(ledger, solitude)
    # It enters the queue again before it waits, and is cancelled then.
    ledger.on_change = suspect.cancel
    ledger.losses = 2

    with solitude.company(lambda: True), pytest.raises(Ignore), suspect:
        suspect.start()

    assert ledger.changes == [(JobState.QUEUED, {}), (JobState.CANCELLED, {})]
    assert not solitude.is_wanted


def test_an_attempt_that_lost_its_lease_stops_and_says_nothing(attempt, ledger):
    with pytest.raises(Ignore), attempt:
        attempt._lose()
        attempt.progress(3, 1, 2.0)

    assert ledger.changes == []
