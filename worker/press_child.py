"""A press's own process: `python -m worker.press_child SOCKET MEMORY SPACE`.

It makes the files of short jobs: encoded, hashed, durable, published. It has one thread, so nothing
in it waits for an interpreter. Each order is a generator that stops wherever all that it has
written must be durable; then one sync serves all that have stopped, the files of some and the names
of others. What comes during a sync shares the next one.

It ends when the socket does, so it never outlives the worker that started it.

Incoming: `home` (once), `order` with its `number` and how many `bytes` of samples are in the ring.
Outgoing: `ready`, `told` (of some orders the entry, or in `words` why there is none).
"""

from __future__ import annotations

import faulthandler
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from producer.volumes import Volumes

from .durability import Sync, Volatile, sync_of
from .engine.channel import Channel, Message
from .engine.request import Samples
from .engine.ring import Ring
from .press_order import Order, encode_entry
from .staged import Steps
from .store import Store


class PressChild:
    """A store behind a channel and a ring."""

    def __init__(
        self, channel: Channel, ring: Ring, make_sync: Callable[[Path], Sync] = sync_of
    ) -> None:
        self._channel = channel
        self._ring = ring
        self._make_sync = make_sync
        self._store: Store
        self._sync: Sync
        #: Orders that have stopped: their numbers, their steps, and what must be durable.
        self._under_way: list[tuple[int, Steps, Path]] = []
        self._told: list[dict[str, Any]] = []

    def serve(self) -> None:
        """Do what the parent says, until it closes its end; then finish what was begun."""
        try:
            while True:
                for message in self._receive():
                    self._heed(message)
                self._turn()
        except EOFError:
            while self._under_way:
                self._turn()

    def _receive(self) -> list[Message]:
        """Wait for messages, unless there is something to sync."""
        if self._under_way and not select.select([self._channel], [], [], 0)[0]:
            return []
        return self._channel.receive()

    def _heed(self, message: Message) -> None:
        match message:
            case {"home": home}:
                volumes = Volumes(Path(home))
                # Whoever goes through the steps makes them durable: that is the sync below.
                self._store = Store(volumes, Volatile())
                self._sync = self._make_sync(volumes.processed)
                self._channel.send({"ready": True})
            case {"order": fields, "number": number, "bytes": count}:
                samples = np.empty(count // np.float32().itemsize, np.float32)
                self._ring.read_into(samples.view(np.uint8).data)
                steps = _pressed(self._store, fields, samples)
                self._advance(number, steps, partial(next, steps))

    def _turn(self) -> None:
        """Make durable what has stopped, have it go on, and tell of what has ended."""
        group, self._under_way = self._under_way, []
        failure = self._sync_all([path for _, _, path in group]) if group else None
        for number, steps, _ in group:
            self._advance(number, steps, _going_on(steps, failure))
        if self._told:
            self._channel.send({"told": self._told})
            self._told = []

    def _advance(self, number: int, steps: Steps, step: Callable[[], Path]) -> None:
        try:
            self._under_way.append((number, steps, step()))
        except StopIteration as end:
            self._told.append({"number": number, "entry": encode_entry(end.value)})
        # Whatever it is: the worker meets it again, where it can be told.
        except Exception as error:  # noqa: BLE001
            self._told.append({"number": number, "words": str(error) or repr(error)})

    def _sync_all(self, paths: Sequence[Path]) -> OSError | None:
        try:
            self._sync.sync(paths)
        except OSError as error:
            return error
        return None


def _pressed(store: Store, fields: Message, samples: Samples) -> Steps:
    order = Order.decode(fields)
    with store.stage(order.key, order.output, order.sample_rate_hz) as staged:
        staged.write(samples, order.sample_rate_hz)
        return (yield from staged.steps(order.facts))


def _going_on(steps: Steps, failure: OSError | None) -> Callable[[], Path]:
    if failure is None:
        return partial(next, steps)
    return partial(steps.throw, OSError(failure.errno, failure.strerror))


def main(arguments: Sequence[str]) -> None:
    """Serve the parent on the descriptors that it has passed."""
    # Ctrl-C reaches the whole terminal; what it means is the parent's to decide.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    socket_fd, memory_fd, space_fd = map(int, arguments)
    channel = Channel(socket.socket(fileno=socket_fd))
    PressChild(channel, Ring(memory_fd, space_fd)).serve()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
