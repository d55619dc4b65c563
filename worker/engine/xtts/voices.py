"""The names under which jobs ask for voices: those of the checkpoint, and those of the library."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import torch

from ..errors import CheckpointError, UnknownVoice
from ..model import ModelVoice
from ..names import LONGEST_CHARS, plain
from ..request import ChunkRequest
from .library import Maker, Stamp, VoiceLibrary
from .speakers import Speaker

logger = logging.getLogger(__name__)

#: The voice of a request that names none.
DEFAULT: Final = "default"

#: What of a voice's revision tells it from another of the same name.
_MARK_CHARS: Final = 8

#: How long a voice that was changed or removed is kept for the jobs that began with it.
LEFT_S: Final = 24 * 3600.0


class Cast:
    """The voices that are offered, and those that have left but may be in the middle of a job.

    `renew` may run beside the engine's thread. What it reads is placed on the device by the
    engine's thread alone: a GPU that records its graphs bears no other.
    """

    def __init__(
        self,
        speakers: Mapping[str, Speaker],
        device: torch.device,
        library: VoiceLibrary | None,
        maker: Maker,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Offers the voices of a checkpoint and those of `library` that `maker` has made."""
        self._speakers = speakers
        self._device = device
        self._library = library
        self._maker = maker
        self._clock = clock
        self._stamps: dict[str, Stamp] = {}
        self._kept: dict[str, Speaker | CheckpointError] = {}
        self._fault = ""
        # These are replaced, never changed: other threads may be reading them.
        self._offered: Mapping[str, Speaker] = {}
        #: By revision, with the time at which it left.
        self._known: Mapping[str, tuple[Speaker, float]] = {}
        #: The last revision under each name.
        self._latest: Mapping[str, str] = {}
        self._placed: dict[str, Speaker] = {}
        self._take(by_name(speakers))
        self.renew()

    @property
    def offered(self) -> tuple[ModelVoice, ...]:
        """Every voice that can be asked for."""
        return tuple(ModelVoice(name, one.revision) for name, one in self._offered.items())

    @property
    def faults(self) -> Mapping[str, str]:
        """What is wrong with the files of voices that are left out, by name."""
        left_out = {name: one for name, one in self._kept.items() if name not in self._offered}
        return {name: str(one) for name, one in left_out.items() if not isinstance(one, Speaker)}

    def renew(self) -> bool:
        """Look at the library; True if something else is offered than before, or left out."""
        stamps = self._listed()
        if stamps == self._stamps:
            return False
        before = self.offered, self.faults
        self._kept = {
            name: self._kept[name] if self._stamps.get(name) == stamp else self._read(name)
            for name, stamp in stamps.items()
        }
        self._stamps = stamps
        kept = {name: one for name, one in self._kept.items() if isinstance(one, Speaker)}
        self._take(by_name(self._speakers, kept))
        return (self.offered, self.faults) != before

    def check(self, request: ChunkRequest) -> None:
        """Raise `UnknownVoice` unless the voice is offered, or is one that the job began with.

        `CheckpointError` if its file cannot be used.
        """
        if request.voice_revision in self._known:
            return
        if request.voice_revision and request.voice in self._latest:
            raise UnknownVoice(
                f"voice {request.voice!r} has changed since the job began with it; try it again"
            )
        if request.voice not in self._offered:
            if fault := self.faults.get(request.voice):
                raise CheckpointError.saying(fault)
            raise UnknownVoice(f"xtts has no voice {request.voice!r}")

    def pinned(self, request: ChunkRequest) -> ChunkRequest:
        """Return a checked request that keeps its voice, whatever becomes of the name."""
        if request.voice_revision:
            return request
        return replace(request, voice_revision=self._latest[request.voice])

    def speaker(self, request: ChunkRequest) -> Speaker:
        """Return the voice of a pinned request, on the device. For the engine's thread."""
        revision = request.voice_revision
        if revision not in self._placed:
            known = self._known
            self._placed = {one: placed for one, placed in self._placed.items() if one in known}
            self._placed[revision] = known[revision][0].on(self._device)
        return self._placed[revision]

    def _listed(self) -> dict[str, Stamp]:
        if self._library is None:
            return {}
        try:
            stamps = self._library.stamps()
        except OSError as error:
            # What was there a moment ago is offered on. Told once, as it may go on for long.
            if str(error) != self._fault:
                logger.warning("voices cannot be looked at: %s", error)
            self._fault = str(error)
            return self._stamps
        self._fault = ""
        return stamps

    def _read(self, name: str) -> Speaker | CheckpointError:
        assert self._library is not None  # noqa: S101 - it has listed the name
        try:
            voice = self._library.voice_of(self._maker, name)
        except CheckpointError as error:
            logger.warning("voice %s is left out: %s", name, error)
            return error
        return Speaker.of(torch.from_numpy(voice.latents), torch.from_numpy(voice.embedding))

    def _take(self, offered: Mapping[str, Speaker]) -> None:
        """Offer these from now on; those that leave are known for a while longer."""
        now_s = self._clock()
        left = {
            revision: (speaker, min(left_s, now_s))
            for revision, (speaker, left_s) in self._known.items()
            if left_s > now_s - LEFT_S
        }
        self._known = left | {one.revision: (one, math.inf) for one in offered.values()}
        last = {name: one for name, one in self._latest.items() if one in self._known}
        self._latest = last | {name: one.revision for name, one in offered.items()}
        self._offered = offered


def by_name(
    speakers: Mapping[str, Speaker], kept: Mapping[str, Speaker] | None = None
) -> dict[str, Speaker]:
    """Return a checkpoint's voices under plain names, and those that people have added.

    The first of a checkpoint's is `default` too, unless one has that name; one that was added is,
    where a checkpoint has none. Where two names become the same, or nothing is left of one, the
    beginning of the voice's revision tells them apart.
    """
    named: dict[str, Speaker] = {}
    for name, speaker in sorted(speakers.items()):
        word = plain(name)
        if not word or word in named:
            mark = speaker.revision[:_MARK_CHARS]
            word = f"{word[: LONGEST_CHARS - _MARK_CHARS - 1] or 'voice'}-{mark}"
        named[word] = speaker
    first = min(named or kept or {}, default=None)
    named |= kept or {}
    if first is not None:
        named.setdefault(DEFAULT, named[first])
    return named
