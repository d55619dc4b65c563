"""What `up` knows of processes: names of their own, and signals that are counted."""

from __future__ import annotations

import os
import signal

from worker.processes import StopSignals, claim_log, numbered


def test_workers_of_one_host_have_names_of_their_own(tmp_path):
    first, log = claim_log(tmp_path, numbered("cpu"), "host")
    second, other = claim_log(tmp_path, numbered("cpu"), "host")
    log.close()
    third, again = claim_log(tmp_path, numbered("cpu"), "host")

    assert (first, second, third) == ("cpu0@host", "cpu1@host", "cpu0@host")
    other.close()
    again.close()


def test_signals_are_counted_and_handed_back():
    before = signal.getsignal(signal.SIGTERM)

    with StopSignals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)

        assert (signals.count, signals.last) == (2, signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as signals:
            os.kill(os.getpid(), signal.SIGHUP)

            assert signals.count == 0
    finally:
        signal.signal(signal.SIGHUP, before)
