"""Five hundred conversions into forty voices, with room for ten: right each time, memory flat."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

# Where torch is missing, nothing below can be imported.
# ruff: noqa: E402
torch = pytest.importorskip("torch")

from torch import Tensor

from tests.unit.worker.engine.rvc.tiny_index import write_index
from tests.unit.worker.engine.rvc.tiny_voice import write_voice
from tests.unit.worker.engine.rvc.voices_and_speech import loaded, speech
from worker.engine.rvc.clip import Clip
from worker.engine.rvc.content import Content
from worker.engine.rvc.converter import Converter
from worker.engine.rvc.library import RvcLibrary
from worker.engine.rvc.pitch import Pitch
from worker.engine.rvc.rmvpe_file import read_rmvpe
from worker.engine.rvc.synthesizer import Synthesizer
from worker.engine.rvc.voice import Voice
from worker.engine.rvc.voice_turns import TurnLimits, next_turn
from worker.engine.rvc.voices import VoiceShelf

VOICES = 40
CONVERSIONS = 500
ROOM = 10

#: Jobs that wait at a time, and recordings that there are.
QUEUE = 25
RECORDINGS = 2

#: What allocators may still take in the second half. If each of the some 150 voices that are loaded
#: then left its half a megabyte behind, it would be three times that. Measured: 2 MB.
GROWTH_BYTES = 24 << 20


@dataclass(frozen=True)
class Job:
    number: int
    voice: str
    recording: int
    duration_s: float = 0.4


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, Path]]:
    """A model and an index for each voice."""
    folder = tmp_path_factory.mktemp("files")
    return [
        (
            write_voice(folder / f"{seed}.pth", f0=seed % 3 > 0, seed=seed),
            write_index(folder / f"{seed}.index", 768, seed=seed),
        )
        for seed in range(VOICES)
    ]


@pytest.fixture(scope="module")
def converter(wide_content: Content, rmvpe_file: Path) -> Converter:
    return Converter(wide_content, Pitch(read_rmvpe(rmvpe_file)), Synthesizer())


@pytest.fixture(scope="module")
def library(files: list[tuple[Path, Path]], tmp_path_factory: pytest.TempPathFactory) -> RvcLibrary:
    """All voices, added."""
    made = RvcLibrary(tmp_path_factory.mktemp("library") / "rvc")
    for number, (model, index) in enumerate(files):
        made.add(f"voice-{number}", model, index)
    return made


@pytest.fixture(scope="module")
def room_bytes(library: RvcLibrary) -> int:
    """What ten of the larger voices take."""
    shelf = VoiceShelf(library, device_bytes=1 << 40)
    shelf.release(shelf.acquire("voice-1"))
    shelf.close()
    return ROOM * shelf.facts().device_bytes


@pytest.fixture
def shelf(library: RvcLibrary, room_bytes: int) -> Iterator[VoiceShelf]:
    """With room for them."""
    made = VoiceShelf(library, device_bytes=room_bytes)
    yield made
    made.close()


def memory_bytes() -> int:
    """What this process has in memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise AssertionError("this system does not tell")


def alone(converter: Converter, files: list[tuple[Path, Path]], job: Job) -> Tensor:
    """What a job is when nothing else is there: its voice read from people's files."""
    voice = loaded(*files[int(job.voice.removeprefix("voice-"))])
    [found] = converter.convert([clip_of(job, voice)])
    assert isinstance(found, Tensor)
    return found


def clip_of(job: Job, voice: Voice) -> Clip:
    return Clip(speech(job.duration_s, seed=job.recording), 16000, voice, seed=job.recording)


def turns() -> Iterator[list[Job]]:
    """Jobs as they are taken from a queue that is filled up again and again."""
    draws = random.Random(5)
    waiting: list[Job] = []
    number = 0
    while waiting or number < CONVERSIONS:
        while len(waiting) < QUEUE and number < CONVERSIONS:
            voice = f"voice-{draws.randrange(VOICES)}"
            waiting.append(Job(number, voice, draws.randrange(RECORDINGS)))
            number += 1
        turn = next_turn(waiting, TurnLimits(duration_s=6.0, voices=6))
        waiting = [job for job in waiting if job not in turn]
        yield turn


@pytest.mark.slow
def test_each_is_right_and_memory_is_flat(converter, files, shelf, room_bytes):
    # Given what each voice makes of each recording when nothing else is there
    jobs = [Job(0, f"voice-{n}", take) for n in range(VOICES) for take in range(RECORDINGS)]
    wanted = {(job.voice, job.recording): alone(converter, files, job) for job in jobs}
    sizes_bytes = []

    # When many are converted, some of few voices at a time
    for turn in turns():
        voices = {name: shelf.acquire(name) for name in {job.voice for job in turn}}
        together = converter.convert([clip_of(job, voices[job.voice]) for job in turn])
        for voice in voices.values():
            shelf.release(voice)

        # Then each is right, and no more is held than there is room for
        for job, found in zip(turn, together, strict=True):
            assert isinstance(found, Tensor)
            right = wanted[job.voice, job.recording]
            torch.testing.assert_close(found, right, rtol=0, atol=1e-4)
        assert shelf.facts().device_bytes <= room_bytes
        sizes_bytes += [memory_bytes()] * len(turn)

    facts = shelf.facts()
    assert len(sizes_bytes) == CONVERSIONS
    assert facts.voices_in_use == facts.failures == 0
    assert facts.misses == facts.evictions + facts.voices > 100
    # Every shape that is new costs the library of convolutions some memory, once.
    half = CONVERSIONS // 2
    assert max(sizes_bytes[half:]) - max(sizes_bytes[:half]) < GROWTH_BYTES
