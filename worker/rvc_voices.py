"""RVC voices of this farm: files of people checked, kept below `models/rvc`, and described."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from producer.volumes import Volumes

from .config import WorkerSettings
from .engine.errors import LibraryError
from .engine.rvc.library import RvcLibrary
from .engine.rvc.pitch import Pitch
from .engine.rvc.rmvpe_file import read_rmvpe
from .engine.rvc.shared_files import PITCH_FILE, VOICES, missing_files
from .engine.rvc.shelf_file import ShelfCard
from .engine.rvc.voice_pitch import middle_of


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


def pitch_hz_of(settings: WorkerSettings, recording: Path) -> float:
    """Return the middle of the pitch of who speaks in a recording, found by this farm's RMVPE.

    Raises `LibraryError` without it, `CheckpointError` if it is broken, `UnfitAudio`.
    """
    file = directory_of(settings) / PITCH_FILE
    if not file.is_file():
        raise LibraryError(
            f"{file} is not there, which finds the pitch in a recording: put it there first, or "
            "give the pitch as a number with --pitch-hz"
        )
    return round(middle_of(recording, Pitch(read_rmvpe(file))), 1)


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
    if config.has_pitch and card.median_hz:
        pitch += f", its middle at {card.median_hz:g} Hz"
    index = f"index of {card.vectors:,} vectors" if card.vectors else "no index"
    many = f", {config.speakers} speakers" if config.speakers > 1 else ""
    rate = f"{config.sample_rate_hz:,} Hz"
    return f"{card.name} {card.revision[:12]} {config.version}, {rate}, {pitch}{many}, {index}"
