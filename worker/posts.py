"""Posts: the places on this machine where a worker can stand, one life after the other."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO

from .gpus import Gpu
from .processes import Child, claim_log, numbered
from .readiness import Readiness
from .restarts import Restarts


class PostState(StrEnum):
    """What goes on at a post."""

    FREE = "free"
    #: A worker died here and is started again in a moment.
    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    #: Workers die here before they are ready; nobody is started any more.
    GIVEN_UP = "given-up"


#: A worker stands here, or will in a moment, and is not on its way out.
MANNED = frozenset({PostState.WAITING, PostState.STARTING, PostState.READY})


class Post:
    """A name, a log and, on a GPU machine, a GPU. Changed by the supervisor alone."""

    def __init__(self, number: int, name: str, log: BinaryIO, gpu: Gpu | None) -> None:
        """`number` counts all the posts of one `up`."""
        self.number = number
        self.name = name
        self.log = log
        self.gpu = gpu
        self.state = PostState.FREE
        self.child: Child | None = None
        self.restarts = Restarts()
        #: What its worker's last heartbeat said.
        self.facts: Mapping[str, Any] = {}
        self.started_s = 0.0
        self.ready_at_s: float | None = None
        #: When the next worker is started.
        self.due_s = 0.0
        #: Why its worker was killed by us, "" if it was not.
        self.sentence = ""
        #: A dead worker's messages have not been given back yet.
        self.owes_release = False

    @property
    def log_path(self) -> Path:
        """Where its workers write."""
        return Path(self.log.name)

    @property
    def told(self) -> dict[str, Any]:
        """What the farm is told of it: plain JSON."""
        return {"state": self.state.value, "restarts": self.restarts.count}

    @property
    def is_idle(self) -> bool:
        """True if its worker is ready and has nothing in hand."""
        hand = (self.facts.get("active"), self.facts.get("waiting"), self.facts.get("held"))
        return self.state is PostState.READY and not any(hand)

    def man(self, child: Child, now_s: float) -> None:
        """Have a worker that has just been started."""
        self.child = child
        self.state = PostState.STARTING
        self.facts = {}
        self.started_s, self.ready_at_s = now_s, None
        self.sentence = ""

    def hear(self, facts: Mapping[str, Any], now_s: float) -> bool:
        """Note a heartbeat of the worker that stands here; True if it has become ready."""
        if self.child is None or facts.get("pid") != self.child.pid:
            return False  # an earlier life
        self.facts = facts
        if self.state is not PostState.STARTING or facts.get("state") != Readiness.READY:
            return False
        self.state, self.ready_at_s = PostState.READY, now_s
        return True

    def empty(self, state: PostState) -> None:
        """Have no worker any more."""
        self.child = None
        self.state = state
        self.facts = {}


def make_posts(logs: Path, host: str, gpus: Sequence[Gpu], per_gpu: int) -> list[Post]:
    """Return `per_gpu` posts a GPU, or on the processor if there is none, first layers first.

    Their names are free on this machine, and claimed: `gpu0@host`, the second of this GPU
    `gpu0-2@host`, on the processor `cpu0@host` and so on.
    """
    devices: list[Gpu | None] = [*gpus] or [None]
    posts = []
    for number, gpu in enumerate(devices * per_gpu):
        name, log = claim_log(logs, numbered("cpu") if gpu is None else _names_of(gpu), host)
        posts.append(Post(number, name, log, gpu))
    return posts


def _names_of(gpu: Gpu) -> Iterator[str]:
    yield f"gpu{gpu.index}"
    yield from (f"gpu{gpu.index}-{number}" for number in itertools.count(2))
