"""Where the time of an engine in this process goes: on the host by function, on the GPU by stage.

The host's side is looked at from outside, without slowing it; the GPU's side is what the driver
tells of its kernels, each of which belongs to the stage that launched it.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from worker.engine.engine import Engine
from worker.engine.xtts.decoder import Decoder
from worker.engine.xtts.model import XttsModel
from worker.engine.xtts.vocoder import Vocoder

from .stack_sampler import StackSampler

#: What is told apart of an engine that speaks.
XTTS_STAGES: Final[dict[type, tuple[str, ...]]] = {
    XttsModel: ("prefill",),
    Decoder: ("burst", "poll"),
    Vocoder: ("begin", "advance", "finished"),
    Engine: ("_admit", "_deliver", "_free"),
}

#: The stage of which a turn of the engine has one.
TURN: Final = "burst"

#: Kernels that are shown.
_SHOWN = 16


#: What lies between two kernels that were launched in time, within a graph or behind one, is less.
PAUSE_NS: Final = 20_000


@dataclass(frozen=True, slots=True)
class Idle:
    """When a GPU does nothing. [ns]"""

    #: Between kernels that follow each other as soon as the GPU lets them.
    pauses_ns: int
    #: For the host, by the stage that launched the kernel which came at last.
    waits_ns: Counter[str]

    @property
    def waited_ns(self) -> int:
        """All that was the host's."""
        return sum(self.waits_ns.values())


@dataclass(frozen=True, slots=True)
class _Span:
    """One call of a stage. [ns since the epoch]"""

    start_ns: int
    end_ns: int
    name: str


class EngineProfile:
    """Watches an engine of this process from its construction on."""

    def __init__(self, stages: Mapping[type, Sequence[str]], places: Sequence[str]) -> None:
        """`stages` are methods whose time is told apart, `places` where else a thread may be."""
        self._spans: list[_Span] = []
        self._phases = frozenset(places).union(*stages.values())
        for owner, names in stages.items():
            for name in names:
                self._watch(owner, name)

    def watch(self, seconds: float) -> None:
        """Watch for so long each the pace, the host and the GPU, and print what was seen."""
        begun_ns = time.time_ns()
        time.sleep(seconds)
        pace = self._turns(begun_ns, begun_ns + int(seconds * 1e9)) / seconds
        print(f"   == unwatched, {seconds:.0f} s: {pace:.2f} turns a second")
        with StackSampler(self._phases) as looks:
            time.sleep(seconds)
        print(f"   == host, {seconds:.0f} s")
        looks.tell()
        if torch.cuda.is_available():
            print(f"   == GPU, {seconds:.0f} s")
            self._watch_gpu(seconds, pace)

    def _turns(self, start_ns: int, end_ns: int) -> int:
        return sum(one.name == TURN and start_ns <= one.end_ns < end_ns for one in self._spans)

    def _watch(self, owner: Any, name: str) -> None:
        plain = getattr(owner, name)

        def watched(*given: Any, **named: Any) -> Any:
            start_ns = time.time_ns()
            try:
                return plain(*given, **named)
            finally:
                self._spans.append(_Span(start_ns, time.time_ns(), name))

        watched.__name__ = name
        setattr(owner, name, watched)

    def _watch_gpu(self, seconds: float, pace: float) -> None:
        first = len(self._spans)
        with profile(activities=[ProfilerActivity.CUDA]) as found:
            start_ns = time.time_ns()
            time.sleep(seconds)
            end_ns = time.time_ns()
        spans = sorted(self._spans[first:], key=lambda one: one.start_ns)
        kernels, launches = [], {}
        for event in found.profiler.kineto_results.events():
            if event.device_type() == DeviceType.CUDA:
                if event.start_ns() < end_ns and event.duration_ns():
                    kernels.append(event)
            else:
                launches[event.correlation_id()] = event.start_ns()
        stages = _stages_of(kernels, launches, spans)
        works = [
            (kernel.start_ns(), kernel.duration_ns(), stage)
            for kernel, stage in zip(kernels, stages, strict=True)
        ]
        idle, turns = idle_ns(works, start_ns, end_ns), self._turns(start_ns, end_ns)
        _tell_idle(idle, len(works), end_ns - start_ns)
        print(f"   {_unwatched(end_ns - start_ns - idle.waited_ns, turns, pace)}")
        _tell_stages(kernels, stages, spans, (end_ns - start_ns) / 1e9)


