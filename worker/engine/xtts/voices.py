"""The names under which jobs ask for a checkpoint's voices."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

from .speakers import Speaker

#: The voice of a request that names none.
DEFAULT: Final = "default"

#: As long as a voice's name may be, and what of its revision tells it from another.
_LONGEST_CHARS: Final = 64
_MARK_CHARS: Final = 8


def by_name(speakers: Mapping[str, Speaker]) -> dict[str, Speaker]:
    """Return the voices under plain names: "Claribel Dervla" is `claribel-dervla`.

    The first of them is `default` too, unless one has that name. Where two names become the
    same, or nothing is left of one, the beginning of the voice's revision tells them apart.
    """
    named: dict[str, Speaker] = {}
    for name, speaker in sorted(speakers.items()):
        plain = _plain(name)
        if not plain or plain in named:
            mark = speaker.revision[:_MARK_CHARS]
            plain = f"{plain[: _LONGEST_CHARS - _MARK_CHARS - 1] or 'voice'}-{mark}"
        named[plain] = speaker
    if named:
        named.setdefault(DEFAULT, named[min(named)])
    return named


def _plain(name: str) -> str:
    """Return a name in small letters and digits of ASCII, with hyphens between its words."""
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return "-".join(re.findall("[a-z0-9]+", letters))[:_LONGEST_CHARS]
