"""Is the worker alive? What its loop and its engine were last seen doing. No broker is asked.

A worker that has lost its broker is alive: its loop stands still while Celery connects
again, so nothing is expected of it then.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

#: How often the loop beats.
BEAT_S: Final = 1.0

#: How long a running loop may take for one turn. A frozen Redis may hold it for some seconds.
LOOP_STALL_S: Final = 30.0

#: What an engine without a step gets beyond `hang_s`, in which it may be replaced by itself.
REPLACE_S: Final = 30.0


class Pulse:
    """Beaten by the event loop, read by other threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._beaten_s: float | None = None

    def beat(self) -> None:
        """The loop goes round."""
        self._beaten_s = self._clock()

    def rest(self) -> None:
        """The loop stands still until the next beat, and rightly so."""
        self._beaten_s = None

    def ailment(self, step_age_s: float, hang_s: float) -> str:
        """Return what is wrong, "" if nothing is.

        `step_age_s` is how long the engine has made no step while it had work.
        """
        beaten_s = self._beaten_s
        if beaten_s is not None and (stall_s := self._clock() - beaten_s) > LOOP_STALL_S:
            return f"the event loop has stood still for {stall_s:.0f} s"
        if step_age_s > hang_s + REPLACE_S:
            return f"the engine made no step for {step_age_s:.0f} s"
        return ""
