"""The engine's convert stage: sounds of many jobs, in batches, into the voices of many others.

A sound comes from the model of this engine or from a recording. It is converted by itself, and its
neighbours neither hear it nor suffer from it. A device works on batches while the engine goes on.
Long recordings are converted beside the batches.
"""

from __future__ import annotations

import logging
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from .audio_stream import samples_of
from .conversion_line import ConversionLine
from .converter import RenewableConverter, Source, VoiceConverter
from .device_fault import is_device_fault
from .errors import ChunkFailed, EngineError, EngineOutOfMemory, NoConversion
from .lifecycle import Facts
from .long_work import LongWork
from .model import ConversionOffer, Outcome
from .request import ChunkRequest, Sound
from .under_way import UnderWay

logger = logging.getLogger(__name__)

#: Steps for which a small batch waits for company while rows are decoded.
GATHERING_STEPS: Final = 4

#: Batches that a device may have at a time, so that it never waits for the next one; and how many
#: while somebody waits for what is decoded, who would wait for all of them.
AHEAD: Final = 2
AHEAD_AWAITED: Final = 1

#: Batches that must fit before one may be larger again after one has not.
RECOVERY_BATCHES: Final = 64

#: What an engine says that was made without a converter.
NOBODY: Final = "this engine converts nothing; VOICEFARM_RVC may be off"


