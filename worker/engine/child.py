"""The engine's own process: `python -m worker.engine.child SOCKET MEMORY SPACE`.

It takes requests from its socket and runs them through an `Engine`. Messages go back the
same way, audio through the ring. It ends when the socket does, so it never outlives the
process that started it.

Incoming: `start` (an engine's spec), `submit` (a request), `cancel` (an id).
Outgoing: `phase`, `offer` (again when it has changed), `beat` (the step counter), `audio` (a piece
of a take), `failed`.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import asdict
from functools import partial
from queue import SimpleQueue
from typing import Final

import numpy as np

from .channel import Channel, Message
from .engine import Engine
from .errors import EngineError
from .lifecycle import Facts, Phase
from .model import ModelOffer
from .registry import EngineSpec, build, build_converter
from .request import ChunkRequest, Take
from .ring import Ring

#: How often the parent is told how far the engine has come.
BEAT_S: Final = 0.25

#: How long a step may take to end when the parent is gone.
CLOSE_S: Final = 1.0

#: Facts that the worker's side cannot count by itself begin with one of these.
CROSSING: Final = ("rvc_", "convert")


class EngineChild:
    """An engine behind a channel and a ring."""

    def __init__(self, channel: Channel, ring: Ring) -> None:
        self._channel = channel
        self._ring = ring
        self._engine: Engine | None = None
        self._broken = False
        self._told_offer: ModelOffer | None = None
        self._told_facts: Facts = {}
        # The engine's thread never waits for the parent: the postman does.
        self._post: SimpleQueue[Callable[[], None]] = SimpleQueue()

    def serve(self) -> None:
        """Do what the parent says, until it closes its end."""
        threading.Thread(target=self._deliver_post, daemon=True).start()
        try:
            while True:
                for message in self._channel.receive():
                    self._heed(message)
        except EOFError:
            if self._engine is not None:
                self._engine.close(CLOSE_S)

    def _heed(self, message: Message) -> None:
        match message:
            case {"start": spec}:
                self._start(EngineSpec.decode(spec))
            case {"submit": request} if self._engine is not None:
                future = self._engine.submit(ChunkRequest.decode(request))
                future.add_done_callback(partial(self._on_take, request["id"]))
            case {"cancel": request_id} if self._engine is not None:
                self._engine.cancel(request_id)

    def _start(self, spec: EngineSpec) -> None:
        try:
            model = build(spec.name, spec.options)
            converter = build_converter(spec.converter, spec.converter_options)
        except EngineError as error:
            self._on_phase(Phase.BROKEN, str(error))
            return
        self._engine = Engine(
            model,
            converter,
            slots=spec.slots,
            interactive_share=spec.interactive_share,
            awaited_share=spec.awaited_share,
            on_phase=self._on_phase,
        )
        self._engine.start()
        threading.Thread(target=self._beat, args=(self._engine,), daemon=True).start()

    def _on_phase(self, phase: Phase, detail: str) -> None:
        self._broken = phase is Phase.BROKEN
        if phase is Phase.READY and self._engine is not None:
            self._tell_offer(self._engine.offer())
        else:
            self._tell({"phase": phase.value, "detail": detail})

    def _on_take(self, request_id: str, future: Future[Take]) -> None:
        # The parent ends this process, and has what was in it computed again.
        if self._broken:
            return
        error = future.exception()
        if error is None:
            self._post.put(partial(self._send_take, request_id, future.result()))
        else:
            kind = type(error).__name__
            self._tell({"failed": request_id, "error": kind, "words": str(error)})

    def _beat(self, engine: Engine) -> None:
        while True:
            facts = engine.snapshot()
            self._tell({"beat": facts["steps"]})
            crossing = {name: fact for name, fact in facts.items() if name.startswith(CROSSING)}
            if crossing != self._told_facts:
                self._told_facts = crossing
                self._tell({"facts": crossing})
            if self._told_offer is not None and engine.offer() is not self._told_offer:
                self._tell_offer(engine.offer())
            time.sleep(BEAT_S)

    def _tell_offer(self, offer: ModelOffer) -> None:
        self._told_offer = offer
        self._tell({"offer": asdict(offer)})

    def _tell(self, message: Message) -> None:
        self._post.put(partial(self._channel.send, message))

    def _deliver_post(self) -> None:
        while True:
            self._post.get()()

    def _send_take(self, request_id: str, take: Take) -> None:
        # What is in a file is read from there.
        samples = take.samples[:0] if take.file else take.samples
        left = np.ascontiguousarray(samples, np.float32).view(np.uint8).data
        while True:
            count = self._ring.write(left)
            left = left[count:]
            self._channel.send(
                {
                    "audio": request_id,
                    "bytes": count,
                    "left": len(left),
                    "rate": take.sample_rate_hz,
                    "computed_s": take.computed_s,
                    "trimmed_s": take.trimmed_s,
                    "truncated": take.truncated,
                    "file": take.file,
                }
            )
            if not left:
                return


def main(arguments: Sequence[str]) -> None:
    """Serve the parent on the descriptors that it has passed."""
    # Ctrl-C reaches the whole terminal; what it means is the parent's to decide.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    socket_fd, memory_fd, space_fd = map(int, arguments)
    channel = Channel(socket.socket(fileno=socket_fd))
    EngineChild(channel, Ring(memory_fd, space_fd)).serve()
    # Not `sys.exit`: a model that hangs must not keep the process.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
