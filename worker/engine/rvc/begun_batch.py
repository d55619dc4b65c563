"""A batch of conversions that a device was told to do: a `Converting`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from ..converter import Source
from ..model import Outcome
from ..request import Sound
from ..transfers import Arriving
from .clip import Clip


class BegunBatch:
    """What is on its way to the host, and what is known to have failed."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        self._arriving: list[tuple[dict[str, int], Arriving]] = []
        self._failed: dict[str, Exception] = {}

    def fail(self, source_id: str, error: Exception) -> None:
        """Note what has become of a source."""
        self._failed[source_id] = error

    def add(self, clips: Mapping[str, Clip], found: Sequence[Tensor | Exception]) -> None:
        """Have the host get what was made of clips, by the ids of their sources, in their order."""
        rates_hz: dict[str, int] = {}
        good: list[Tensor] = []
        for (name, clip), result in zip(clips.items(), found, strict=True):
            if isinstance(result, Exception):
                self.fail(name, result)
            else:
                rates_hz[name] = clip.output_rate_hz
                good.append(result)
        self._arriving.append((rates_hz, Arriving(good)))

    def is_done(self) -> bool:
        """See `Converting`."""
        return all(arriving.is_here() for _, arriving in self._arriving)

    def outcomes(self) -> Sequence[Outcome]:
        """See `Converting`."""
        found: dict[str, Outcome] = dict(self._failed)
        for rates_hz, arriving in self._arriving:
            for (name, rate_hz), samples in zip(rates_hz.items(), arriving.parts(), strict=True):
                found[name] = Sound(samples.numpy(), sample_rate_hz=rate_hz)
        return [found[source.id] for source in self._sources]
