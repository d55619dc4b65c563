"""Which chunk kills the engine's process? Pure.

When the process dies, every chunk that was being computed is suspect. Suspects run again
with nobody else beside them, in groups that shrink with every death, at last each alone.
So a chunk that kills meets its limit alone, and no innocent one ever does.
"""

from __future__ import annotations

from collections.abc import Iterable


class Inquest:
    """Counts in how many dead processes a chunk was. True while anyone is suspect."""

    def __init__(self, slots: int, max_deaths: int) -> None:
        """A chunk is given up when it was in `max_deaths` dead processes."""
        self._slots = slots
        self._max_deaths = max_deaths
        self._deaths: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._deaths)

    def blame(self, request_ids: Iterable[str]) -> list[str]:
        """Count a death against each; return those that are to be given up."""
        given_up = []
        for request_id in request_ids:
            self._deaths[request_id] = self._deaths.get(request_id, 0) + 1
            if self._deaths[request_id] >= self._max_deaths:
                given_up.append(request_id)
        return given_up

    def clear(self, request_id: str) -> None:
        """Forget a chunk: it has ended, one way or the other."""
        self._deaths.pop(request_id, None)

    def group(self) -> list[str]:
        """Return the suspects that may be in the process now, and nobody else with them."""
        worst = max(self._deaths.values())
        # From all slots at no death down to one slot at the last death that is allowed.
        together = self._slots ** (1 - worst / (self._max_deaths - 1))
        suspects = [name for name, deaths in self._deaths.items() if deaths == worst]
        return suspects[: max(1, int(together))]
