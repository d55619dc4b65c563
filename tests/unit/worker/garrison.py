"""Posts, workers and a farm that only play their parts, for the supervisor's tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from producer.backlog import Backlog
from producer.decisions import Action, Decision
from producer.queues import Priority
from worker.farm_view import BrokerAway
from worker.gpus import Gpu
from worker.posts import Post, make_posts
from worker.scaling import Policy
from worker.staffing import Staffing
from worker.supervisor import Orders, Supervisor

HOST = "host/1"
POLICY = Policy(horizon_s=60, age_s=30, idle_s=300)


class FakeChild:
    """A worker that lives until a test says otherwise."""

    pids = iter(range(1000, 10**6))

    def __init__(self, name: str) -> None:
        self.name = name
        self.pid = next(self.pids)
        self.code: int | None = None
        self.signals: list[str] = []

    @property
    def alive(self) -> bool:
        return self.code is None

    def die(self, code: int = -9) -> None:
        self.code = code

    def terminate(self) -> None:
        self.signals.append("TERM")

    def kill(self) -> None:
        self.signals.append("KILL")
        self.die()

    def wait(self, limit_s: float, hurried: Callable[[], bool]) -> None:
        self.die(0)

    def ending(self) -> str:
        return f"{self.name} ended with {self.code}\n  the last line"


class FakeVitals:
    """Knows of an ailment if a test says so."""

    def __init__(self) -> None:
        self.ailments: dict[int, str] = {}
        self.admitted: dict[int, int] = {}

    def admit(self, pid: int, port: int) -> None:
        self.admitted[pid] = port

    def discharge(self, pid: int) -> None:
        self.admitted.pop(pid, None)

    def ailment(self, pid: int) -> str:
        return self.ailments.get(pid, "")

    def close(self) -> None:
        pass


class FakeView:
    """The broker: what a test puts in is what is told. `away` breaks every call."""

    def __init__(self) -> None:
        self.away = False
        self.beats: dict[str, dict[str, Any]] = {}
        self.others: dict[str, dict[str, Any]] = {}
        self.waits = Backlog(jobs=dict.fromkeys(Priority, 0), audio_s=dict.fromkeys(Priority, 0.0))
        self.buried: list[str] = []
        self.decisions: list[Decision] = []
        self.told: dict[str, Any] = {}

    def workers(self) -> Mapping[str, Mapping[str, Any]]:
        return self._answer(self.beats)

    def hosts(self) -> Mapping[str, Mapping[str, Any]]:
        return self._answer(self.others)

    def backlog(self) -> Backlog:
        return self._answer(self.waits)

    def tell(self, host: str, facts: Mapping[str, Any]) -> None:
        self._answer(None)
        self.told = dict(facts)

    def leave(self, host: str) -> None:
        self._answer(None)

    def bury(self, node: str) -> int:
        self._answer(None)
        self.beats.pop(node, None)
        self.buried.append(node)
        return 0

    def record(self, decision: Decision) -> None:
        self._answer(None)
        self.decisions.append(decision)

    def close(self) -> None:
        pass

    def wait(self, jobs: int, audio_s: float, age_s: float = 0.0) -> None:
        """Have so much wait."""
        self.waits = Backlog(
            jobs={Priority.INTERACTIVE: 0, Priority.BATCH: jobs},
            audio_s={Priority.INTERACTIVE: 0.0, Priority.BATCH: audio_s},
            oldest_age_s=age_s,
        )

    def _answer(self, answer: Any) -> Any:
        if self.away:
            raise BrokerAway("refused")
        return answer


class Garrison:
    """A supervisor whose clock a test turns."""

    def __init__(self, logs: Path, *, gpus: int = 0, per_gpu: int = 1, least: int | None = None):
        cards = [Gpu(n, f"GPU-{n}", "Card", 24 << 30, (8, 6)) for n in range(gpus)]
        self.posts = make_posts(logs, "host", cards, per_gpu)
        most = len(self.posts)
        self.now_s = 0.0
        self.started: list[str] = []
        self.lines: list[str] = []
        self.view, self.vitals = FakeView(), FakeVitals()
        self.supervisor = Supervisor(
            self.posts,
            Orders(HOST, most if least is None else least, most, drain_s=60),
            start=self._start,
            view=self.view,
            vitals=self.vitals,
            staffing=Staffing(self.view, POLICY, HOST),
            tell=self.lines.append,
            clock=lambda: self.now_s,
        )

    def _start(self, post: Post) -> FakeChild:
        self.started.append(post.name)
        return FakeChild(post.name)

    def pass_time(self, seconds: float = 1.0, step_s: float = 0.5) -> None:
        """Tick for so long."""
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.now_s += step_s
            self.supervisor.tick()

    def load(self, **facts: Any) -> None:
        """Have every living worker say that it is ready, and whatever else."""
        for post in self.posts:
            if post.child is not None:
                ready = {"pid": post.child.pid, "state": "ready", "http_port": 1, "slots": 8}
                self.view.beats[post.name] = {**ready, **facts}
        self.pass_time()

    def actions(self, action: Action) -> list[Decision]:
        return [decision for decision in self.view.decisions if decision.action is action]
