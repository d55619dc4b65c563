"""A puppet in the place of an engine's process."""

from __future__ import annotations

import os
import select
from itertools import pairwise
from queue import SimpleQueue
from typing import Any

import numpy as np

from worker.engine.fake import SAMPLE_RATE_HZ
from worker.engine.registry import EngineSpec


class Puppet:
    """Has the face of a `Host`; says what a test has it say, and dies when it is told to."""

    def __init__(self, spec: EngineSpec, env: object, ring_bytes: int) -> None:
        self.pid = id(self)
        self.alive = True
        self.tail = ["last words"]
        self.heard: list[dict[str, Any]] = []
        self.reason = "it was told to"
        self.ring = self
        self._audio = b""
        self._news: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self._news_fd = os.eventfd(0, os.EFD_NONBLOCK)

    def says(self, **message: Any) -> None:
        self._news.put(message)
        os.eventfd_write(self._news_fd, 1)

    def speaks(self, name: str, samples: np.ndarray, pieces: int = 1, said: int = 9) -> None:
        """Send a take, in so many pieces; of which it may say only some."""
        data = samples.tobytes()
        self._audio += data
        cuts = [len(data) * number // pieces for number in range(pieces + 1)]
        for start, end in list(pairwise(cuts))[:said]:
            left = len(data) - end
            self.says(
                audio=name,
                bytes=end - start,
                left=left,
                rate=SAMPLE_RATE_HZ,
                computed_s=0.5,
                trimmed_s=1.25,
                truncated=True,
            )

    def dies(self) -> None:
        self._news.put(None)
        os.eventfd_write(self._news_fd, 1)

    def read_into(self, target: memoryview) -> None:
        count = len(target)
        target[:], self._audio = self._audio[:count], self._audio[count:]

    def send(self, *messages: dict[str, Any]) -> None:
        self.heard += messages

    def wait(self, timeout_s: float, wake_fd: int) -> list[dict[str, Any]]:
        ready, _, _ = select.select([wake_fd, self._news_fd], [], [], timeout_s)
        messages = []
        if wake_fd in ready:
            os.eventfd_read(wake_fd)
        if self._news_fd in ready:
            os.eventfd_read(self._news_fd)
        while not self._news.empty():
            message = self._news.get()
            self.alive = self.alive and message is not None
            messages += [message] if message is not None else []
        return messages

    def kill(self, reason: str) -> None:
        self.alive = False
        self.reason = reason

    def bury(self, grace_s: float) -> str:
        os.close(self._news_fd)
        return self.reason

    @property
    def submitted(self) -> list[str]:
        return [message["submit"]["id"] for message in self.heard if "submit" in message]
