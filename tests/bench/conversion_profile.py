"""Where the time of text -> XTTS -> RVC goes, by stage, and in which batches and shapes."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import torch

from worker.engine.conversion import Conversion
from worker.engine.converter import Source, VoiceConverter
from worker.engine.engine import Engine
from worker.engine.model import Outcome
from worker.engine.rvc.converter import Converter
from worker.engine.rvc.rmvpe import Rmvpe
from worker.engine.rvc.stages import Stages
from worker.engine.rvc.synthesizer import Synthesizer
from worker.engine.xtts.model import XttsModel

from .engine_profile import EngineProfile

#: Functions whose time is told apart, by their class.
_STAGES: dict[type, tuple[str, ...]] = {
    XttsModel: ("decode", "vocode"),
    Converter: ("_prepared", "convert"),
    Stages: ("features", "blended", "spoken"),
    Rmvpe: ("heard", "salience"),
    Synthesizer: ("_frames", "_decode"),
    Conversion: ("turn",),
    Engine: ("_prefill",),
}

#: Of other functions, where a thread may be.
_PLACES = ("received", "_voices", "_finished", "find_pitch", "_deliver", "_admit")


class ConversionProfile(EngineProfile):
    """Tells of batches and shapes too."""

    def __init__(self) -> None:
        super().__init__(_STAGES, _PLACES)
        self._batches: list[tuple[int, int, float, int, float]] = []
        self._shapes: dict[tuple[int, ...], list[float]] = defaultdict(list)
        self._watch_batches()
        self._watch_shapes()

    def watch(self, seconds: float) -> None:
        """Watch for so long twice, first the host, then the GPU, and print what was seen."""
        first, before = len(self._batches), _memory_facts()
        super().watch(seconds)
        self._tell_batches(self._batches[first:])
        self._tell_shapes()
        for name, value in _memory_facts().items():
            print(f"   {name}: {value - before[name]} more, {value} in all")

    def _watch_batches(self) -> None:
        plain: Callable[..., Any] = Conversion._fitting

        def watched(conversion: Any, converter: VoiceConverter, sources: Sequence[Source]) -> Any:
            waiting, start_s = len(conversion._line), time.perf_counter()
            found: dict[str, Outcome] = plain(conversion, converter, sources)
            took_s = time.perf_counter() - start_s
            voices = len({one.voice for one in sources})
            lasts_s = sum(one.duration_s for one in sources)
            self._batches.append((len(sources), voices, lasts_s, waiting, took_s))
            return found

        Conversion._fitting = watched  # type: ignore[method-assign]

    def _watch_shapes(self) -> None:
        """Note how long the host takes for a shape of RMVPE's network, each time it comes."""
        plain: Callable[..., Any] = Rmvpe._unet

        def watched(network: Any, x: Any, masks: Any) -> Any:
            start_s = time.perf_counter()
            found = plain(network, x, masks)
            self._shapes[tuple(x.shape)].append(time.perf_counter() - start_s)
            return found

        Rmvpe._unet = watched  # type: ignore[method-assign]

    def _tell_batches(self, batches: Sequence[tuple[int, int, float, int, float]]) -> None:
        print(f"   {len(batches)} batches: clips, voices, s of audio, clips left waiting, ms")
        for clips, voices, lasts_s, waiting, took_s in batches[:12]:
            print(f"      {clips:4} {voices:3} {lasts_s:7.1f} {waiting:5} {1000 * took_s:8.1f}")

    def _tell_shapes(self) -> None:
        firsts = [times[0] for times in self._shapes.values()]
        others = [one for times in self._shapes.values() for one in times[1:]]
        for name, times in (("first", firsts), ("later", others)):
            if times:
                print(
                    f"   RMVPE's network the {name} time in a shape: {len(times)} times, "
                    f"{1000 * sum(times) / len(times):.1f} ms of the host on average"
                )


def _memory_facts() -> dict[str, int]:
    if not torch.cuda.is_available():
        return {}
    facts = torch.cuda.memory_stats()
    names = ("num_alloc_retries", "num_device_alloc", "num_device_free", "num_ooms")
    return {name: facts.get(name, 0) for name in names}
