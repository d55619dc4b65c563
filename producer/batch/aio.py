"""The asyncio twin of a batch's handle: the same words, awaited."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from itertools import islice
from typing import Any

from ..errors import WaitTimeout
from ..job_handle import Job
from .batch_row import BatchRow
from .estimate import Estimate
from .handle import LOOK_S, Batch
from .ledger import PIECE, ItemRow
from .proof import Flaw
from .report import Report


class AsyncBatch:
    """A batch by its id, for `await`."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self.id = batch.id

    def __repr__(self) -> str:
        return f"AsyncBatch({self.id!r})"

    async def row(self) -> BatchRow:
        """Return what is known of the batch, or raise `BatchNotFound`."""
        return await asyncio.to_thread(self._batch.row)

    async def wait(self, timeout_s: float | None = None) -> BatchRow:
        """Wait until all items have ended; `WaitTimeout` leaves the batch running."""
        deadline_s = time.monotonic() + (float("inf") if timeout_s is None else timeout_s)
        while not (row := await self.row()).has_ended:
            if time.monotonic() >= deadline_s:
                state = f"at {row.ended} of {row.items} items"
                raise WaitTimeout(self.id, timeout_s or 0.0, state)
            await asyncio.sleep(LOOK_S)
        return row

    async def results(self) -> AsyncIterator[dict[str, Any]]:
        """Yield one plain line an item, in the order of the input."""
        lines = self._batch.results()
        while piece := await asyncio.to_thread(lambda: list(islice(lines, PIECE))):
            for line in piece:
                yield line

    async def items(self) -> AsyncIterator[ItemRow]:
        """Yield every item in the order of the input, with the row of its job."""
        items = self._batch.items()
        while piece := await asyncio.to_thread(lambda: list(islice(items, PIECE))):
            for item in piece:
                yield item

    async def report(self) -> Report:
        """Read every item, and return what became of them, added up."""
        return await asyncio.to_thread(self._batch.report)

    async def verify(self) -> list[Flaw]:
        """Read every file again; return those that are missing or not what they were."""
        return await asyncio.to_thread(self._batch.verify)

    async def assemble(self, **fields: Any) -> Job:
        """Queue a book, as `Batch.assemble` does; `AsyncVoiceFarm.job` awaits it by its id."""
        return await asyncio.to_thread(lambda: self._batch.assemble(**fields))

    async def estimate(self) -> Estimate:
        """Return when it will be done, as far as that is known."""
        return await asyncio.to_thread(self._batch.estimate)

    async def pause(self) -> None:
        """Feed none of it any more; what runs goes on."""
        await asyncio.to_thread(self._batch.pause)

    async def resume(self) -> None:
        """Feed it again."""
        await asyncio.to_thread(self._batch.resume)

    async def cancel(self) -> bool:
        """End what has not begun; False if the batch had ended before."""
        return await asyncio.to_thread(self._batch.cancel)
