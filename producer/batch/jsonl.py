"""JSON lines: one object a line, flat or in the shape of OpenAI's batches.

{"custom_id": "a", "text": "Hello", "voice": "anna"}
{"custom_id": "b", "method": "POST", "url": "/v1/audio/speech", "body": {"input": "Hello"}}
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from ..errors import InvalidItem
from .record import Found, Record

#: Longest line: the longest text of a job with every character escaped fits in.
MAX_LINE_BYTES: Final = 2**20

#: The one thing that OpenAI's shape may ask of this farm.
_ENDPOINT: Final = "/v1/audio/speech"

#: What stands around the body in that shape.
_ENVELOPE: Final = {"custom_id", "method", "url", "body"}


def read_jsonl(path: Path) -> Iterator[Found]:
    """Yield the records of a file, or what is wrong with a line. Empty lines are no items."""
    with path.open("rb") as file:
        for number, line in _lines(file):
            place = f"line {number}"
            if line is None:
                problem = f"is longer than {MAX_LINE_BYTES:,} bytes"
                yield InvalidItem(place, "", "line", problem)
            elif line.strip():
                yield _record(place, line)


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Yield numbered lines, None for one that is too long to be held."""
    number = 0
    while line := file.readline(MAX_LINE_BYTES):
        number += 1
        whole = line.endswith(b"\n") or len(line) < MAX_LINE_BYTES
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = file.readline(MAX_LINE_BYTES)
        # A byte order mark is no part of the first object.
        yield number, line.removeprefix(b"\xef\xbb\xbf") if whole else None


def _record(place: str, line: bytes) -> Found:
    fields: Any = None
    try:
        fields = json.loads(line, object_pairs_hook=_once)
    except UnicodeDecodeError as error:
        return InvalidItem(place, "", "line", f"is not UTF-8 at byte {error.start}")
    except (ValueError, RecursionError) as error:
        return InvalidItem(place, "", "line", f"is not JSON: {error}")
    if not isinstance(fields, dict):
        return InvalidItem(place, "", "line", "is not a JSON object")
    custom_id = fields.pop("custom_id", None)
    if not isinstance(custom_id, str):
        problem = "is missing" if custom_id is None else f"is no text: {custom_id!r}"
        return InvalidItem(place, "", "custom_id", problem)
    return (
        _opened(place, custom_id, fields) if "body" in fields else Record(place, custom_id, fields)
    )


def _opened(place: str, custom_id: str, fields: dict[str, Any]) -> Found:
    """Return what the envelope of OpenAI's shape holds."""
    body = fields["body"]
    if not isinstance(body, dict):
        return InvalidItem(place, custom_id, "body", "is not a JSON object")
    if stranger := next((name for name in fields if name not in _ENVELOPE), None):
        return InvalidItem(place, custom_id, stranger, "stands beside body; put it into the body")
    if fields.get("url", _ENDPOINT) != _ENDPOINT:
        problem = f"{fields['url']!r} is not {_ENDPOINT}, which is all that is done here"
        return InvalidItem(place, custom_id, "url", problem)
    if fields.get("method", "POST") != "POST":
        return InvalidItem(place, custom_id, "method", f"{fields['method']!r} is not POST")
    # Which model speaks is the farm's choice.
    return Record(place, custom_id, {k: v for k, v in body.items() if k != "model"})


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object in which no name is said twice: one of the two would be lost."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} is given twice")
    return fields