class Conversion:
    """Called from the engine's thread alone, but for `check` and `facts`."""

    def __init__(self, converter: VoiceConverter | None) -> None:
        """None refuses whatever is to be converted."""
        self._converter = converter
        self._line = ConversionLine()
        self._under_way = UnderWay()
        self._long = None if converter is None else LongWork(converter)
        # Whose sound is to be converted once it is there, and what came with a sound.
        self._expected: dict[str, ChunkRequest] = {}
        self._sounds: dict[str, Sound] = {}
        self._native_rate_hz = 0
        # Share of a portion that is known to fit into memory.
        self._share = 1.0
        self._good_batches = 0
        self._gathering = 0
        self._converted = 0

    def load(self) -> None:
        """Read what all voices share."""
        if self._converter is not None:
            self._converter.load()

    def warm_up(self) -> None:
        """Convert something, so that no job pays for what is done once."""
        if self._converter is not None:
            self._converter.warm_up()

    def open(self, native_rate_hz: int) -> None:
        """Begin to take sounds in; the model's are of this rate if they do not say."""
        self._native_rate_hz = native_rate_hz

    def offer(self) -> ConversionOffer | None:
        """Return what can be asked for. Callable by any thread."""
        return None if self._converter is None else self._converter.offer()

    @property
    def is_renewable(self) -> bool:
        """True if the offer may change while the engine runs."""
        return isinstance(self._converter, RenewableConverter)

    def renew(self) -> bool:
        """Look whether something else can be asked for. Called from a thread of its own."""
        converter = self._converter
        return isinstance(converter, RenewableConverter) and converter.renew()

    def close(self) -> None:
        """Let go of the device."""
        if self._converter is not None:
            self._converter.close()

    def check(self, request: ChunkRequest) -> None:
        """Raise an `EngineError` for what cannot be converted. Callable by any thread."""
        if request.conversion is None:
            return
        if self._converter is None:
            raise NoConversion(NOBODY)
        self._converter.check(request.conversion)

    def facts(self) -> Facts:
        """Return plain JSON, without waiting."""
        facts = {} if self._converter is None else self._converter.facts()
        waiting = len(self._line) + len(self._under_way) + len(self._long or ())
        far = {} if self._long is None else self._long.facts()
        return {"converting": waiting, "converted": self._converted, **far, **facts}

    def expect(self, requests: Iterable[ChunkRequest]) -> None:
        """Note requests that have begun; recordings wait for their turn from now on."""
        for request in requests:
            if request.conversion is not None:
                self._expected[request.id] = request

    def drop(self, request_ids: Iterable[str]) -> None:
        """Forget requests, wherever they are here."""
        for request_id in request_ids:
            self._expected.pop(request_id, None)
            self._sounds.pop(request_id, None)
            self._line.drop(request_id)
            self._under_way.drop(request_id)
            if self._long is not None:
                self._long.drop(request_id)

    @property
    def held(self) -> Container[str]:
        """The ids of those that the model has spoken and that are not converted yet."""
        return frozenset((*self._line, *self._under_way))

    def turn(
        self, spoken: Mapping[str, Outcome], *, busy: bool, awaited: bool
    ) -> Mapping[str, Outcome]:
        """Take new sounds in, begin a batch, and return by id all that is done.

        What needs no conversion is done. `busy` says that rows wait for this to return, `awaited`
        that somebody waits for one of them. With nothing else to do it waits for a batch.
        """
        if self._converter is None or self._long is None:
            return spoken
        done = dict(spoken)
        for request_id in [name for name in self._expected if self._has_begun(name, spoken)]:
            request = self._expected.pop(request_id)
            outcome = done.pop(request_id, None)
            try:
                self._take_in(request, outcome)
            except EngineError as error:
                done[request_id] = error
        waiting = len(self._line)
        failed = self._begin(self._converter, busy=busy, awaited=awaited)
        is_idle = not busy and len(self._line) == waiting and not self._long
        ended = failed | self._under_way.ended(wait=is_idle) | self._long.turn()
        self._converted += len(ended)
        whole = {name: self._whole(name, outcome) for name, outcome in ended.items()}
        return done | whole

    def _has_begun(self, request_id: str, spoken: Mapping[str, Outcome]) -> bool:
        return request_id in spoken or self._expected[request_id].recording is not None

    def _take_in(self, request: ChunkRequest, outcome: Outcome | None) -> None:
        """Put a request's sound into the line. Raises what has become of it otherwise."""
        if request.conversion is None:
            return
        if isinstance(outcome, Sound):
            samples, rate_hz = outcome.samples, outcome.sample_rate_hz or self._native_rate_hz
            self._sounds[request.id] = outcome
        elif request.recording is None:
            raise outcome if isinstance(outcome, EngineError) else ChunkFailed(repr(outcome))
        elif request.recording.is_long and self._long is not None:
            self._long.add(request.id, request.recording, request.conversion)
            return
        else:
            samples, rate_hz = samples_of(Path(request.recording.path))
        source = Source(request.id, samples, rate_hz, request.conversion)
        self._line.add(source, interactive=request.interactive)

    def _begin(self, converter: VoiceConverter, *, busy: bool, awaited: bool) -> dict[str, Outcome]:
        """Begin a batch, if it is time; return who has failed on the way."""
        portion_s = converter.portions.awaited_s if awaited else converter.portions.whole_s
        portion_s *= self._share
        ahead = AHEAD_AWAITED if awaited else AHEAD
        if not self._line or self._under_way.batches >= ahead:
            return {}
        if busy and self._is_worth_waiting(portion_s):
            return {}
        self._gathering = 0
        return self._fitting(converter, self._line.take(portion_s))

    def _is_worth_waiting(self, portion_s: float) -> bool:
        """Tell whether a batch would be small, and nobody is harmed if more come to it."""
        self._gathering += 1
        is_small = self._line.duration_s < portion_s and not self._line.is_urgent
        return is_small and self._gathering <= GATHERING_STEPS

    def _fitting(self, converter: VoiceConverter, sources: Sequence[Source]) -> dict[str, Outcome]:
        """Begin as many of a batch as the memory holds; the others go first next time."""
        try:
            converting = converter.convert(sources)
        except (MemoryError, EngineOutOfMemory) as error:
            return self._smaller(converter, sources, error)
        # Whatever a voice is broken by: its neighbours in the batch are tried without it.
        except Exception as error:
            if is_device_fault(error):
                raise
            logger.exception("a batch of %d conversions failed", len(sources))
            if len(sources) == 1:
                return {sources[0].id: ChunkFailed(f"{type(error).__name__}: {error}")}
            alone = [self._fitting(converter, [source]) for source in sources]
            return {name: outcome for found in alone for name, outcome in found.items()}
        self._under_way.add(sources, converting)
        self._good_batches += 1
        if self._good_batches >= RECOVERY_BATCHES:
            self._share, self._good_batches = min(1.0, 2 * self._share), 0
        return {}

    def _smaller(
        self, converter: VoiceConverter, sources: Sequence[Source], error: Exception
    ) -> dict[str, Outcome]:
        if len(sources) == 1:
            words = "the audio does not fit into memory, even alone"
            return {sources[0].id: EngineOutOfMemory(f"{words}: {error}")}
        logger.warning("%d conversions do not fit into memory: %s", len(sources), error)
        self._share, self._good_batches = self._share / 2, 0
        half = len(sources) // 2
        self._line.put_back(sources[half:])
        return self._fitting(converter, sources[:half])

    def _whole(self, request_id: str, outcome: Outcome) -> Outcome:
        """Return an outcome with what the model had to say of its sound."""
        spoken = self._sounds.pop(request_id, None)
        if spoken is None or isinstance(outcome, Exception):
            return outcome
        return replace(outcome, trimmed_s=spoken.trimmed_s, truncated=spoken.truncated)
