"""Long logs are turned while they are written to."""

from __future__ import annotations

import fcntl

import pytest

from worker.log_files import LogFiles

LIMIT_BYTES = 100


@pytest.fixture
def logs(tmp_path) -> LogFiles:
    """Logs of which two turned ones are kept."""
    return LogFiles(tmp_path, "here", LIMIT_BYTES, 2)


def turn_all(logs: LogFiles) -> list[str]:
    return [thing.name for thing in list(logs.long()) if logs.turn(thing)]


def test_a_writer_goes_on_in_its_log_and_keeps_its_claim_to_it(tmp_path, logs):
    with (tmp_path / "cpu0@here.log").open("ab", buffering=0) as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        log.write(b"a" * 200)

        assert turn_all(logs) == ["cpu0@here.log"]
        log.write(b"after")

        assert (tmp_path / "cpu0@here.log").read_bytes() == b"after"
        assert (tmp_path / "cpu0@here.log.1").read_bytes() == b"a" * 200
        with (tmp_path / "cpu0@here.log").open("ab") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_short_logs_and_those_of_other_hosts_stay(tmp_path, logs):
    (tmp_path / "cpu0@here.log").write_bytes(b"a" * LIMIT_BYTES)
    (tmp_path / "cpu0@there.log").write_bytes(b"a" * 200)
    (tmp_path / "broker.log").write_bytes(b"a" * 200)

    assert turn_all(logs) == ["broker.log"]


def test_as_many_turned_logs_are_kept_as_are_wanted(tmp_path, logs):
    log = tmp_path / "cpu0@here.log"
    for letter in b"abcd":
        log.write_bytes(bytes([letter]) * 200)
        turn_all(logs)

    kept = {path.name: path.read_bytes()[:1] for path in tmp_path.glob("*.log.*")}
    assert kept["cpu0@here.log.1"] == b"d"
    assert kept["cpu0@here.log.2"] == b"c"
    assert [thing.name for thing in logs.surplus()] == ["cpu0@here.log.3"]


def test_a_log_that_another_process_turns_is_left_to_it(tmp_path, logs):
    (tmp_path / "cpu0@here.log").write_bytes(b"a" * 200)
    [thing] = logs.long()
    with (tmp_path / ".turning@here").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        assert not logs.turn(thing)

    assert logs.turn(thing)
    assert not logs.turn(thing)
