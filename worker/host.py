"""One life of the engine's own process: started, spoken with, and buried."""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import sys
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT, Popen, TimeoutExpired
from typing import Final

from producer.child_process import leashed

from .engine.affinity import unpinned
from .engine.channel import Channel, Message
from .engine.registry import EngineSpec
from .engine.ring import Ring

logger = logging.getLogger(__name__)

#: Where `python -m worker.engine.child` is found.
_ROOT: Final = Path(__file__).resolve().parent.parent

#: How many of its last lines are told when it has died.
_TAIL_LINES: Final = 12


class Host:
    """A running engine process. Used by one thread, which must outlive it."""

    def __init__(self, spec: EngineSpec, env: Mapping[str, str] | None, ring_bytes: int) -> None:
        """Start the process; `env` None gives it this process's environment."""
        ours, theirs = socket.socketpair()
        self.ring = Ring.create(ring_bytes)
        fds = (theirs.fileno(), *self.ring.fds)
        with theirs, unpinned():
            self._process = Popen(
                leashed(sys.executable, "-m", "worker.engine.child", *map(str, fds)),
                cwd=_ROOT,
                env=env,
                pass_fds=fds,
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=STDOUT,
            )
        self.pid = self._process.pid
        self.alive = True
        self._reason = ""
        #: The last lines of its output.
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._output_fd = _output_of(self._process)
        os.set_blocking(self._output_fd, False)
        # The process itself is watched too: a child of its own could keep the socket open.
        self._pid_fd = os.pidfd_open(self.pid)
        self._watched = {self._pid_fd, self._output_fd}
        ours.setblocking(False)
        self._channel = Channel(ours)
        self._channel.send({"start": spec.encode()})

    def send(self, *messages: Message) -> None:
        """Send messages, together, without waiting."""
        self._channel.send(*messages)

    def wait(self, timeout_s: float, wake_fd: int) -> list[Message]:
        """Wait until the process says something, dies, or `wake_fd` can be read, and read that.

        Returns what it said. Once `alive` is False nothing more will come.
        """
        poll = select.poll()
        for fd in (wake_fd, *self._watched):
            poll.register(fd, select.POLLIN)
        poll.register(self._channel, select.POLLIN | select.POLLOUT * self._channel.has_unsent)
        ready = dict(poll.poll(timeout_s * 1000))
        # Before anything is looked at again, so that no news can be missed.
        if wake_fd in ready:
            os.eventfd_read(wake_fd)
        if self._output_fd in ready:
            self._log_output()
        if self._channel.has_unsent:
            self._channel.flush()
        messages: list[Message] = []
        if self._pid_fd in ready:
            messages = self._receive_all()
            self.alive = False
        elif self._channel.fileno() in ready:
            messages = self._receive()
        return messages

    def kill(self, reason: str) -> None:
        """End the process at once; `reason` is what its burial will tell."""
        self._reason = reason
        self.alive = False
        self._process.kill()

    def bury(self, grace_s: float) -> str:
        """Let the process end, by force after `grace_s`; return why it died."""
        self._channel.close()
        try:
            code = self._process.wait(grace_s)
        except TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._log_output()
        self.ring.close()
        os.close(self._pid_fd)
        self._process.__exit__(None, None, None)
        return self._reason or _ending(code)

    def _receive(self) -> list[Message]:
        """Read once: what is left is told of by the next look."""
        try:
            return self._channel.receive()
        except BlockingIOError:
            pass
        except EOFError:
            self.alive = False
        return []

    def _receive_all(self) -> list[Message]:
        """Read what the process has said before it died."""
        messages = []
        with suppress(BlockingIOError, EOFError):
            while True:
                messages += self._channel.receive()
        return messages

    def _log_output(self) -> None:
        try:
            output = os.read(self._output_fd, 1 << 16)
        except BlockingIOError:
            return
        if not output:
            self._watched.discard(self._output_fd)
        for line in output.decode(errors="replace").splitlines():
            logger.info("engine process %d: %s", self.pid, line)
            self.tail.append(line)


def _output_of(process: Popen[bytes]) -> int:
    assert process.stdout is not None  # noqa: S101 - it was asked for
    return process.stdout.fileno()


def _ending(code: int) -> str:
    if code < 0:
        return f"it was killed by {signal.Signals(-code).name}"
    return f"it exited with status {code}"
