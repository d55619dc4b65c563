"""Waiting for a batch where no terminal is: lines of JSON beside the data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from producer.batch.batch_row import BatchRow
from producer.batch.estimate import Estimate
from producer.cli import batch_waiting
from producer.cli.batch_waiting import wait_for_batch
from producer.cli.exit_codes import ExitCode
from producer.cli.output import Output
from producer.cli.waiting import Wait

FIELDS = {"name": "A book", "client": "me", "created_s": "0", "items": "4", "whole": "1"}


def row(done: int, failed: int = 0) -> BatchRow:
    """Of four items with 10 s of audio each."""
    left = 4 - done - failed
    states = {"done": done, "failed": failed, "queued": left, "queued_ms": left * 10_000}
    return BatchRow.decode("a" * 24, FIELDS, {name: str(n) for name, n in states.items()})


class Handle:
    """A batch that moves on with every look."""

    id = "a" * 24

    def progress(self, timeout_s: float | None) -> Iterator[BatchRow]:
        yield from (row(0), row(1), row(2, 1), row(3, 1))

    def estimate(self) -> Estimate:
        return Estimate(0.0, None, None, True)


@pytest.fixture
def waited(monkeypatch, capsys):
    """Wait; returns how it ended, the data, and the lines beside it."""
    monkeypatch.setattr(batch_waiting, "PROGRESS_S", 0.0)
    monkeypatch.setattr(batch_waiting, "time", SimpleNamespace(monotonic=lambda: 5.0))

    def wait(*, quiet: bool = False, no_progress: bool = False):
        output = Output(as_json=True, quiet=quiet)
        code = wait_for_batch(Handle(), Wait(None, output, None, no_progress, False))
        said = capsys.readouterr()
        return code, json.loads(said.out), [json.loads(line) for line in said.err.splitlines()]

    return wait


def test_each_line_says_how_far_it_is_how_fast_and_how_long_it_will_take(waited):
    code, data, lines = waited()

    assert [(line["done"], line["total"], line["failed"]) for line in lines] == [
        (0, 4, 0), (1, 4, 0), (3, 4, 1), (4, 4, 1),
    ]  # fmt: skip
    # In no time, which counts as a second.
    assert [line["real_time_factor"] for line in lines] == [None, 10.0, 30.0, 40.0]
    assert [line["eta_s"] for line in lines] == [None, 3, 0, 0]
    assert (code, data["ended"]) == (ExitCode.FAILED, 4)


@pytest.mark.parametrize("how", [{"quiet": True}, {"no_progress": True}])
def test_who_wants_none_gets_none(waited, how):
    code, data, lines = waited(**how)

    assert (code, data["ended"], lines) == (ExitCode.FAILED, 4, [])
