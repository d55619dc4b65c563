"""Parts of a voice's networks as CUDA graphs: recorded once for a shape, for all voices of a kind.

A host takes longer to launch the hundreds of kernels of a voice than a fast GPU needs for them.
Voices of one configuration differ in their weights alone: a graph computes with weights that lie in
a place of its own, and those of a voice are copied there before, in one piece (55 MB of half
precision).
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import torch
from torch import Tensor

from ..xtts.graphs import Graphs
from .parcel import Parcel, gathered
from .voice_config import VoiceConfig
from .weights import SynthesizerWeights

logger = logging.getLogger(__name__)

#: Shapes whose graphs are kept, and which are remembered as seen. A graph takes some megabytes.
_KEPT: Final = 96
_REMEMBERED: Final = 1024

#: Configurations that have a place for weights. There are six that are widely used.
_PLACES: Final = 6

#: A part of the networks: weights and tensors in, one tensor out. It looks at nothing else.
Part = Callable[..., Tensor]


class Run(Protocol):
    """Runs parts with the weights of one voice."""

    def __call__(self, name: str, part: Part, *given: Tensor | None) -> Tensor:
        """Return `part(weights, *given)`; equal names stand for equal parts."""


def run_plainly(weights: SynthesizerWeights) -> Run:
    """Return what runs parts kernel by kernel."""
    return lambda _name, part, *given: part(weights, *given)


@dataclass(frozen=True, slots=True)
class _Recorded:
    """One graph, what it reads and what it writes."""

    inputs: Sequence[Tensor | None]
    replay: Callable[[], None]
    output: Callable[[], Tensor]

    def __call__(self, given: Sequence[Tensor | None]) -> Tensor:
        for place, tensor in zip(self.inputs, given, strict=True):
            if place is not None and tensor is not None:
                place.copy_(tensor)
        self.replay()
        # Its memory is that of the next graph too.
        return self.output().clone()


class VoiceGraphs:
    """Used by one thread, on one stream of one device. Other threads may use the device."""

    def __init__(self) -> None:
        self._recorder: Graphs | None = None
        self._weights: dict[VoiceConfig, Parcel[SynthesizerWeights]] = {}
        self._recorded: OrderedDict[Hashable, _Recorded] = OrderedDict()
        self._seen: OrderedDict[Hashable, None] = OrderedDict()
        self._is_broken = False

    def over(self, config: VoiceConfig, weights: SynthesizerWeights) -> Run:
        """Return what runs parts with a voice's weights, until the next call of this."""
        plain = run_plainly(weights)
        mine = gathered(weights)
        if mine is None or self._is_broken:
            return plain
        if config not in self._weights:
            if len(self._weights) >= _PLACES:
                return plain
            self._weights[config] = mine.moved(torch.empty_like)
        place = self._weights[config]
        place.memory.copy_(mine.memory)

        def run(name: str, part: Part, *given: Tensor | None) -> Tensor:
            key = (name, config, *((one.shape, one.dtype) for one in given if one is not None))
            recorded = self._recorded.get(key)
            if recorded is None and key in self._seen:
                recorded = self._record(key, part, place.tree, given)
            if recorded is None:
                # The first time all is prepared that a graph must find ready.
                self._remember(key)
                return plain(name, part, *given)
            self._recorded.move_to_end(key)
            return recorded(given)

        return run

    def _remember(self, key: Hashable) -> None:
        self._seen[key] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)

    def _record(
        self, key: Hashable, part: Part, weights: SynthesizerWeights, given: Sequence[Tensor | None]
    ) -> _Recorded | None:
        """Record a part; None, now and for ever, if that is not possible here."""
        if self._is_broken:
            return None
        if self._recorder is None:
            self._recorder = Graphs(weights.speakers.device, beside=True)
        inputs = [None if one is None else one.clone() for one in given]
        found: list[Tensor] = []

        def work() -> None:
            found[:] = [part(weights, *inputs)]

        try:
            replay = self._recorder.record(work)
        except RuntimeError as error:
            logger.warning("RVC goes on without CUDA graphs: %s", error)
            self._is_broken = True
            self._recorded.clear()
            return None
        recorded = _Recorded(inputs, replay, lambda: found[-1])
        self._recorded[key] = recorded
        if len(self._recorded) > _KEPT:
            self._recorded.popitem(last=False)
        return recorded
