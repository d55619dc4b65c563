"""The take shelf: the audio of single chunks, by content key, for whoever asks for one again.

    processed/.takes/<first two of key>/<key>    a line of JSON, then samples

Samples are float32, or float16 where that is all there is to them: a GPU's vocoder computes in half
precision, and a fast farm writes more to its shelf than to its files. So a take is kept exactly as
the engine gave it, and a file is the same to the bit whether its takes were computed or found.
Nothing here is durable, nor has to be: each take proves itself by its hash, and one that is missing
or broken is computed again. A fast farm could fill a disk between two housekeepings, so whoever
keeps much makes room itself.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from celery.utils.log import get_logger

from producer.content_key import is_key
from producer.volumes import TAKES, Volumes

from .engine.affinity import unpinned
from .engine.request import Take
from .gathered import write_gathered
from .tidiness import Thing, over_budget

logger = get_logger(__name__)

#: After so much of the budget a worker makes room. Several go beyond it by that much each.
STEP: Final = 0.1

#: How samples lie in a file; without a word about it the first.
_WHOLE: Final = "<f4"
_HALF: Final = "<f2"

#: Samples by which a take is judged first.
_LOOK_SAMPLES: Final = 1024

#: Ends the name of a take on its way in.
_PART: Final = ".part"


class TakeShelf:
    """The takes on the volume. Thread-safe, and safe beside other workers."""

    def __init__(self, volumes: Volumes, budget_bytes: int) -> None:
        self._volumes = volumes
        self._budget_bytes = budget_bytes
        #: Together they name what is on its way, of all that any worker has on its way.
        self._life, self._numbers = uuid.uuid4().hex, itertools.count()
        self._counting = threading.Lock()
        self._kept_bytes = 0

    def has(self, key: str) -> bool:
        """Return whether there is a take of `key`, whole or not."""
        return self._volumes.take(key).exists()

    def find(self, key: str) -> Take | None:
        """Return the take of `key`; None if there is none that is whole."""
        file = self._volumes.take(key)
        try:
            content = file.read_bytes()
            # Its time is that of its last use, for the housekeeping.
            os.utime(file)
        except OSError:
            return None
        return _decoded(content)

    def keep(self, key: str, take: Take) -> None:
        """Keep a take. A volume that does not want it costs nothing but the next computation."""
        file, pieces = self._volumes.take(key), _encoded(take)
        part = file.with_name(f"{key}.{self._life}{next(self._numbers):x}{_PART}")
        try:
            _write(part, pieces)
            part.replace(file)
            if self._is_much(sum(map(len, pieces))):
                for thing in self.surplus():
                    self.remove(thing)
        except OSError as error:
            logger.warning("the take %s is not kept: %s", key[:12], error.strerror)
            with suppress(OSError):
                part.unlink(missing_ok=True)

    def surplus(self) -> list[Thing]:
        """Return what is beyond the budget, the least recently used."""
        return over_budget(self.things(), self._budget_bytes, 0.0, math.inf)

    def things(self) -> Iterator[Thing]:
        """Yield all takes, and what dead workers left of some."""
        for file in (self._volumes.processed / TAKES).glob("??/*"):
            with suppress(FileNotFoundError):
                facts = file.stat()
                yield Thing(file.name, facts.st_size, facts.st_mtime)

    def remove(self, thing: Thing) -> bool:
        """Remove a take; False if it is gone. Who is reading it has it open."""
        key, _, rest = thing.name.partition(".")
        if not is_key(key):
            return False
        file = self._volumes.take(key)
        try:
            _beside(file, rest).unlink()
        except FileNotFoundError:
            return False
        return True

    def _is_much(self, size_bytes: int) -> bool:
        """Count what was kept; true now and then, for one thread."""
        with self._counting:
            self._kept_bytes += size_bytes
            if self._kept_bytes < self._budget_bytes * STEP:
                return False
            self._kept_bytes = 0
            return True


def _beside(file: Path, rest: str) -> Path:
    return file.with_name(f"{file.name}.{rest}") if rest else file


def _write(part: Path, pieces: Sequence[memoryview]) -> None:
    """Write a new file."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        descriptor = os.open(part, flags, 0o666)
    except FileNotFoundError:
        # `processed` itself is never made here: see `Store.stage`.
        for directory in (part.parent.parent, part.parent):
            directory.mkdir(exist_ok=True)
        descriptor = os.open(part, flags, 0o666)
    try:
        write_gathered(descriptor, pieces)
    finally:
        os.close(descriptor)


@unpinned()
def _encoded(take: Take) -> tuple[memoryview, memoryview]:
    """Return the line and the samples, both in bytes; the samples are not copied."""
    narrowed = _narrowed(np.ascontiguousarray(take.samples, dtype=_WHOLE))
    samples = narrowed.view(np.uint8).data
    facts = {
        "sha256": hashlib.sha256(samples).hexdigest(),
        "sample_rate_hz": take.sample_rate_hz,
        "trimmed_s": take.trimmed_s,
        "truncated": take.truncated,
    }
    if narrowed.dtype == _HALF:
        facts["dtype"] = _HALF
    return memoryview(json.dumps(facts).encode() + b"\n"), samples


def _narrowed(samples: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return samples in half the bytes if not one bit is lost by that, else as they are."""
    # Most that do not fit are known by their beginning.
    for part in (samples[:_LOOK_SAMPLES], samples):
        with np.errstate(over="ignore"):
            half = part.astype(_HALF)
        if not np.array_equal(half, part):
            return samples
    return half


@unpinned()
def _decoded(content: bytes) -> Take | None:
    """Read a take; None if it is not what was kept."""
    head, _, samples = content.partition(b"\n")
    try:
        facts = json.loads(head)
        if hashlib.sha256(samples).hexdigest() != facts.pop("sha256"):
            return None
        if (dtype := facts.pop("dtype", _WHOLE)) not in (_WHOLE, _HALF):
            return None
        return Take(np.frombuffer(samples, dtype).astype(np.float32, copy=False), **facts)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