def idle_ns(works: Sequence[tuple[int, int, str]], start_ns: int, end_ns: int) -> Idle:
    """Return when nothing ran between two times; `works` are starts, durations and stages [ns]."""
    reached_ns, pauses_ns, waits_ns = start_ns, 0, Counter[str]()
    for begun_ns, length_ns, stage in sorted(works):
        gap_ns = min(begun_ns, end_ns) - reached_ns
        if gap_ns > PAUSE_NS:
            waits_ns[stage] += gap_ns
        elif gap_ns > 0:
            pauses_ns += gap_ns
        reached_ns = max(reached_ns, begun_ns + length_ns)
    if reached_ns < end_ns:
        waits_ns["the end"] += end_ns - reached_ns
    return Idle(pauses_ns, waits_ns)


def host_share(own_ns: int, turns: int, pace: float) -> float:
    """Return how much of the time a GPU waits for a host that nobody watches.

    Kernels, and the pauses between them, are hardly longer while they are watched, but the host is
    slower: so the GPU's own time of a turn is what was watched, `turns` in `own_ns`, and their
    `pace` a second is what was not. None is the least that comes of it.
    """
    return max(0.0, 1.0 - own_ns / turns / 1e9 * pace)


def _unwatched(own_ns: int, turns: int, pace: float) -> str:
    if not turns:
        return "no turn"
    share = host_share(own_ns, turns, pace)
    return f"{turns} turns; unwatched, {pace:.2f} a second, the GPU waits for the host {share:.1%}"


def _tell_idle(idle: Idle, kernels: int, watched_ns: int) -> None:
    pauses, waits = idle.pauses_ns / watched_ns, idle.waited_ns / watched_ns
    before = ", ".join(f"{n} {t / watched_ns:.2%}" for n, t in idle.waits_ns.most_common())
    print(
        f"   busy {1 - pauses - waits:.1%} of the time, {kernels} kernels; between two of them "
        f"{pauses:.1%}; waits for the host {waits:.1%}: before {before}"
    )


def _stages_of(
    kernels: Sequence[Any], launches: Mapping[int, int], spans: Sequence[_Span]
) -> list[str]:
    """Return the stage that launched each kernel."""
    starts = [one.start_ns for one in spans]
    times_ns = [launches.get(event.correlation_id()) for event in kernels]
    return ["unknown" if at_ns is None else _innermost(spans, starts, at_ns) for at_ns in times_ns]


def _tell_stages(
    kernels: Sequence[Any], stages: Sequence[str], spans: Sequence[_Span], watched_s: float
) -> None:
    times_ns: Counter[str] = Counter()
    by_kernel: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for event, stage in zip(kernels, stages, strict=True):
        times_ns[stage] += event.duration_ns()
        counts[stage] += 1
        by_kernel[event.name()] += event.duration_ns()
        counts[event.name()] += 1
    for times in (times_ns, by_kernel):
        for name, time_ns in times.most_common(_SHOWN):
            share = time_ns / 1e9 / watched_s
            print(f"      {share:6.1%} {counts[name]:7} x {name[:100]}", flush=True)
    host_ns: Counter[str] = Counter()
    for span in spans:
        host_ns[span.name] += span.end_ns - span.start_ns
    shares = ", ".join(f"{n} {t / 1e9 / watched_s:.1%}" for n, t in host_ns.most_common())
    print(f"   host in each, with all within it: {shares}")


def _innermost(spans: Sequence[_Span], starts: Sequence[int], at_ns: int) -> str:
    """Return the stage that was entered last of those that were being run."""
    for place in range(bisect_right(starts, at_ns) - 1, -1, -1):
        if spans[place].end_ns >= at_ns:
            return spans[place].name
        if spans[place].name == "turn":
            break
    return "between"
