"""What the threads of this process are doing, looked at every few milliseconds from outside."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from pathlib import Path
from types import FrameType

#: Between two looks. Each costs some 50 us of the interpreter.
_STEP_S = 0.005

#: Where a thread waits for others: such a look counts as idle.
_WAITING = frozenset(("wait", "get", "select", "_worker", "sleep"))


class StackSampler:
    """Counts for each thread where it was: in which of some functions, and in which line."""

    def __init__(self, phases: frozenset[str]) -> None:
        """A look belongs to the innermost of the functions `phases` that is being run."""
        self._phases = phases
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._is_over = threading.Event()
        self.looks = 0
        self.by_phase: dict[str, Counter[str]] = {}
        self.by_line: dict[str, Counter[str]] = {}

    def __enter__(self) -> StackSampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def tell(self, shown: int = 14) -> None:
        """Print each thread that ever did something, its phases and its lines."""
        for thread, phases in self.by_phase.items():
            busy = sum(phases.values()) - phases["idle"]
            if not busy:
                continue
            print(f"   thread {thread}: busy at {busy / self.looks:.0%} of {self.looks} looks")
            for counts in (phases, self.by_line[thread]):
                parts = [
                    f"{count / self.looks:5.1%} {at}" for at, count in counts.most_common(shown)
                ]
                print("      " + "\n      ".join(parts), flush=True)

    def _run(self) -> None:
        while not self._is_over.wait(_STEP_S):
            names = {one.ident: one.name for one in threading.enumerate()}
            for ident, frame in sys._current_frames().items():
                if ident != threading.get_ident():
                    self._look(names.get(ident, "unknown"), frame)
            self.looks += 1

    def _look(self, thread: str, innermost: FrameType) -> None:
        phase = "idle" if innermost.f_code.co_name in _WAITING else ""
        line = ""
        frame: FrameType | None = innermost
        while frame is not None and not (phase and line):
            name, path = frame.f_code.co_name, Path(frame.f_code.co_filename)
            if not line and "worker" in path.parts:
                line = f"{path.parent.name}/{path.name}:{frame.f_lineno} {name}"
            if not phase and name in self._phases:
                phase = name
            frame = frame.f_back
        if not line:
            phase = "idle"
        self.by_phase.setdefault(thread, Counter())[phase or "other"] += 1
        self.by_line.setdefault(thread, Counter())[line] += phase != "idle"
