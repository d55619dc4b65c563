"""Which chunk kills the engine's process? Pure.

When the process dies, every chunk that was being computed is suspect. Suspects run again
with nobody else beside them, each cohort in two halves, until whoever kills stands alone.
Only a chunk that is alone when the process dies is counted against, so no innocent one is
ever given up for the company it was in.
"""

from __future__ import annotations

from collections.abc import Sequence


class Inquest:
    """Cohorts of suspects, the next to run last. True while anyone is suspect."""

    def __init__(self, max_deaths: int) -> None:
        """A chunk is given up when it was alone in `max_deaths` processes as they died."""
        self._max_deaths = max_deaths
        self._cohorts: list[list[str]] = []
        self._deaths_alone: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._cohorts)

    def blame(self, held: Sequence[str]) -> list[str]:
        """A process died with these in it; return those that are to be given up."""
        for request_id in held:
            self._forget(request_id)
        if len(held) != 1:
            middle = (len(held) + 1) // 2
            # The first half is on top, and is cleared or halved before anybody else runs.
            self._cohorts += [list(half) for half in (held[middle:], held[:middle]) if half]
            return []
        deaths = self._deaths_alone.get(held[0], 0) + 1
        self._deaths_alone[held[0]] = deaths
        self._cohorts.append([held[0]])
        return list(held) if deaths >= self._max_deaths else []

    def clear(self, request_id: str) -> None:
        """Forget a chunk: it has ended, one way or the other."""
        self._deaths_alone.pop(request_id, None)
        self._forget(request_id)

    def group(self) -> list[str]:
        """Return the suspects that may be in the process now, and nobody else with them."""
        return list(self._cohorts[-1])

    def _forget(self, request_id: str) -> None:
        cohorts = ([name for name in one if name != request_id] for one in self._cohorts)
        self._cohorts = [cohort for cohort in cohorts if cohort]
