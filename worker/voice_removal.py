"""Removing a voice of one's own, of whichever kind it is."""

from __future__ import annotations

from collections.abc import Callable, Container

from . import cloning, rvc_voices
from .config import WorkerSettings
from .engine.errors import LibraryError


def remove_voice(settings: WorkerSettings, name: str, kind: str | None) -> str:
    """Remove the voice called `name` and return its kind: `speech` or `rvc`.

    Raises `LibraryError` if there is none, or one of each and `kind` does not say which.
    """
    remove: dict[str, Callable[[str], None]] = {
        "speech": cloning.library_of(settings).remove,
        "rvc": rvc_voices.library_of(settings).remove,
    }
    names: dict[str, Container[str]] = {
        "speech": cloning.library_of(settings).cards(),
        "rvc": rvc_voices.library_of(settings).cards(),
    }
    found = [one for one in names if name in names[one] and kind in (None, one)]
    if len(found) > 1:
        raise LibraryError(f"{name!r} is a speech voice and an RVC voice: say which with --kind")
    if not found:
        # Its own words are the best ones.
        remove[kind or "speech"](name)
    remove[found[0]](name)
    return found[0]
