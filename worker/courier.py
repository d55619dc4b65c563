"""The courier: one thread and one connection carry the commands of all jobs to Redis.

A question of its own costs a thread some ten calls of the system, and after each of them it
waits until the interpreter is free for it again. So who asks hands the command over and sleeps
until the reply is there: who comes during a round trip shares the next one, and those of many
jobs cost what one does.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Final

import redis as redis_py
from celery.utils.log import get_logger
from redis import Redis
from redis.backoff import ExponentialWithJitterBackoff

logger = get_logger(__name__)

#: How long a trip waits for more commands behind one that was shared: hundreds come a second
#: then. Behind one that carried a single command it waits for none.
GATHER_S: Final = 0.005

#: Commands of one round trip at most: the first of them wait for the last one's reply.
MOST: Final = 500

#: Between two tries while Redis does not answer: the first pause, which doubles, and the longest.
PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 5.0

#: How often Redis may refuse a command that nobody waits for, and the pause before it goes again.
REFUSALS: Final = 30
REFUSED_S: Final = 0.25

_STOPPED: Final = "the courier has stopped"

#: How long a close may take while Redis does not answer.
CLOSE_S: Final = 1.0


class _Question:
    """A command, and the thread that waits for what comes back."""

    __slots__ = ("_error", "_failures", "_is_back", "_reply", "command", "options")

    def __init__(self, command: tuple[Any, ...], options: dict[str, Any]) -> None:
        self.command = command
        self.options = options
        self._failures = 0
        self._reply: Any = None
        self._error: BaseException | None = None
        # Held until it is back: the least of what a thread can sleep on.
        self._is_back = threading.Lock()
        self._is_back.acquire()

    def wait(self) -> Any:
        """Return the reply, or raise what came in its place."""
        self._is_back.acquire()
        if self._error is not None:
            raise self._error
        return self._reply

    def bring(self, reply: Any) -> bool:
        """Wake up who waits, with a reply or an exception; True if the command goes again."""
        if isinstance(reply, BaseException):
            self._error = reply
        else:
            self._reply = reply
        self._is_back.release()
        return False

    def fail(self, error: Exception, retries: int) -> bool:
        """Note a trip that was in vain; True if the command goes again."""
        self._failures += 1
        if self._failures <= retries:
            return True
        # One of its own: others raise theirs at the same time.
        timed_out = isinstance(error, redis_py.TimeoutError)
        own = (redis_py.TimeoutError if timed_out else redis_py.ConnectionError)(str(error))
        own.__cause__ = error
        return self.bring(own)


class _Errand:
    """A command that nobody waits for: it goes until it succeeds."""

    __slots__ = ("_refusals", "command", "options")

    def __init__(self, command: tuple[Any, ...]) -> None:
        self.command = command
        self.options: dict[str, Any] = {}
        self._refusals = 0

    def bring(self, reply: Any) -> bool:
        """See `_Question`. What Redis goes on to refuse is given up: it would go for ever."""
        if not isinstance(reply, BaseException):
            return False
        self._refusals += 1
        logger.warning("Redis refuses %s: %s", self.command[0], reply)
        return self._refusals < REFUSALS

    def fail(self, error: Exception, retries: int) -> bool:
        """See `_Question`."""
        return True


_Parcel = _Question | _Errand


class Courier:
    """Thread-safe. Commands go in the order in which they came, as do those that go again."""

    def __init__(self, redis: Redis, retries: int = 1) -> None:
        """`redis` tries once or twice at a time; a command fails after `retries` trips more."""
        #: A client whose commands the courier carries. Its pipelines travel by themselves.
        self.client: Redis = _Client(self, redis)
        self._redis = redis
        self._retries = retries
        self._backoff = ExponentialWithJitterBackoff(base=PAUSE_S, cap=LONGEST_PAUSE_S)
        #: None wakes the thread for its end.
        self._counter: SimpleQueue[_Parcel | None] = SimpleQueue()
        #: What Redis has refused, and when it goes again; meanwhile it holds up nothing.
        self._refused: list[_Parcel] = []
        self._again_s = 0.0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        """How many commands wait for the next trip, beside those that travel."""
        return self._counter.qsize()

    def ask(self, *command: Any, **options: Any) -> Any:
        """Return Redis' reply to one command, in the terms of `Redis.execute_command`.

        Raises what that would raise, and `redis.ConnectionError` once the courier is closed.
        """
        question = _Question(command, options)
        if not self._accept(question):
            raise redis_py.ConnectionError(_STOPPED)
        return question.wait()

    def send(self, *command: Any) -> None:
        """Have a command carried that nobody waits for, again and again until it succeeds.

        Nothing comes of it once the courier is closed.
        """
        self._accept(_Errand(command))

    def close(self, limit_s: float = CLOSE_S) -> None:
        """Carry what is there, once, then stop; whoever still waits gets a `ConnectionError`."""
        with self._lock:
            self._closing.set()
            self._counter.put(None)
        if self._thread is not None:
            self._thread.join(limit_s)

    def _accept(self, parcel: _Parcel) -> bool:
        with self._lock:
            if self._closing.is_set():
                return False
            if self._thread is None:
                # Not before it is needed: a thread does not survive a fork.
                self._thread = threading.Thread(target=self._run, name="courier", daemon=True)
                self._thread.start()
            self._counter.put(parcel)
            return True

    def _run(self) -> None:
        left: list[_Parcel] = []
        due_s, failures = 0.0, 0
        try:
            while load := self._load(left, due_s):
                departed_s = time.monotonic()
                left = self._carry(load)
                if left and self._closing.is_set():
                    break
                failures = failures + 1 if left else 0
                due_s = departed_s + GATHER_S if len(load) > 1 else departed_s
                if left:
                    due_s = time.monotonic() + self._backoff.compute(failures)
        finally:
            with self._lock:
                # Nobody may wait for a courier that is gone, whatever has ended it.
                self._closing.set()
            for parcel in left + self._taken(self._counter.qsize()):
                parcel.bring(redis_py.ConnectionError(_STOPPED))

    def _load(self, left: list[_Parcel], due_s: float) -> list[_Parcel]:
        """Return what goes next, what is `left` of the last trip first; nothing at the end."""
        load = left or self._awaited()
        if (wait_s := due_s - time.monotonic()) > 0:
            self._closing.wait(wait_s)
        if time.monotonic() >= self._again_s:
            load = self._returned() + load
        return load + self._taken(MOST - len(load))

    def _awaited(self) -> list[_Parcel]:
        """Wait for one parcel, or for what goes again; none comes once the courier closes."""
        if self._closing.is_set():
            return []
        wait_s = max(0.0, self._again_s - time.monotonic()) if self._refused else None
        try:
            parcel = self._counter.get(timeout=wait_s)
        except Empty:
            return self._returned()
        return [] if parcel is None else [parcel]

    def _returned(self) -> list[_Parcel]:
        refused, self._refused = self._refused, []
        return refused

    def _taken(self, most: int) -> list[_Parcel]:
        """Return what is there, without waiting."""
        taken: list[_Parcel] = []
        with suppress(Empty):
            while len(taken) < most:
                parcel = self._counter.get_nowait()
                if parcel is not None:
                    taken.append(parcel)
        return taken

    def _carry(self, load: list[_Parcel]) -> list[_Parcel]:
        """Make one round trip and bring what came back; return what goes again if it failed."""
        try:
            replies = self._round_trip(load)
        except (redis_py.ConnectionError, redis_py.TimeoutError) as error:
            logger.warning("%d commands wait for the broker: %s", len(load), error)
            return [parcel for parcel in load if parcel.fail(error, self._retries)]
        except Exception as error:  # noqa: BLE001 - it is one command's, whichever that is
            if len(load) > 1:
                return [left for parcel in load for left in self._carry([parcel])]
            replies = [error]
        for parcel, reply in zip(load, replies, strict=True):
            if parcel.bring(reply):
                self._refused.append(parcel)
                self._again_s = time.monotonic() + REFUSED_S
        return []

    def _round_trip(self, load: list[_Parcel]) -> list[Any]:
        with self._redis.pipeline(transaction=False) as pipe:
            for parcel in load:
                pipe.execute_command(*parcel.command, **parcel.options)
            return pipe.execute(raise_on_error=False)


class _Client(Redis):
    """Asks by the courier what it would ask on a connection of its own."""

    def __init__(self, courier: Courier, redis: Redis) -> None:
        super().__init__(connection_pool=redis.connection_pool)
        self._courier = courier

    def execute_command(self, *command: Any, **options: Any) -> Any:
        """See `Courier.ask`."""
        return self._courier.ask(*command, **options)
