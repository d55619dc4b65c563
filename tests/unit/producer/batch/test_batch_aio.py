"""The asyncio twin of a batch says what the batch says."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from producer.batch.aio import AsyncBatch
from producer.batch.estimate import Estimate
from producer.batch.ledger import PIECE, ItemRow
from producer.errors import WaitTimeout


@dataclass
class Row:
    items: int
    ended: int

    @property
    def has_ended(self) -> bool:
        return self.ended == self.items


class Handle:
    """A batch that ends when it was looked at twice."""

    id = "a" * 24
    rows = ItemRow(0, "one", "", None), ItemRow(1, "two", "", None)

    def __init__(self) -> None:
        self.looks = 0
        self.done: list[str] = []

    def row(self) -> Row:
        self.looks += 1
        return Row(2, min(self.looks, 2))

    def items(self):
        yield from self.rows * PIECE

    def results(self):
        yield from ({"number": row.number} for row in self.rows)

    def report(self) -> str:
        return "a report"

    def verify(self) -> list[str]:
        return ["a flaw"]

    def estimate(self) -> Estimate:
        return Estimate(1.0, 2.0, 3.0, True)

    def pause(self) -> None:
        self.done.append("paused")

    def resume(self) -> None:
        self.done.append("resumed")

    def cancel(self) -> bool:
        self.done.append("cancelled")
        return True


@pytest.fixture
def handle(monkeypatch) -> Handle:
    monkeypatch.setattr("producer.batch.aio.LOOK_S", 0.0)
    return Handle()


def test_it_answers_as_the_batch_does(handle):
    async def asked() -> list[object]:
        batch = AsyncBatch(handle)
        return [
            [line async for line in batch.results()],
            len([item async for item in batch.items()]),
            await batch.report(),
            await batch.verify(),
            await batch.estimate(),
            await batch.cancel(),
        ]

    assert asyncio.run(asked()) == [
        [{"number": 0}, {"number": 1}],
        2 * PIECE,
        "a report",
        ["a flaw"],
        Estimate(1.0, 2.0, 3.0, True),
        True,
    ]


def test_it_is_held_and_let_go(handle):
    async def held() -> None:
        batch = AsyncBatch(handle)
        await batch.pause()
        await batch.resume()

    asyncio.run(held())

    assert handle.done == ["paused", "resumed"]


def test_waiting_ends_with_the_batch_or_with_the_time(handle):
    async def waited(timeout_s: float | None) -> Row:
        return await AsyncBatch(handle).wait(timeout_s)

    with pytest.raises(WaitTimeout, match="at 1 of 2"):
        asyncio.run(waited(0.0))
    assert asyncio.run(waited(None)).has_ended
