"""What has become of a batch's book: its state, how loud it is, whether its files are whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import VolumeUnavailable
from ..job_row import JobRow
from ..volumes import Volumes
from .proof import MANIFEST, Flaw, Proof, content_of, problem_of


def book_facts(row: JobRow, volumes: Volumes) -> dict[str, Any]:
    """Return what is known of a book, plain enough for JSON; null is unknown or not there."""
    manifest = _manifest(row, volumes)
    told = manifest.get("book") or {}
    heard = told.get("after") or {}
    return {
        "id": row.id,
        "state": row.state.value,
        "reason": row.reason or None,
        "detail": row.detail or None,
        "path": row.file or None,
        "duration_s": row.duration_s or None,
        "chapters": len(told["chapters"]) if "chapters" in told else None,
        "loudness_lufs": heard.get("loudness_lufs"),
        "true_peak_db": heard.get("true_peak_db"),
        "gain_db": told.get("gain_db"),
        "missing": told.get("missing"),
    }


def prove_book(row: JobRow, volumes: Volumes, proof: Proof) -> Iterator[Flaw]:
    """Read each file of a book again and yield what is wrong, as `prove` does for items."""
    if not row.state.is_final:
        proof.unended += 1
        return
    if not row.state.has_output:
        proof.without += 1
        return
    proof.files += 1
    proof.bytes += row.size_bytes
    problems = [(row.file, problem_of(row, volumes))]
    folder = Path(row.file).parent
    for file in (_manifest(row, volumes).get("book") or {}).get("files", ()):
        proof.files += 1
        proof.bytes += file["size_bytes"]
        # A name of the manifest is a name, and leads nowhere else.
        name = (folder / Path(file["name"]).name).as_posix()
        problems.append((name, _difference(volumes, name, file)))
    for name, problem in problems:
        if problem:
            proof.flaws += 1
            yield Flaw("the book", row.id, name, problem)


def _difference(volumes: Volumes, name: str, said: dict[str, Any]) -> str:
    try:
        found = content_of(volumes.locate(name))
    except VolumeUnavailable as error:
        return error.problem
    except FileNotFoundError:
        return f"{Path(name).name} is missing"
    except OSError as error:
        return error.strerror or str(error)
    return "" if found == (said["size_bytes"], said["sha256"]) else f"is not what {MANIFEST} says"


def _manifest(row: JobRow, volumes: Volumes) -> dict[str, Any]:
    """Return the manifest of a book's entry; empty if it cannot be read."""
    if not row.file:
        return {}
    try:
        said = json.loads((volumes.locate(row.file).parent / MANIFEST).read_bytes())
    except (OSError, ValueError, VolumeUnavailable):
        return {}
    return said if isinstance(said, dict) else {}
