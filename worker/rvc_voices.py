"""RVC voices of this farm: files of people checked, kept below `models/rvc`, and described."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from producer.volumes import Volumes

from .config import WorkerSettings
from .engine.rvc.library import RvcLibrary
from .engine.rvc.shared_files import VOICES, missing_files
from .engine.rvc.shelf_file import ShelfCard


def directory_of(settings: WorkerSettings) -> Path:
    """Return where this farm's RVC files are."""
    return Volumes(settings.home).models / "rvc"


def library_of(settings: WorkerSettings) -> RvcLibrary:
    """Return the RVC voices of this farm."""
    return RvcLibrary(directory_of(settings) / VOICES)


def add_voice(
    settings: WorkerSettings, name: str, model: Path, index: Path | None, median_hz: float | None
) -> ShelfCard:
    """Check the files of a voice and keep it under `name`.

    Raises `CheckpointError` that names the file and what is wrong in it, or `LibraryError`.
    """
    return library_of(settings).add(name, model, index, median_hz=median_hz)


def obstacle(settings: WorkerSettings) -> str:
    """Return what keeps this farm from converting into its voices; empty if nothing does."""
    directory = directory_of(settings)
    missing = missing_files(directory)
    return f"{directory} has no {' and no '.join(missing)} yet" if missing else ""


def facts_of(card: ShelfCard) -> dict[str, Any]:
    """Return what a voice is, plain enough for JSON."""
    config = card.sizes()
    return {
        "name": card.name,
        "revision": card.revision,
        "version": config.version,
        "sample_rate_hz": config.sample_rate_hz,
        "has_pitch": config.has_pitch,
        "speakers": config.speakers,
        "vectors": card.vectors,
        "pitch_hz": card.median_hz,
    }


def words_of(card: ShelfCard) -> str:
    """Return what a voice is in one line."""
    config = card.sizes()
    pitch = "with pitch" if config.has_pitch else "without pitch"
    index = f"index of {card.vectors:,} vectors" if card.vectors else "no index"
    many = f", {config.speakers} speakers" if config.speakers > 1 else ""
    rate = f"{config.sample_rate_hz:,} Hz"
    return f"{card.name} {card.revision[:12]} {config.version}, {rate}, {pitch}{many}, {index}"
