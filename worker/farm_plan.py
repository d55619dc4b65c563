"""The plan of one `up`: which GPUs, how many workers, and what runs beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from .config import WorkerSettings
from .engine.registry import needs_process
from .engine_choice import engine_spec
from .errors import GpuUnavailable
from .gpus import Gpu, GpuSource, chosen, refusal

#: What `--gpus` may be beside indexes.
ALL: Final = "all"
PROCESSOR: Final = "cpu"


@dataclass(frozen=True, slots=True)
class FarmPlan:
    """What the flags of `up` say."""

    #: `all`, indexes such as `0,2`, `cpu`, or None: all GPUs if the engine can use them.
    gpus: str | None = None
    workers_per_gpu: int = 1
    allow_small_gpu: bool = False
    #: Workers at least and at most; None is every place. They differ if the number follows the
    #: backlog.
    least: int | None = None
    most: int | None = None
    flower_port: int | None = None
    command: Sequence[str] = ()
    #: Where the command runs.
    directory: Path = field(default_factory=Path)

    def bounds(self, places: int) -> tuple[int, int]:
        """Return the fewest and the most workers that there may be."""
        most = places if self.most is None else min(self.most, places)
        return (most if self.least is None else min(self.least, most)), most


def planned_gpus(
    plan: FarmPlan, settings: WorkerSettings, source: GpuSource, tell: Callable[[str], None]
) -> list[Gpu]:
    """Return the GPUs to man, none for the processor. Raises `GpuUnavailable` with the reasons.

    A GPU that is too small or too old is left out and told, but for `--allow-small-gpu`.
    """
    wanted = plan.gpus
    if wanted == PROCESSOR:
        return []
    if wanted is None:
        spec = engine_spec(settings)
        computes = needs_process(spec.name, spec.converter) and settings.device != "cpu"
        if not computes or not source.gpus():
            return []
        wanted = ALL
    gpus = chosen(source.gpus(), wanted)
    refused = {} if plan.allow_small_gpu else {gpu: why for gpu in gpus if (why := refusal(gpu))}
    fit = [gpu for gpu in gpus if gpu not in refused]
    reasons = [
        f"not used: {why}; --allow-small-gpu uses it all the same" for why in refused.values()
    ]
    if not fit:
        raise GpuUnavailable("\n".join(reasons))
    for reason in reasons:
        tell(reason)
    return fit
