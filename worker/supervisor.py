"""The supervisor: keeps the workers of one machine at their posts.

Who dies is started again, and its jobs are given back at once. Who hangs is killed. How many
there are follows the backlog, if that is wished.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from producer.backlog import Backlog
from producer.decisions import Action
from producer.heartbeats import BEAT_S

from .boot import EXIT_BROKEN
from .diary import Diary
from .errors import WorkersFail
from .farm_view import BrokerAway, FarmView
from .posts import MANNED, Post, PostState
from .processes import Child
from .scaling import Room, Step
from .staffing import Staffing, room_facts
from .vitals import Vitals

T = TypeVar("T")

#: How often the farm is asked how the workers are.
LOOK_S: Final = 0.5

#: How often the number of workers is thought about.
STAFF_S: Final = 1.0

#: How long a worker may load its models before it counts as dead.
READY_LIMIT_S: Final = 600.0

#: What a worker may take beyond its own limit for the jobs in hand.
STOP_MARGIN_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Orders:
    """What the supervisor was told."""

    #: Names this `up` in the farm.
    host: str
    least: int
    most: int
    drain_s: float


class Supervisor:
    """For the main thread alone: the kernel ends a worker with the thread that started it."""

    def __init__(
        self,
        posts: Sequence[Post],
        orders: Orders,
        *,
        start: Callable[[Post], Child],
        view: FarmView,
        vitals: Vitals,
        staffing: Staffing,
        tell: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.posts = posts
        self._orders = orders
        self._start = start
        self._view = view
        self._vitals = vitals
        self._staffing = staffing
        self._diary = Diary(view, orders.host, tell)
        self._tell = tell
        self._clock = clock
        self._look_s = self._staff_s = self._beat_s = 0.0
        self._is_away = False
        #: What waited when the broker was asked last.
        self.backlog: Backlog | None = None

    @property
    def is_ready(self) -> bool:
        """True once there is a worker that takes jobs, or none is wanted."""
        return not self._orders.least or any(p.state is PostState.READY for p in self.posts)

    def tick(self) -> None:
        """Do what is to be done now. Raises `WorkersFail` once no post can be manned."""
        now_s = self._clock()
        if now_s >= self._look_s:
            self._look_s = now_s + LOOK_S
            self._look(now_s)
        for post in self.posts:
            self._attend(post, now_s)
        if now_s >= self._staff_s:
            self._staff_s = now_s + STAFF_S
            self._staff(now_s)
        for post in self.posts:
            if post.state is PostState.WAITING and now_s >= post.due_s and not post.owes_release:
                self._man(post, now_s)

    def stop(self, hurried: Callable[[], bool]) -> None:
        """End every worker, the jobs in hand first, and give back what is left of them."""
        self._vitals.close()
        living = [(post, post.child) for post in self.posts if post.child is not None]
        for _, child in living:
            child.terminate()
        for _, child in living:
            child.wait(self._orders.drain_s + STOP_MARGIN_S, hurried)
        for post, _ in living:
            self._release(post)
            post.empty(PostState.FREE)
        self._ask(lambda: self._view.leave(self._orders.host))
        self._view.close()

    def _look(self, now_s: float) -> None:
        """Hear the heartbeats, and do what waited for the broker."""
        workers = self._ask(self._view.workers)
        if workers is None:
            return
        for post in self.posts:
            if post.owes_release:
                self._release(post)
            if post.hear(workers.get(post.name, {}), now_s):
                facts = post.facts
                self._tell(
                    f"{post.name} is ready, engine {facts.get('engine')} {facts.get('revision')} "
                    f"on {facts.get('device')}"
                )
            port = post.facts.get("http_port")
            if post.child is not None and port:
                self._vitals.admit(post.child.pid, port)
        self._diary.flush()
        if now_s >= self._beat_s:
            self._beat_s = now_s + BEAT_S
            facts = room_facts(self._room()) | {
                "restarts": sum(post.restarts.count for post in self.posts),
                "posts": {post.name: post.told for post in self.posts},
            }
            self._ask(lambda: self._view.tell(self._orders.host, facts))
            self.backlog = self._ask(self._view.backlog)

    def _attend(self, post: Post, now_s: float) -> None:
        child = post.child
        if child is None:
            return
        if not child.alive:
            self._bury(post, child, now_s)
        elif not post.sentence and (ailment := self._ailment(post, child, now_s)):
            post.sentence = ailment
            self._diary.note(Action.REPLACE, post.name, self._manned, ailment)
            child.kill()

    def _ailment(self, post: Post, child: Child, now_s: float) -> str:
        if post.state is PostState.DRAINING:
            late = now_s > post.due_s
            return "it did not end in time" if late else ""
        if post.state is PostState.STARTING and now_s - post.started_s > READY_LIMIT_S:
            return f"it was not ready within {READY_LIMIT_S:.0f} s"
        return self._vitals.ailment(child.pid)

    def _bury(self, post: Post, child: Child, now_s: float) -> None:
        """Give back what a dead worker held, and decide whether another one takes its post."""
        self._vitals.discharge(child.pid)
        ready_s = None if post.ready_at_s is None else now_s - post.ready_at_s
        was_draining, sentence = post.state is PostState.DRAINING, post.sentence
        post.owes_release = True
        self._release(post)
        post.empty(PostState.FREE)
        if was_draining:
            self._tell(f"{post.name} has ended")
            return
        pause_s = post.restarts.pause_s(ready_s, hopeless=child.code == EXIT_BROKEN)
        ending = child.ending()
        if pause_s is not None:
            post.state, post.due_s = PostState.WAITING, now_s + pause_s
            reason = sentence or ending
            self._diary.note(Action.RESTART, post.name, self._manned, reason)
            return
        post.state = PostState.GIVEN_UP
        self._diary.note(Action.GIVE_UP, post.name, self._manned, ending)
        if all(post.state is PostState.GIVEN_UP for post in self.posts):
            raise WorkersFail(f"no worker can be kept running\n{ending}")

    def _staff(self, now_s: float) -> None:
        """Have as many workers as the farm needs of this machine."""
        room = self._room()
        if room.least == room.most:
            step: Step | None = Step(room.most - room.running, "as many as were asked for")
        else:
            loading = any(
                post.state in (PostState.STARTING, PostState.WAITING) for post in self.posts
            )
            step = self._ask(lambda: self._staffing.step(now_s, room, loading=loading))
        if step is None:
            return
        for _ in range(step.workers):
            self._add(now_s, step.reason)
        for _ in range(-step.workers):
            self._drain(now_s, step.reason)
        if step.is_held:
            self._diary.note(Action.HOLD, "", self._manned, step.reason)

    def _add(self, now_s: float, reason: str) -> None:
        """Start a worker, on the GPU that has the fewest."""
        free = [
            post for post in self.posts if post.state is PostState.FREE and not post.owes_release
        ]
        if not free:
            return
        manned = [post.gpu for post in self.posts if post.state in MANNED]
        post = min(free, key=lambda post: (manned.count(post.gpu), post.number))
        self._man(post, now_s)
        # What was asked for is no news.
        told = self._orders.least != self._orders.most
        self._diary.note(Action.START, post.name, self._manned, reason, told=told)

    def _drain(self, now_s: float, reason: str) -> None:
        """Have a worker end in good order: an idle one, if there is, of the last layer."""
        manned = [post for post in self.posts if post.state in MANNED]
        post = max(manned, key=lambda post: (post.is_idle, post.number))
        if post.child is None:
            post.empty(PostState.FREE)
        else:
            post.state = PostState.DRAINING
            post.due_s = now_s + self._orders.drain_s + STOP_MARGIN_S
            post.child.terminate()
        self._diary.note(Action.DRAIN, post.name, self._manned, reason)

    def _man(self, post: Post, now_s: float) -> None:
        post.man(self._start(post), now_s)

    @property
    def _manned(self) -> int:
        return sum(post.state in MANNED for post in self.posts)

    def _room(self) -> Room:
        usable = [post for post in self.posts if post.state is not PostState.GIVEN_UP]
        return Room(
            host=self._orders.host,
            gpus=len({post.gpu for post in self.posts}),
            least=min(self._orders.least, len(usable)),
            most=min(self._orders.most, len(usable)),
            running=self._manned,
        )

    def _release(self, post: Post) -> None:
        if self._ask(lambda: self._view.bury(post.name)) is not None:
            post.owes_release = False

    def _ask(self, question: Callable[[], T]) -> T | None:
        """Return an answer, None if the broker is away, which is told once."""
        try:
            answer = question()
        except BrokerAway as error:
            if not self._is_away:
                self._is_away = True
                self._tell(f"the broker does not answer: {error}")
            return None
        if self._is_away:
            self._is_away = False
            self._tell("the broker answers again")
        return answer
