"""The GPUs of this machine: what they are, how they are, and which of them can be worked on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from .errors import GpuUnavailable

if TYPE_CHECKING:
    from .config import WorkerSettings

#: A card sold with 12 GB tells of 11.6 to 12.0 GiB; both models and a batch need them.
MIN_MEMORY_BYTES: Final = int(11.5 * 2**30)

#: The oldest compute capability that the torch of the worker still carries.
MIN_CAPABILITY: Final = (7, 0)


@dataclass(frozen=True, slots=True)
class Gpu:
    """What does not change about a GPU."""

    #: Its number on this machine, as `nvidia-smi` counts.
    index: int
    uuid: str
    name: str
    memory_bytes: int
    #: Compute capability, such as (9, 0).
    capability: tuple[int, int]

    @property
    def words(self) -> str:
        """What a person calls it."""
        gib = self.memory_bytes / 2**30
        return f"GPU {self.index}, {self.name}, {gib:.1f} GiB, capability {shown(self.capability)}"


@dataclass(frozen=True, slots=True)
class GpuReading:
    """How a GPU is now; None is what it does not tell."""

    used_bytes: int | None = None
    temperature_c: int | None = None
    #: Why it runs slower than it could; empty if it does not.
    throttling: tuple[str, ...] = ()


class GpuSource(Protocol):
    """Where the facts come from. Nothing here raises for a machine without GPUs."""

    def gpus(self) -> Sequence[Gpu]:
        """Return every GPU of this machine, by index."""

    def reading(self, uuid: str) -> GpuReading | None:
        """Return how a GPU is; None if it can not be asked."""


class NoGpus:
    """A machine without GPUs."""

    def gpus(self) -> Sequence[Gpu]:
        """See `GpuSource`."""
        return ()

    def reading(self, uuid: str) -> GpuReading | None:
        """See `GpuSource`."""
        return None


class OwnGpu:
    """The GPU of this worker, and how it was when `refresh` was called last."""

    def __init__(self, source: GpuSource, uuid: str) -> None:
        """`uuid` "" is a worker without one."""
        self._source = source
        self._uuid = uuid
        self._gpu: Gpu | None = None
        self._facts: dict[str, Any] | None = None

    @property
    def facts(self) -> Mapping[str, Any] | None:
        """Plain JSON, without waiting; None without a GPU."""
        return self._facts

    def refresh(self) -> None:
        """Ask how it is; the driver may take its time."""
        if not self._uuid:
            return
        if self._gpu is None:
            known = {gpu.uuid: gpu for gpu in self._source.gpus()}
            self._gpu = known.get(self._uuid)
        if self._gpu is not None:
            self._facts = facts_of(self._gpu, self._source.reading(self._uuid))


def facts_of(gpu: Gpu, reading: GpuReading | None) -> dict[str, Any]:
    """Return plain JSON: what a GPU is, and how it is."""
    reading = reading or GpuReading()
    return {
        "index": gpu.index,
        "uuid": gpu.uuid,
        "name": gpu.name,
        "capability": shown(gpu.capability),
        "memory_bytes": gpu.memory_bytes,
        "used_bytes": reading.used_bytes,
        "temperature_c": reading.temperature_c,
        "throttling": list(reading.throttling),
    }


def gpu_source(settings: WorkerSettings) -> GpuSource:
    """Return where this machine's GPUs are told of: the file of the settings, else NVML."""
    if settings.fake_gpus is not None:
        from .described_gpus import DescribedGpus

        return DescribedGpus(settings.fake_gpus)
    from .nvml import nvml_source

    return nvml_source()


def own_gpu(settings: WorkerSettings) -> OwnGpu:
    """Return the GPU that the settings name; without one no driver is asked."""
    return OwnGpu(gpu_source(settings) if settings.gpu else NoGpus(), settings.gpu)


def chosen(gpus: Sequence[Gpu], wanted: str) -> list[Gpu]:
    """Return the GPUs that `--gpus` names: `all`, or indexes such as `0,2`.

    Raises `GpuUnavailable` for one that is not there, or for all of none.
    """
    if not gpus:
        raise GpuUnavailable("no GPU was found on this machine; `--gpus cpu` does without")
    if wanted == "all":
        return list(gpus)
    by_index = {gpu.index: gpu for gpu in gpus}
    picked: dict[int, Gpu] = {}
    for word in wanted.split(","):
        if not word.strip().isdecimal() or int(word) not in by_index:
            there = ", ".join(map(str, by_index))
            raise GpuUnavailable(f"--gpus {wanted}: there is no GPU {word!r}; these are: {there}")
        picked[int(word)] = by_index[int(word)]
    return list(picked.values())


def refusal(gpu: Gpu) -> str:
    """Return why a GPU should not be worked on, "" if it may."""
    if gpu.capability < MIN_CAPABILITY:
        return f"{gpu.words}: capability {shown(MIN_CAPABILITY)} is needed"
    if gpu.memory_bytes < MIN_MEMORY_BYTES:
        return f"{gpu.words}: a card of 12 GB is needed, that is {MIN_MEMORY_BYTES / 2**30} GiB"
    return ""


def shown(capability: tuple[int, int]) -> str:
    """Return a compute capability as people write it."""
    return ".".join(map(str, capability))
