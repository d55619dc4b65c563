"""Does a second worker on one GPU gain anything? One engine with all rows, or two with half each.

    python -m tests.bench.gpu_second               # one GPU, about a minute and a half
    python -m tests.bench.gpu_second --tiny        # the way, on a processor

Engines in processes of their own as workers have them, the published shapes with random weights,
chunks of 5 s without end.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Final

from tests.bench.gpu_scene import LOAD_LIMIT_S, write_models
from tests.bench.sections import Sections
from tests.bench.xtts_published import Sizes
from worker.engine.registry import EngineSpec
from worker.engine.request import ChunkRequest, Take
from worker.process import EngineProcess

#: Chunks end after 5 s: 108 ids of audio, and what frames them.
FIVE_SECONDS: Final = Sizes(audio_tokens=111)

#: Rows of the GPU, whoever has them.
ROWS: Final = 256

#: Seconds before a measurement, and of it.
SETTLING_S: Final = 4.0
TIMED_S: Final = 12.0

_TEXT: Final = "this is line number {} of a book that goes on and on without an end"


class Stream:
    """Keeps an engine's rows full, and counts the audio that comes out."""

    def __init__(self, engine: EngineProcess, name: str, rows: int) -> None:
        self._engine = engine
        self._name = name
        self._numbers = count()
        self._lock = threading.Lock()
        self.audio_s = 0.0
        self._ended = False
        # A few more than there are rows, so that none is ever empty.
        for _ in range(rows + rows // 4 + 1):
            self._ask()

    def end(self) -> None:
        """Ask for no more."""
        self._ended = True

    def _ask(self) -> None:
        number = next(self._numbers)
        name = f"{self._name}.{number}"
        text = _TEXT.format(number)
        future = self._engine.submit(ChunkRequest(name, text, "en", "alice", number))
        future.add_done_callback(self._count)

    def _count(self, future: Future[Take]) -> None:
        if self._ended:
            return
        with self._lock:
            self.audio_s += future.result().duration_s
        self._ask()


def speed(directory: Path, engines: int, rows: int, *, tiny: bool) -> float:
    """Print and return seconds of audio a second, of all engines together."""
    began_s = time.monotonic()
    with running(directory, engines, rows, tiny=tiny) as all_engines:
        print(f"   ready after {time.monotonic() - began_s:.1f} s", flush=True)
        streams = [Stream(engine, str(at), rows) for at, engine in enumerate(all_engines)]
        time.sleep(SETTLING_S)
        before_s, since_s = sum(stream.audio_s for stream in streams), time.monotonic()
        time.sleep(TIMED_S)
        made_s = sum(stream.audio_s for stream in streams) - before_s
        took_s = time.monotonic() - since_s
        for stream in streams:
            stream.end()
    print(f"   {made_s:.0f} s of audio in {took_s:.1f} s", flush=True)
    return made_s / took_s


@contextmanager
def running(
    directory: Path, engines: int, rows: int, *, tiny: bool
) -> Iterator[Sequence[EngineProcess]]:
    """So many engines, ready."""
    options = {"directory": str(directory), "device": "cpu" if tiny else "cuda", "slots": rows}
    spec = EngineSpec("xtts", options, slots=rows, interactive_share=0.0)
    made = [EngineProcess(spec) for _ in range(engines)]
    try:
        for engine in made:
            engine.start()
        for engine in made:
            engine.ready.result(LOAD_LIMIT_S)
        yield made
    finally:
        for engine in made:
            engine.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tiny", action="store_true", help="a tiny model, on the processor")
    tiny = parser.parse_args().tiny
    rows = 4 if tiny else ROWS
    sections = Sections(limit_s=150.0)
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        sections.run("a checkpoint", lambda: write_models(home, None if tiny else FIVE_SECONDS))
        for engines in (1, 2):
            title = f"{engines} x {rows // engines} rows"
            sections.run(
                title,
                lambda engines=engines: speed(
                    home / "models" / "xtts", engines, rows // engines, tiny=tiny
                ),
            )
    sections.show()
    return bool(sections.failed)


if __name__ == "__main__":
    sys.exit(main())
