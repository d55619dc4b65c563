"""GPUs that a file describes, for tests and demonstrations on a machine that has none.

The file is JSON, a list of `{"name", "memory_gib", "capability"}`, and of what may be added:
`uuid`, `used_gib`, `temperature_c` and `throttling`. It is read each time it is asked, so
that a GPU can grow hot while a farm runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from .errors import GpuUnavailable
from .gpus import Gpu, GpuReading


class Description(BaseModel):
    """One GPU of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    memory_gib: float = Field(gt=0)
    capability: str = Field(pattern=r"^\d+\.\d+$")
    uuid: str = ""
    used_gib: float = Field(default=0.0, ge=0)
    temperature_c: int | None = None
    throttling: tuple[str, ...] = ()


_FILE = TypeAdapter(list[Description])


class DescribedGpus:
    """A `GpuSource` of a file. Raises `GpuUnavailable` if the file is not one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read()

    def gpus(self) -> Sequence[Gpu]:
        """See `GpuSource`."""
        return [_gpu(index, one) for index, one in enumerate(self._read())]

    def reading(self, uuid: str) -> GpuReading | None:
        """See `GpuSource`."""
        for index, one in enumerate(self._read()):
            if _gpu(index, one).uuid == uuid:
                return GpuReading(
                    used_bytes=int(one.used_gib * 2**30),
                    temperature_c=one.temperature_c,
                    throttling=one.throttling,
                )
        return None

    def _read(self) -> list[Description]:
        try:
            return _FILE.validate_json(self._path.read_bytes())
        except OSError as error:
            raise GpuUnavailable(f"{self._path}: {error.strerror}") from error
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise GpuUnavailable(f"{self._path}: {where} {first['msg']}") from error


def _gpu(index: int, one: Description) -> Gpu:
    major, _, minor = one.capability.partition(".")
    return Gpu(
        index=index,
        uuid=one.uuid or f"GPU-described-{index}",
        name=one.name,
        memory_bytes=int(one.memory_gib * 2**30),
        capability=(int(major), int(minor)),
    )
