"""A real book, from text to an m4b whose cues are checked: python -m tests.bench.book [CHARS]

The text is Python's own documentation, as `help()` has it. A farm of this machine speaks it with
espeak-ng and makes the book. Then the book is decoded, and every cue's text is spoken once more
by itself: where both fit best is where the words really are. Last, one paragraph is edited and
the book is asked for again: what is spoken anew is counted.
"""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt

from producer import VoiceFarm
from producer.batch.handle import Batch
from worker.engine.model import Model
from worker.engine.registry import build
from worker.engine.request import ChunkRequest

#: How long a book the bench is about, in characters.
BOOK_CHARS: Final = 300_000

#: How far around a cue its words are looked for, and how much of them is compared.
REACH_S: Final = 0.1
COMPARED_S: Final = 0.4

Row = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Cue:
    """One cue of the file of subtitles."""

    first_s: float
    end_s: float
    text: str


def written(path: Path, chars: int) -> int:
    """Write a Markdown book of at least so many characters; return how many there are."""
    book, total = [], 0
    for name, text in sorted(topics.items()):
        paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text)]
        spoken = [part for part in paragraphs if re.search(r"\w{2}", part)]
        book.append(f"## {name}\n\n" + "\n\n".join(map(escaped, spoken)))
        total += sum(map(len, spoken))
        if total >= chars:
            break
    path.write_text("\n\n".join(book) + "\n", encoding="utf-8")
    return total


def escaped(text: str) -> str:
    """Take what Markdown would read as marks for letters."""
    return re.sub(r"([\\`*_{}\[\]<>#+\-.!|~=])", r"\\\1", text)


def cues_of(path: Path) -> list[Cue]:
    """Read a WebVTT file."""
    found = re.findall(r"(\S+) --> (\S+)\n(.*)\n", path.read_text(encoding="utf-8"))
    return [Cue(seconds(first), seconds(end), html.unescape(text)) for first, end, text in found]


def seconds(clock: str) -> float:
    """Read 01:02:03.456."""
    hours, minutes, rest = clock.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


class Decoded:
    """The samples of a file, as they are needed from its beginning to its end."""

    def __init__(self, path: Path) -> None:
        self._file = av.open(str(path))
        self.rate_hz = self._file.streams.audio[0].codec_context.sample_rate
        self._frames = (frame.to_ndarray().reshape(-1) for frame in self._file.decode(audio=0))
        self._held: Row = np.zeros(0, np.float32)
        self._first = 0

    def between(self, first: int, end: int) -> Row:
        """Return these samples; none before them may be asked for later."""
        pieces = [self._held]
        have = self._first + len(self._held)
        while have < end and (frame := next(self._frames, None)) is not None:
            pieces.append(frame)
            have += len(frame)
        self._held = np.concatenate(pieces)[max(0, first - self._first) :]
        self._first = max(self._first, first)
        return self._held[: end - self._first]


def off_s(audio: Decoded, words: Row, at_s: float, *, ends: bool) -> float:
    """Return how far from `at_s` the words really begin, or end."""
    count = min(len(words), round(COMPARED_S * audio.rate_hz))
    reach = round(REACH_S * audio.rate_hz)
    sample = words[len(words) - count :] if ends else words[:count]
    first = round(at_s * audio.rate_hz) - (count if ends else 0)
    heard = audio.between(first - reach, first + count + reach)
    size = 1 << (len(heard) + count).bit_length()
    spectrum = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(sample, size))
    match = np.fft.irfft(spectrum, size)[: len(heard) - count + 1]
    energy = np.cumsum(np.concatenate([[0.0], np.square(heard, dtype=np.float64)]))
    power = np.maximum(energy[count:] - energy[: len(energy) - count], 1e-9)
    best = int(np.argmax(match / np.sqrt(power)))
    return (best - reach) / audio.rate_hz


def edges(book: Path, cues: list[Cue], voice: Model) -> Iterator[float]:
    """Yield how far each edge of each cue is from where its words are."""
    audio = Decoded(book)
    for number, cue in enumerate(cues):
        request = ChunkRequest(id="", text=cue.text, language="en", voice="default", seed=0)
        voice.prefill([(0, request)])
        words = voice.vocode(voice.decode(), wait=True)[""].samples
        sounding = np.flatnonzero(np.abs(words) > 0.01)
        if not len(sounding):
            continue
        # What is silent at its ends fits everywhere: the first and the last sound are compared.
        head_s = sounding[0] / audio.rate_hz
        tail_s = (len(words) - 1 - sounding[-1]) / audio.rate_hz
        spoken = words[sounding[0] : sounding[-1] + 1]
        yield off_s(audio, spoken, cue.first_s + head_s, ends=False)
        yield off_s(audio, spoken, cue.end_s - tail_s, ends=True)
        if number % 500 == 0:
            print(f"  checked {number:,} of {len(cues):,} cues", flush=True)


