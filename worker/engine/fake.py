"""A model without weights: deterministic tones, and every kind of misfortune on request.

Tests, demonstrations and measurements use it. What it says depends on the request alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from .errors import (
    ChunkFailed,
    ChunkTooLong,
    EngineError,
    EngineOutOfMemory,
    UnknownVoice,
    UnsupportedLanguage,
)
from .model import ModelOffer, ModelVoice, Outcome
from .request import ChunkRequest, Samples, Sound

#: Of all takes.
SAMPLE_RATE_HZ: Final = 24000

#: Decides the sound; changes whenever the tones do.
REVISION: Final = "fake-1"

#: One character of text is one note of this length, at speed 1.
NOTE_S: Final = 0.06

#: The voices and the pitch of their lowest note.
VOICES_HZ: Final = {"default": 220.0, "low": 110.0, "high": 440.0}

#: Loudness of a note, of 1.0.
AMPLITUDE: Final = 0.3

#: A note may be this much out of tune, by its seed. [semitones]
DETUNE_SEMITONES: Final = 0.3

#: How often a rambling model repeats itself.
RAMBLINGS: Final = 5

#: A burst never takes longer, however slow the model is: a row can be cancelled between two.
LONGEST_BURST_S: Final = 1.0

#: A pentatonic scale over two octaves: whatever the text, it does not hurt. [semitones]
_SCALE: Final = np.array([0, 2, 4, 7, 9, 12, 14, 16, 19, 21])

#: XTTS-v2's languages, and some spellings that people use.
_LANGUAGES: Final = (
    "ar", "cs", "de", "en", "en-us", "es", "fr", "hi", "hu", "it", "ja", "ko", "nl", "pl", "pt",
    "pt-br", "ru", "tr", "zh", "zh-cn",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FakeOptions:
    """How the model behaves. Plain JSON types, so that they can cross to another process."""

    slots: int = 8
    #: Times real time of one row; 0 is at once.
    speed: float = 0.0
    #: Audio of one row per decode burst, at most.
    burst_s: float = 0.5
    load_s: float = 0.0
    #: Why the model cannot be loaded; empty: it can.
    load_error: str = ""
    #: None is endless.
    memory_bytes: int | None = None
    bytes_per_slot: int = 1
    #: A chunk whose text has this in it fails, aborts the process, or hangs the loop.
    fail_on: str = ""
    abort_on: str = ""
    #: A chunk whose text has this in it ends the device, as an error of CUDA does.
    fault_on: str = ""
    hang_on: str = ""
    #: A longer text is refused; None takes any.
    limit_chars: int | None = None
    #: A chunk whose text has this in it is rambled: five times over, up to the model's limit.
    ramble_on: str = ""
    #: A file that gets a line for each chunk that begins or ends: what has really been done,
    #: whatever became of the worker and of Redis.
    journal: str = ""
    #: Every take is the same moment of silence: the engine doing nothing, to measure the rest.
    silent: bool = False
    languages: Sequence[str] = _LANGUAGES


class FakeModel:
    """A `Model` of tones. `sleep` is called for every second that it pretends to work."""

    def __init__(
        self, options: FakeOptions | None = None, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._options = options or FakeOptions()
        self._sleep = sleep
        self._rows: dict[int, ChunkRequest] = {}
        self._left_s: dict[int, float] = {}

    def load(self) -> None:
        """Take `load_s`, and fail if that is wished."""
        if self._options.load_s:
            self._sleep(self._options.load_s)
        if self._options.load_error:
            raise EngineError(self._options.load_error)

    def warm_up(self) -> None:
        """Have nothing to warm up."""

    def offer(self) -> ModelOffer:
        """Tell what can be asked for."""
        return ModelOffer(
            engine="fake",
            revision=REVISION,
            device="cpu",
            sample_rate_hz=SAMPLE_RATE_HZ,
            slots=self._options.slots,
            languages=tuple(self._options.languages),
            voices=tuple(ModelVoice(name, f"{REVISION}+{name}") for name in VOICES_HZ),
            guarded=bool(self._options.ramble_on),
        )

    def check(self, request: ChunkRequest) -> None:
        """Raise `UnknownVoice` or `UnsupportedLanguage`."""
        if request.voice not in VOICES_HZ:
            raise UnknownVoice(f"fake has no voice {request.voice!r}")
        if request.language not in self._options.languages:
            raise UnsupportedLanguage(f"fake does not speak {request.language!r}")
        if len(request.text) > (self._options.limit_chars or len(request.text)):
            raise ChunkTooLong(f"fake takes {self._options.limit_chars} characters at most")

    def prefill(self, rows: Sequence[tuple[int, ChunkRequest]]) -> None:
        """Take the rows, or raise `EngineOutOfMemory` and take none."""
        options = self._options
        wanted_bytes = (len(self._rows) + len(rows)) * options.bytes_per_slot
        if options.memory_bytes is not None and wanted_bytes > options.memory_bytes:
            raise EngineOutOfMemory(f"{wanted_bytes} bytes wanted of {options.memory_bytes}")
        for slot, request in rows:
            self._rows[slot] = request
            self._left_s[slot] = NOTE_S * len(request.text) / request.speed
        self._write("begin", [request for _, request in rows])
        for _, request in rows:
            self._misbehave(request.text)

    def decode(self) -> Sequence[int]:
        """Take as long as one burst of every row."""
        options = self._options
        if not options.speed:
            return tuple(self._rows)
        burst_s = min(options.burst_s, options.speed * LONGEST_BURST_S)
        if self._rows:
            self._sleep(burst_s / options.speed)
        for slot in self._left_s:
            self._left_s[slot] -= burst_s
        return [slot for slot, left_s in self._left_s.items() if left_s <= 0]

    def vocode(self, slots: Sequence[int], *, wait: bool) -> Mapping[str, Outcome]:
        """Return the tones of ended rows."""
        requests = [self._rows[slot] for slot in slots]
        self.release(slots)
        self._write("end", requests)
        return {request.id: self._audio(request) for request in requests}

    def release(self, slots: Sequence[int]) -> None:
        """Forget rows."""
        for slot in slots:
            self._rows.pop(slot, None)
            self._left_s.pop(slot, None)

    def close(self) -> None:
        """Have nothing to let go of."""

    def _write(self, what: str, requests: Sequence[ChunkRequest]) -> None:
        """Add to the journal, in one write: processes share it, and may be killed any time."""
        if self._options.journal and requests:
            lines = "".join(f"{what} {os.getpid()} {request.id}\n" for request in requests)
            file = os.open(self._options.journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(file, "w") as journal:
                journal.write(lines)

    def _misbehave(self, text: str) -> None:
        if _has(text, self._options.abort_on):
            os.abort()
        if _has(text, self._options.fault_on):
            raise RuntimeError("CUDA error: device-side assert triggered")
        while _has(text, self._options.hang_on):
            self._sleep(60.0)

    def _audio(self, request: ChunkRequest) -> Outcome:
        if _has(request.text, self._options.fail_on):
            return ChunkFailed(f"the text has {self._options.fail_on!r} in it")
        if _has(request.text, self._options.ramble_on):
            return Sound(np.tile(tones(request), RAMBLINGS), truncated=True)
        return Sound(_SILENCE if self._options.silent else tones(request))


def tones(request: ChunkRequest) -> Samples:
    """Return one note a character: its pitch from the character, the voice and the seed.

    Letters and digits sound, everything else is a rest of the same length.
    """
    text = request.text or " "
    codes = np.array([ord(char) for char in text])
    detune = np.random.default_rng(request.seed).uniform(-DETUNE_SEMITONES, DETUNE_SEMITONES)
    semitones = _SCALE[codes % len(_SCALE)] + detune
    pitch_hz = (VOICES_HZ[request.voice] * 2 ** (semitones / 12)).astype(np.float32)
    loudness = np.array([AMPLITUDE * char.isalnum() for char in text], np.float32)
    note_samples = max(1, round(NOTE_S / request.speed * SAMPLE_RATE_HZ))
    moments = 2 * np.pi / SAMPLE_RATE_HZ * np.arange(note_samples)
    notes = np.sin(np.outer(pitch_hz, moments.astype(np.float32)))
    notes *= np.outer(loudness, _soft_edges(note_samples))
    return notes.ravel()


def _soft_edges(length: int) -> Samples:
    """Return a gain that rises from 0 and falls back to it, and is 1 in between."""
    edge = np.minimum(np.arange(length), np.arange(length)[::-1]) / max(1, length // 5)
    return (np.sin(np.minimum(edge, 1.0) * np.pi / 2) ** 2).astype(np.float32)


def _has(text: str, part: str) -> bool:
    return bool(part) and part in text


#: What a silent model says: ten milliseconds, made once.
_SILENCE: Final = np.zeros(SAMPLE_RATE_HZ // 100, np.float32)
_SILENCE.setflags(write=False)
