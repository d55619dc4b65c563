"""Content keys: the same request for audio has the same key on every machine.

A key is the sha256 of a canonical form: JSON with sorted keys, no spaces, UTF-8 text in
NFC, floats as Python's shortest repr. Pure: no clock, no disk, no network.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

Plain: TypeAlias = "str | int | float | bool | Sequence[Plain] | Mapping[str, Plain] | None"

#: Raised when the meaning of a key changes, so that old files are not mistaken for new ones.
KEY_VERSION: Final = 1

_KEY: Final = re.compile(r"[0-9a-f]{64}")


def canonical(value: Plain) -> bytes:
    """Return the one byte string that stands for `value`, whatever its key order."""
    return json.dumps(
        _normal(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def content_key(**fields: Plain) -> str:
    """Return the key of the audio that `fields` decide: 64 lower-case hex digits."""
    return hashlib.sha256(canonical({"key_version": KEY_VERSION, **fields})).hexdigest()


def seed_of(key: str) -> int:
    """Return the seed of a take, 0 .. 2**63 - 1: a retry of the same take sounds the same."""
    return int(key[:16], 16) >> 1


def is_key(text: str) -> bool:
    """True for what `content_key` could have returned, and for nothing else."""
    return _KEY.fullmatch(text) is not None


def _normal(value: Plain) -> Plain:
    """Fold what means the same: composed and decomposed text, 1 and 1.0."""
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {str(name): _normal(inner) for name, inner in value.items()}
    if isinstance(value, Sequence):
        return [_normal(inner) for inner in value]
    return value
