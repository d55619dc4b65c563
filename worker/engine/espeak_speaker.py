"""The handle on the process in which espeak-ng speaks."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any, Final

import numpy as np

from . import espeak_child
from .affinity import unpinned
from .errors import ChunkFailed, EngineError
from .request import Samples

#: Full scale of 16 bit samples.
_FULL_SCALE: Final = np.float32(32768)


class EspeakSpeaker:
    """Asks one question at a time; starts the process, and starts it again if it is gone."""

    def __init__(self, library: Path, data: Path) -> None:
        """Start it and learn `version` and `sample_rate_hz`. Raises `EngineError`."""
        # The library has a thread, which sleeps; Python 3.12 would warn of it at every fork.
        options = ("-I", "-S", "-W", "ignore::DeprecationWarning")
        self._command = (sys.executable, *options, espeak_child.__file__, str(library), str(data))
        try:
            self._start()
        except ChunkFailed as error:
            raise EngineError(f"espeak-ng does not work: {error}") from error

    def speak(self, text: str, *, voice: str, rate_wpm: int, word_gap: int, seed: int) -> Samples:
        """Return the samples of `text`; equal arguments give equal samples.

        `voice` is a file below the data's `lang`, with `+variant` if one is wanted; `word_gap`
        is in the library's own unit; `seed` decides the noise of breathy voices. Raises
        `ChunkFailed`, also where the text has crashed the library.
        """
        asked = {"voice": voice, "rate_wpm": rate_wpm, "word_gap": word_gap, "seed": seed}
        samples = np.frombuffer(self._ask({"text": text, **asked}), np.int16)
        return samples.astype(np.float32) / _FULL_SCALE

    def close(self) -> None:
        """End the process: it does when its stdin is closed."""
        with suppress(BrokenPipeError), self._process:
            pass

    def _start(self) -> None:
        with unpinned():
            self._process = Popen(self._command, stdin=PIPE, stdout=PIPE)
        facts = json.loads(self._answer())
        self.version: str = facts["version"]
        self.sample_rate_hz: int = facts["sample_rate_hz"]

    def _ask(self, request: dict[str, Any]) -> bytes:
        if self._process.poll() is not None:
            self.close()
            self._start()
        requests = self._process.stdin
        assert requests is not None  # noqa: S101 - it was asked for
        try:
            requests.write(json.dumps(request).encode() + b"\n")
            requests.flush()
        except BrokenPipeError as error:
            raise ChunkFailed("the process of espeak-ng has died") from error
        return self._answer()

    def _answer(self) -> bytes:
        status, length = espeak_child.HEADER.unpack(self._read(espeak_child.HEADER.size))
        payload = self._read(length)
        if status != espeak_child.DONE:
            raise ChunkFailed(payload.decode())
        return payload

    def _read(self, count: int) -> bytes:
        answers = self._process.stdout
        assert answers is not None  # noqa: S101 - it was asked for
        data = answers.read(count)
        if len(data) < count:
            self.close()
            raise ChunkFailed("the process of espeak-ng has died")
        return data
