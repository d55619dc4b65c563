"""What is measured of one worker: saturated, converted, interactive, a book, steady, the rival."""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import soundfile

from producer import Job, JobState
from producer.embedded import EmbeddedBroker

from .farm_engine import WARM_UP
from .farm_figures import End, of_passage
from .farm_gauge import Gauge
from .farm_models import SPEAKERS, TAKE_S
from .farm_passage import figures, flaws_of, removed, rows_of, settle, wait_for_all
from .farm_texts import SENTENCE_S, chapters, jobs
from .farm_up import FarmUp, farm_environment, lines_of
from .worker_process import WorkerProcess

#: Nothing that is waited for may take longer. [s]
LIMIT_S: Final = 300.0

#: Of the audiobook.
CHAPTERS: Final = 17

#: Jobs that wait while the load is steady, in seconds of the farm's work, and jobs of a piece.
_AHEAD_S: Final = 8.0
_PIECE: Final = 500

#: What a steady load is told by. [s]
PART_S: Final = 10.0


@dataclass
class Scene:
    """Where it is measured, how much, and what was found so far."""

    home: Path
    device: str
    settings: Mapping[str, str]
    options: Any
    #: The name of a voice that speaks.
    voice: str = SPEAKERS[0]
    #: One row a measurement, as it is printed and written.
    rows: list[dict[str, Any]] = field(default_factory=list)
    #: Seconds of audio of each take by its number, if the engine has spoken them.
    lengths_s: dict[int, float] = field(default_factory=dict)

    @property
    def mean_s(self) -> float:
        """How long a take is in the mean: as the engine alone has found, else as it should be."""
        return statistics.fmean(self.lengths_s.values()) if self.lengths_s else TAKE_S

    def add(self, what: str, found: Mapping[str, Any]) -> float:
        """Keep and print a row; return its steady rate."""
        row = {"what": what, **found}
        self.rows.append(row)
        shown = {name: value for name, value in row.items() if name not in ("looks", "minutes")}
        print(f"   {shown}", flush=True)
        return float(row.get("x_steady") or 0.0)

    def ratio(self, what: str, to: str) -> None:
        """Tell how one row's steady rate stands to another's, if both are there."""
        found = {row["what"]: row.get("x_steady") for row in self.rows}
        if found.get(what) and found.get(to):
            ratio = found[what] / found[to]
            next(row for row in self.rows if row["what"] == what)["ratio"] = round(ratio, 3)
            print(f"   {what}: {ratio:.3f} of {to}", flush=True)


def engine_alone(scene: Scene, *, converted: bool) -> float:
    """The same texts without a farm, in a process of its own."""
    count = scene.options.converted_jobs if converted else scene.options.jobs
    kind = "converted" if converted else "jobs"
    command = [sys.executable, "-m", "tests.bench.farm_engine", f"--{kind}={count}"]
    # Without RVC in its memory, unless it is asked to convert.
    more = {} if converted else {"rvc": "false"}
    environment = farm_environment(scene.home, {**scene.settings, **more})
    (found,) = lines_of(command, environment, LIMIT_S)
    lengths_s = found.pop("lengths_s")
    if not converted:
        scene.lengths_s = {int(number): length for number, length in lengths_s.items()}
    return scene.add("engine alone, converted" if converted else "engine alone", found)


def passage(scene: Scene, up: FarmUp, what: str, numbers: Sequence[int], **fields: Any) -> float:
    """Jobs of one chunk, all queued at once: the farm has always more to do."""
    voices = up.voices()
    warm = round(WARM_UP * int(next(iter(up.ready().values()))["slots"])) * len(up.ready())
    figures(up.farm, _waited(up, list(jobs(range(10**6, 10**6 + warm), voices, **fields))))
    with Gauge(up) as gauge:
        handles = _waited(up, list(jobs(numbers, voices, **fields)))
    found = figures(up.farm, handles)
    return scene.add(what, {**found, **gauge.figures(), "looks": gauge.looks})


def interactive(scene: Scene, up: FarmUp) -> float | bool:
    """Sentences that somebody waits for, among a running book."""
    options, voices = scene.options, up.voices()
    low_s, high_s = SENTENCE_S
    fitting = [n for n, length_s in scene.lengths_s.items() if low_s <= length_s <= high_s]
    numbers = (fitting or list(range(10_000, 20_000)))[: options.interactive]
    seconds = len(numbers) / options.interactive_rate
    book = range(2 * 10**6, 2 * 10**6 + round(options.expected_x * seconds / scene.mean_s))
    batch = up.farm.submit_many(jobs(book, voices))
    time.sleep(2.0)
    draw = random.Random(1)
    sentences: list[Job] = []
    due_s = time.monotonic()
    with Gauge(up) as gauge:
        for fields in jobs(numbers, voices):
            due_s += draw.expovariate(options.interactive_rate)
            time.sleep(max(0.0, due_s - time.monotonic()))
            sentences.append(up.farm.submit(**fields))
        while not all(state and state.is_final for state in _states(up, sentences[-200:])):
            time.sleep(0.05)
        left = up.farm.counts()[JobState.QUEUED]
    found = figures(up.farm, sentences)
    print(f"   as the last sentence was done, {left} jobs of the book were left", flush=True)
    scene.add("sentences among a book", {**found, **gauge.figures(), "book_left": left})
    settle(up.farm)
    scene.add("the book beside the sentences", figures(up.farm, batch))
    return float(found["latency_s"].get("p95", 0.0))


