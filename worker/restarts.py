"""When a worker that has died is started again, and when there is no sense in it. Pure."""

from __future__ import annotations

from typing import Final

#: How often in a row a worker may die before it was ready.
START_TRIES: Final = 3

#: The pause before the second start in a row, which doubles with each further one, and its limit.
#: The first start again is at once.
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 30.0

#: A worker that was ready so long did well: what happens then is a new story.
STABLE_S: Final = 60.0


class Restarts:
    """The deaths of the workers that stood in one place, one after the other."""

    def __init__(self) -> None:
        #: Starts that followed a death.
        self.count = 0
        self._in_row = 0
        self._early_in_row = 0
        self._was_ready = False

    def pause_s(self, ready_s: float | None, *, hopeless: bool = False) -> float | None:
        """Note a death; return the pause before the next start, None if there is to be none.

        `ready_s` is how long the worker was ready, None if it never was. `hopeless`: it has said
        itself that it cannot load, which is believed unless it could before.
        """
        if ready_s is None:
            self._early_in_row += 1
            if self._early_in_row >= START_TRIES or (hopeless and not self._was_ready):
                return None
        else:
            self._early_in_row = 0
            self._was_ready = True
            if ready_s >= STABLE_S:
                self._in_row = 0
        pause_s = FIRST_PAUSE_S * 2 ** (self._in_row - 1) if self._in_row else 0.0
        self._in_row += 1
        self.count += 1
        return min(pause_s, LONGEST_PAUSE_S)