def ended(batch: Batch) -> None:
    """Wait for a batch and tell how far it is."""
    told_s = 0.0
    for row in batch.progress():
        if time.monotonic() - told_s > 20:
            told_s = time.monotonic()
            print(f"  {row.ended:,} of {row.items:,} items", flush=True)


def entries(farm: VoiceFarm) -> int:
    """Count the files of the store."""
    return sum(1 for _ in farm.volumes.processed.glob("??/*/job.json"))


def spoken(farm: VoiceFarm, path: Path, **how: Any) -> Batch:
    """Have a book spoken, and tell how long that took."""
    begun_s = time.monotonic()
    batch = farm.batch(path, **how)
    ended(batch)
    total_s = sum(item.job.duration_s for item in batch.items() if item.job)
    print(
        f"{batch.row().items:,} items, {total_s / 3600:.2f} h of speech, "
        f"{time.monotonic() - begun_s:.0f} s",
        flush=True,
    )
    return batch


def put_together(farm: VoiceFarm, batch: Batch) -> Path:
    """Wait for a batch's book, and tell what it cost."""
    begun_s, before_mib = time.monotonic(), memory_mib(farm, "VmRSS")
    file = batch.book.result().path
    row = batch.book.row()
    print(
        f"put together in {time.monotonic() - begun_s:.0f} s: {row.state} {row.detail}"
        f"{file.stat().st_size / 1e6:.1f} MB; the worker had {before_mib:.0f} MiB before, "
        f"{memory_mib(farm, 'VmHWM'):.0f} MiB at most",
        flush=True,
    )
    manifest = json.loads((file.parent / "job.json").read_bytes())
    print(json.dumps({k: manifest["book"][k] for k in ("before", "after", "gain_db")}))
    return file


def memory_mib(farm: VoiceFarm, name: str) -> float:
    """Return what the kernel says of the only worker's memory."""
    [facts] = farm.workers().values()
    status = Path(f"/proc/{facts['pid']}/status").read_text()
    found = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def inside(chars: int) -> int:
    """Be the client of the farm that runs around this process."""
    with VoiceFarm() as farm, tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "python.md"
        total = written(path, chars)
        print(f"a book of {total:,} characters", flush=True)
        asked = {"format": "m4b", "subtitles": "vtt"}
        book = put_together(farm, spoken(farm, path, assemble=asked))
        with av.open(str(book)) as file:
            print(f"{len(file.chapters())} chapters, {file.duration / 3.6e9:.2f} h", flush=True)
        cues = cues_of(book.with_suffix(".vtt"))
        voice = build("espeak", {})
        voice.load()
        found = np.abs(list(edges(book, cues, voice)))
        voice.close()
        print(
            f"{len(cues):,} cues, {len(found):,} edges checked: off by {1000 * np.mean(found):.2f} "
            f"ms in the mean, {1000 * np.max(found):.2f} ms at most, "
            f"{int(np.sum(found > 0.020))} by more than 20 ms",
            flush=True,
        )
        before = entries(farm)
        text = path.read_text(encoding="utf-8")
        middle = text.index("\n\n", len(text) // 2) + 2
        path.write_text(text[:middle] + "This sentence is new. " + text[middle:], encoding="utf-8")
        spoken(farm, path)
        fresh = entries(farm) - before
        print(f"one paragraph edited: {fresh} item spoken anew")
    return int(np.max(found) > 0.020 or fresh != 1)


def main() -> int:
    """Start a farm around the client."""
    if sys.argv[1:2] == ["inside"]:
        return inside(int(sys.argv[2]))
    chars = sys.argv[1] if len(sys.argv) > 1 else str(BOOK_CHARS)
    with tempfile.TemporaryDirectory() as home:
        farm = [sys.executable, "-m", "producer", "up", "--engine", "espeak", "--home", home, "--"]
        client = [sys.executable, "-m", "tests.bench.book", "inside", chars]
        return subprocess.run([*farm, *client], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