def audiobook(scene: Scene, up: FarmUp) -> float:
    """A book of chapters as one batch: from the submit to the last file."""
    chunks = max(1, round(scene.options.book_s / CHAPTERS / scene.mean_s))
    book = chapters(CHAPTERS, chunks, up.voices())
    begun_s = time.time()
    with Gauge(up) as gauge:
        batch = up.farm.batch(book)
        queued_s = time.time() - begun_s
        batch.wait(LIMIT_S)
    found = figures(up.farm, list(batch.jobs()))
    first_s = min(row.times[JobState.DONE] for row in rows_of(up.farm, _ids(batch))) - begun_s
    told: dict[str, Any] = {"submit_s": round(queued_s, 2), "first_file_s": round(first_s, 2)}
    told |= {"chunks": CHAPTERS * chunks, **gauge.figures(), "looks": gauge.looks}
    scene.add("audiobook", {**found, **told})
    return float(found["took_s"])


def steady(scene: Scene, up: FarmUp) -> float:
    """Minutes of even load: rate and memory over time. Files are proven and thrown away."""
    voices, options = up.voices(), scene.options
    ahead = max(_PIECE, round(options.expected_x * _AHEAD_S / scene.mean_s))
    pieces: deque[list[Job]] = deque()
    ends: list[End] = []
    next_number, flaws = 3 * 10**6, 0
    deadline_s = time.monotonic() + options.steady_s
    with Gauge(up) as gauge:
        while pieces or time.monotonic() < deadline_s:
            while time.monotonic() < deadline_s and sum(map(len, pieces)) < ahead + _PIECE:
                numbers = range(next_number, next_number + _PIECE)
                pieces.append(up.farm.submit_many(jobs(numbers, voices)))
                next_number += _PIECE
            if not all(state and state.is_final for state in _states(up, pieces[0])):
                time.sleep(0.2)
                continue
            rows = rows_of(up.farm, [job.id for job in pieces.popleft()])
            flaws += len(flaws_of(up.farm, rows))
            done = [row for row in rows if row.state is JobState.DONE]
            ends += [End(row.times[JobState.DONE], row.duration_s) for row in done]
            removed(up.farm, rows)
    minutes = list(_minutes(ends, gauge.looks))
    for minute in minutes:
        print(f"   {minute}", flush=True)
    found = of_passage(ends, min(end.at_s for end in ends))
    return scene.add(
        "steady load", {**found, "flaws": flaws, **gauge.figures(), "minutes": minutes}
    )


def rival(scene: Scene) -> float:
    """coqui-tts in a Celery worker with `--pool=solo`, one job after the other."""
    from . import stock_speech

    directory = scene.home / "rival"
    directory.mkdir(exist_ok=True)
    with EmbeddedBroker(scene.home / "rival-farm") as broker:
        url = broker.start()
        stock_speech.app.conf.broker_url = url
        device = "cpu" if scene.device == "cpu" else "cuda"
        place = str(scene.home / "models" / "xtts")
        for number, fields in enumerate(jobs(range(2000), [""])):
            target = str(directory / f"{number:05}.wav")
            stock_speech.speak.delay(fields["text"], number, place, device, target)
        arguments = ("-A", stock_speech.__name__, "worker", "--pool=solo")
        log = scene.home / "rival.log"
        with WorkerProcess(arguments, {"CELERY_BROKER_URL": url}, log) as worker:
            deadline_s = time.monotonic() + LIMIT_S
            while not list(directory.glob("*.wav")) and time.monotonic() < deadline_s:
                worker.check()
                time.sleep(0.2)
            time.sleep(scene.options.rival_s)
    files = sorted(directory.glob("*.wav"))
    ends = [End(file.stat().st_mtime, soundfile.info(file).duration) for file in files]
    # The first one has loaded the model.
    found = of_passage(ends[1:], ends[0].at_s)
    scene.add("coqui-tts in stock Celery, solo", found)
    return float(found["x_whole"])


def _waited(up: FarmUp, items: list[dict[str, Any]]) -> list[Job]:
    handles = up.farm.submit_many(items)
    wait_for_all(up.farm, LIMIT_S)
    return handles


def _states(up: FarmUp, handles: Sequence[Job]) -> list[JobState | None]:
    return up.farm.ledger.states([job.id for job in handles])


def _ids(batch: Any) -> list[str]:
    return [job.id for job in batch.jobs()]


def _minutes(ends: Sequence[End], looks: Sequence[Mapping[str, Any]]) -> Any:
    """Yield the rate and the memory of each part."""
    begun_s = min(end.at_s for end in ends)
    parts = int((max(end.at_s for end in ends) - begun_s) // PART_S)
    for from_s in (PART_S * part for part in range(parts)):
        inside = [end for end in ends if from_s <= end.at_s - begun_s < from_s + PART_S]
        look = next((one for one in looks if one["at_s"] >= from_s), {})
        memory = {name: value for name, value in look.items() if name.endswith(("_mib", "_gib"))}
        rate = sum(end.audio_s for end in inside) / PART_S
        yield {"from_s": from_s, "x": round(rate, 1), **memory}
