"""What memory is left decides how much is converted together, and how many voices stay."""

from __future__ import annotations

import pytest

# Where torch is missing, nothing below can be imported.
# ruff: noqa: E402
torch = pytest.importorskip("torch")

from worker.engine.rvc import room
from worker.engine.rvc.room import Rooms

GPU = torch.device("cuda")


@pytest.mark.parametrize(
    ("free_gb", "together_s", "is_tight"), [(3, 15, True), (10.4, 120, True), (130, 320, False)]
)
def test_as_much_is_converted_together_as_the_memory_lets(
    monkeypatch, free_gb, together_s, is_tight
):
    monkeypatch.setattr(room, "_free_bytes", lambda _device: int(free_gb * 1e9))

    rooms = Rooms.on(GPU)

    assert rooms.together_s == pytest.approx(together_s, rel=0.1)
    assert rooms.is_tight == is_tight
    assert rooms.voices_bytes + rooms.work_bytes <= 0.4 * free_gb * 1e9 + 1


def test_what_voices_may_take_can_be_chosen(monkeypatch):
    monkeypatch.setattr(room, "_free_bytes", lambda _device: 10**10)

    assert Rooms.on(GPU, 123).voices_bytes == 123


def test_the_host_keeps_more_voices_than_a_small_gpu_and_no_fewer(monkeypatch):
    monkeypatch.setattr(room, "_free_bytes", lambda _device: 64 * 10**9)

    assert Rooms(2 * 10**9, 0).host_bytes == 6_400_000_000
    assert Rooms(9 * 10**9, 0).host_bytes == 9_000_000_000


def test_a_processor_keeps_nothing_free_for_others_to_see():
    assert not Rooms(10**12, 10**12).kept_free(torch.device("cpu")).numel()
