"""Long recordings on their way into other voices: a bit of one of them at a time, in turns."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from .converter import LongSource, VoiceConverter
from .device_fault import is_device_fault
from .errors import ChunkFailed, EngineError, EngineOutOfMemory
from .lifecycle import Facts
from .model import Outcome
from .progress import Progress
from .request import ConversionRequest, Recording, Sound

logger = logging.getLogger(__name__)

#: How many are under way at the same time; the others wait. Each keeps its voice in memory.
AT_ONCE: Final = 4

#: The name of a long take in its scratch directory.
TAKE: Final = "take.f32"


@dataclass(slots=True, eq=False)
class _Work:
    source: LongSource
    bits: Generator[Progress, None, int] | None = None
    progress: Progress | None = None


class LongWork:
    """Called from the engine's thread alone, but for `len` and `facts`."""

    def __init__(self, converter: VoiceConverter) -> None:
        self._converter = converter
        self._line: deque[_Work] = deque()
        # Replaced, never changed: other threads may be reading it.
        self._far: Mapping[str, str] = {}

    def __len__(self) -> int:
        return len(self._line)

    def __contains__(self, chunk_id: object) -> bool:
        return any(one.source.id == chunk_id for one in self._line)

    def facts(self) -> Facts:
        """Return the encoded `Progress` of each, under the name that `fact_of` gives it."""
        return self._far

    def add(self, chunk_id: str, recording: Recording, wanted: ConversionRequest) -> None:
        """Put a recording at the end."""
        scratch = Path(recording.scratch)
        source = LongSource(chunk_id, Path(recording.path), wanted, scratch, scratch / TAKE)
        self._line.append(_Work(source))

    def drop(self, chunk_id: str) -> None:
        """Forget a recording and what was made of it; one that is not here is no error."""
        for work in [one for one in self._line if one.source.id == chunk_id]:
            self._line.remove(work)
            if work.bits is not None:
                work.bits.close()
            work.source.target.unlink(missing_ok=True)

    def turn(self) -> dict[str, Outcome]:
        """Do one bit of whoever is next, and return what has come to its end."""
        if not self._line:
            return {}
        work = self._line.popleft()
        outcome = self._bit(work)
        if outcome is None:
            # Behind those that are under way, before those that wait.
            self._line.insert(AT_ONCE - 1, work)
        self._far = {
            fact_of(one.source.id): one.progress.encode() for one in self._line if one.progress
        }
        return {} if outcome is None else {work.source.id: outcome}

    def _bit(self, work: _Work) -> Outcome | None:
        """Return what has become of it, None while there is more to do."""
        source = work.source
        try:
            if work.bits is None:
                work.bits = self._converter.convert_long(source)
            work.progress = next(work.bits)
        except StopIteration as end:
            return _mapped(source.target, end.value)
        except EngineError as error:
            return error
        except MemoryError as error:
            return EngineOutOfMemory(f"the recording does not fit into memory: {error}")
        except OSError as error:
            return ChunkFailed(f"the recording cannot be converted: {error.strerror or error}")
        except Exception as error:
            if is_device_fault(error):
                raise
            logger.exception("the conversion of a long recording failed")
            return ChunkFailed(f"{type(error).__name__}: {error}")
        return None


def fact_of(chunk_id: str) -> str:
    """Return the name of the fact how far a long recording is."""
    return f"converting {chunk_id}"


def _mapped(file: Path, rate_hz: int) -> Outcome:
    if not file.stat().st_size:
        return ChunkFailed("nothing is left of the recording")
    return Sound(np.memmap(file, np.float32, "r"), sample_rate_hz=rate_hz, file=str(file))
