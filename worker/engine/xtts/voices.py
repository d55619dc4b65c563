"""The names under which jobs ask for voices: those of the checkpoint, and those of the library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch

from ..names import LONGEST_CHARS, plain
from .library import VoiceLibrary
from .speakers import Speaker

#: The voice of a request that names none.
DEFAULT: Final = "default"

#: What of a voice's revision tells it from another of the same name.
_MARK_CHARS: Final = 8


def kept_by_name(library: VoiceLibrary, model: str, device: torch.device) -> dict[str, Speaker]:
    """Return the voices of the library that were made with `model`, placed on `device`."""
    return {
        kept.card.name: Speaker.of(
            torch.from_numpy(kept.latents).to(device), torch.from_numpy(kept.embedding).to(device)
        )
        for kept in library.voices(model)
    }


def by_name(
    speakers: Mapping[str, Speaker], kept: Mapping[str, Speaker] | None = None
) -> dict[str, Speaker]:
    """Return a checkpoint's voices under plain names, and those that people have added.

    The first of them is `default` too, unless one has that name. Where two names become the
    same, or nothing is left of one, the beginning of the voice's revision tells them apart.
    """
    named: dict[str, Speaker] = {}
    for name, speaker in sorted(speakers.items()):
        word = plain(name)
        if not word or word in named:
            mark = speaker.revision[:_MARK_CHARS]
            word = f"{word[: LONGEST_CHARS - _MARK_CHARS - 1] or 'voice'}-{mark}"
        named[word] = speaker
    named |= kept or {}
    if named:
        named.setdefault(DEFAULT, named[min(named)])
    return named
