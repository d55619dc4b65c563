"""Which jobs have no message? Pure.

A row that waits or runs must have a message: on a queue, or with a worker. Nothing in Redis
leads from a row to its message, so a sweep looks at all messages first, in pieces, while
they come and go, and at the rows behind that.

The order makes it safe. Whoever sweeps looks at what is delivered, then at each queue from
its young end, where new ones push the others towards what is still to be looked at, then at
what is delivered once more. So a message that was there all the time is seen, also if it was
taken or went back meanwhile. A row that is new to its state is none of the sweep's business.
"""

from __future__ import annotations

from collections.abc import Iterable


class Sweep:
    """What one sweep has seen so far."""

    def __init__(self, now_s: float, grace_s: float) -> None:
        """A row that entered its state less than `grace_s` before `now_s` is left alone."""
        #: Epoch seconds; a younger row may still be waiting for its client to send.
        self.cut_s = now_s - grace_s
        self._seen: set[str] = set()

    def see(self, job_ids: Iterable[str]) -> None:
        """Note whose messages there are."""
        self._seen.update(job_ids)

    def missing(self, rows: Iterable[tuple[str, float]]) -> list[str]:
        """Return which of these rows, ids and when they entered their state, have no message."""
        return [
            job_id for job_id, since_s in rows if since_s < self.cut_s and job_id not in self._seen
        ]
