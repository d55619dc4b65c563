"""A press: a process that makes the files of short jobs, as its worker sees it.

It has an interpreter of its own. In the worker's, each call of the system and each pass over
samples lets another of its hundreds of threads in, and has to wait for its turn again.

A press promises nothing. An order that it does not fulfil, because it died or met an error, comes
back empty, and whoever gave it makes the file himself: nothing is lost but time, and errors are
met where they can be told.
"""

from __future__ import annotations

import logging
import socket
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from itertools import count
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import Final

import numpy as np

from producer.child_process import child_environment, leashed

from .engine.affinity import unpinned
from .engine.channel import Channel, Message
from .engine.request import Samples
from .engine.ring import Ring
from .press_order import Order, decode_entry
from .staged import Entry

logger = logging.getLogger(__name__)

#: Samples on their way into a press: more than fifty jobs of 6 s at 24 kHz.
RING_BYTES: Final = 32 << 20

#: How often in a row a press may die before it has made one file.
TRIES: Final = 3

#: How long one may take to finish what it has begun when its worker stops.
CLOSE_S: Final = 5.0

#: Where `python -m worker.press_child` is found.
_ROOT: Final = Path(__file__).resolve().parent.parent

#: A press is one core's work: numpy starts no threads in it.
_ONE_THREAD: Final = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


class Press:
    """One press, started again when it dies. Thread-safe."""

    def __init__(self, home: Path, ring_bytes: int = RING_BYTES) -> None:
        """Start it, behind the caller's back."""
        self._home = home.absolute()
        self._ring_bytes = ring_bytes
        self._lock = threading.Lock()
        #: The way to its process; None while there is none that takes orders.
        self._line: tuple[Channel, Ring] | None = None
        self._end: socket.socket | None = None
        self._process: Popen[bytes] | None = None
        self._numbers = count()
        self._orders: dict[int, Future[Entry | None]] = {}
        self._tries_left = TRIES
        self._closing = threading.Event()
        # It starts the process too, which would not outlive the thread of a job.
        self._thread = threading.Thread(target=self._run, name="press", daemon=True)
        self._thread.start()

    @property
    def is_ready(self) -> bool:
        """True while it takes orders."""
        return self._line is not None

    @property
    def pid(self) -> int | None:
        """The number of its process."""
        return self._process.pid if self._process else None

    @property
    def in_hand(self) -> int:
        """How many orders it has."""
        return len(self._orders)

    def order(self, order: Order, blocks: Sequence[Samples]) -> Future[Entry | None] | None:
        """Order a file of these samples; None if there is no room. The future never fails."""
        parts = [np.ascontiguousarray(block).data.cast("B") for block in blocks if len(block)]
        size_bytes = sum(map(len, parts))
        message = {"order": order.encode(), "bytes": size_bytes}
        promise: Future[Entry | None] = Future()
        with self._lock:
            if self._line is None:
                return None
            channel, ring = self._line
            if ring.free_bytes < size_bytes:
                return None
            for part in parts:
                ring.write(part)
            number = next(self._numbers)
            self._orders[number] = promise
            channel.send({**message, "number": number})
        return promise

    def close(self) -> None:
        """Let it finish what it has, then stop."""
        self._closing.set()
        with self._lock:
            self._line = None
            self._let_go()
        self._thread.join(CLOSE_S)
        if self._thread.is_alive() and self._process is not None:
            self._process.kill()
            self._thread.join(CLOSE_S)

    def _run(self) -> None:
        while self._tries_left and not self._closing.is_set():
            try:
                self._live()
            except OSError as error:
                logger.warning("a press cannot be started: %s", error)
            if not self._closing.is_set():
                self._tries_left -= 1
                logger.warning("a press is gone; its jobs' files are made by the worker itself")

    def _live(self) -> None:
        ours, theirs = socket.socketpair()
        ring = Ring.create(self._ring_bytes)
        fds = (theirs.fileno(), *ring.fds)
        with theirs, unpinned():
            process = Popen(
                leashed(sys.executable, "-m", "worker.press_child", *map(str, fds)),
                cwd=_ROOT,
                env=child_environment(**_ONE_THREAD),
                pass_fds=fds,
                stdin=DEVNULL,
            )
        channel = Channel(ours)
        channel.send({"home": str(self._home)})
        with self._lock:
            self._process, self._end = process, ours
            if self._closing.is_set():
                self._let_go()
        try:
            while True:
                for message in channel.receive():
                    self._heed(message, channel, ring)
        except EOFError:
            pass
        finally:
            self._hang_up()
            process.kill()
            process.wait()
            ring.close()
            channel.close()

    def _heed(self, message: Message, channel: Channel, ring: Ring) -> None:
        match message:
            case {"ready": True}:
                with self._lock:
                    self._line = None if self._closing.is_set() else (channel, ring)
            case {"told": told}:
                self._tries_left = TRIES
                for answer in told:
                    self._keep(answer)

    def _keep(self, answer: Message) -> None:
        entry = decode_entry(answer["entry"]) if "entry" in answer else None
        if entry is None:
            logger.warning("a press could not keep a file: %s", answer["words"])
        self._orders.pop(answer["number"]).set_result(entry)

    def _let_go(self) -> None:
        """Have the process end once it has done what it was told."""
        if self._end is not None:
            with suppress(OSError):
                self._end.shutdown(socket.SHUT_WR)

    def _hang_up(self) -> None:
        with self._lock:
            self._line = self._end = None
            orders, self._orders = self._orders, {}
        for promise in orders.values():
            promise.set_result(None)
