"""What a press is asked for, and what it answers: plain data, over a socket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from producer.job import OutputSpec

from .manifest import Facts, Manifest
from .staged import Entry


@dataclass(frozen=True, slots=True)
class Order:
    """One file to make. Its samples, float32, come by the ring."""

    key: str
    output: OutputSpec
    sample_rate_hz: int
    facts: Facts

    def encode(self) -> dict[str, Any]:
        """Return plain JSON; `decode` reads it back."""
        return {
            "key": self.key,
            "output": self.output.model_dump(),
            "sample_rate_hz": self.sample_rate_hz,
            # As text, which pydantic writes and reads many times faster than Python objects.
            "facts": self.facts.model_dump_json(),
        }

    @classmethod
    def decode(cls, fields: dict[str, Any]) -> Self:
        """Read what `encode` returned."""
        return cls(
            fields["key"],
            OutputSpec(**fields["output"]),
            fields["sample_rate_hz"],
            Facts.model_validate_json(fields["facts"]),
        )


def encode_entry(entry: Entry) -> dict[str, Any]:
    """Return plain JSON; `decode_entry` reads it back."""
    return {"path": entry.path, "manifest": entry.manifest.model_dump_json()}


def decode_entry(fields: dict[str, Any]) -> Entry:
    """Read what `encode_entry` returned."""
    return Entry(fields["path"], Manifest.decode(fields["manifest"]))
