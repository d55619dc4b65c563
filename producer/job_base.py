"""What every kind of job has."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from .content_key import canonical
from .queues import QUEUE_OF, Priority

#: The version of the job format that this side reads and writes.
SCHEMA_VERSION: Final = 1


class Strict(BaseModel):
    """Frozen; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class JobBase(Strict):
    """The version of the format, and the class of the job."""

    schema_version: Literal[1] = SCHEMA_VERSION
    priority: Priority = Priority.INTERACTIVE

    @property
    def queue(self) -> str:
        """The queue that its message goes to."""
        return QUEUE_OF[self.priority]

    def encode(self) -> str:
        """Return the one JSON text of this job; `decode` reads it back."""
        return canonical(self.model_dump(mode="json")).decode()
