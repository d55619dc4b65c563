"""What a voice's own recordings bring in is held back where there is no pitch."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

import torch

from worker.engine.rvc.mixture import Retrieved, protected

MIXED = torch.tensor([[10.0], [20.0], [30.0]])
PLAIN = torch.tensor([[1.0], [2.0], [3.0]])


def row(frames, f0_hz, protect):
    curve = None if f0_hz is None else torch.tensor(f0_hz)
    return Retrieved(MIXED, PLAIN, frames, curve, protect)


def test_rows_that_are_protected_together_are_each_by_itself():
    # given
    rows = [
        row(6, [100.0, 0.0, 0.0, 100.0, 100.0, 0.5], 0.25),
        row(3, None, 0.25),
        row(5, [0.0] * 5, 0.5),
        row(4, [0.0] * 4, 0.0),
    ]

    # when
    found = [found[:, 0].tolist() for found in protected(rows)]

    # then
    assert found == [
        [10.0, 0.25 * 10 + 0.75 * 1, 0.25 * 20 + 0.75 * 2, 20.0, 30.0, 0.25 * 30 + 0.75 * 3],
        [10.0, 10.0, 20.0],
        [10.0, 10.0, 20.0, 20.0, 30.0],
        [1.0, 1.0, 2.0, 2.0],
    ]


def test_there_are_no_more_frames_than_features_last():
    assert [len(found) for found in protected([row(9, [100.0] * 9, 0.25)])] == [6]
