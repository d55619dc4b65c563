"""What an edit of a book costs: python -m tests.bench.edited_book [CHARACTERS]

Speaks a book with the embedded voice, changes one sentence in its longest paragraph, and queues the
book again: how many items and how many chunks are spoken a second time. The text is Python's own
documentation, which every Python brings.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from pydoc_data.topics import topics

from producer import VoiceFarm
from producer.batch.handle import Batch
from producer.embedded import EmbeddedBroker

from .worker_process import WorkerProcess

#: A book of that many characters is about six hours long.
CHARACTERS = 300_000

#: For all of a book; the machine may be shared.
PATIENCE_S = 900.0

#: What headings are underlined with is not for the ear.
RULES = frozenset("*=-~^")


def book(characters: int) -> str:
    """Return a book in Markdown: a topic is a chapter."""
    chapters: list[str] = []
    left = characters
    for name, text in sorted(topics.items()):
        lines = (line.strip() for line in text.splitlines())
        chapters.append(f"# {name}\n\n" + "\n".join("" if set(x) <= RULES else x for x in lines))
        left -= len(chapters[-1])
        if left <= 0:
            break
    return "\n\n".join(chapters) + "\n"


def edited(text: str) -> str:
    """Put one sentence into the middle of the longest paragraph."""
    longest = max(text.split("\n\n"), key=len)
    middle = longest.index(". ", len(longest) // 2) + 2
    new = longest[:middle] + "This sentence was put in later. " + longest[middle:]
    return text.replace(longest, new, 1)


def spoken(farm: VoiceFarm, file: Path) -> tuple[Batch, float]:
    """Speak a book; return its batch and the seconds that it took."""
    begun_s = time.monotonic()
    batch = farm.batch(file, format="flac")
    batch.wait(PATIENCE_S)
    return batch, time.monotonic() - begun_s


def takes(farm: VoiceFarm) -> int:
    """How many chunks the farm's only worker has spoken."""
    return next(int(facts["takes"]) for facts in farm.overview().workers.values())


def settled(farm: VoiceFarm) -> int:
    """The same, once its heartbeat has caught up."""
    before, now = -1, takes(farm)
    while now != before:
        time.sleep(5.0)
        before, now = now, takes(farm)
    return now


def measure(characters: int) -> None:
    """Print two lines, a book each."""
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        file = home / "book.md"
        first = book(characters)
        with EmbeddedBroker(home / "farm") as broker:
            url = broker.start()
            environment = {
                "VOICEFARM_BROKER_URL": url,
                "VOICEFARM_HOME": str(home),
                "VOICEFARM_ENGINE": "espeak",
            }
            worker = WorkerProcess(["-A", "tasks", "worker"], environment, home / "worker.log")
            with worker, VoiceFarm(url, home=home) as farm:
                before = 0
                for name, text in (("the book", first), ("edited", edited(first))):
                    file.write_text(text)
                    batch, took_s = spoken(farm, file)
                    worker.check()
                    told, now = batch.report(), settled(farm)
                    print(
                        f"{name}: {len(text):,} characters, {told.asked:,} items, "
                        f"{told.audio_s / 3600:.1f} h of audio in {took_s:.0f} s; "
                        f"{now - before:,} chunks were spoken; {len(batch.verify())} flaws",
                        flush=True,
                    )
                    before = now


if __name__ == "__main__":
    measure(int(sys.argv[1]) if len(sys.argv) > 1 else CHARACTERS)
