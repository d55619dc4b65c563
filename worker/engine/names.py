"""The form of voices' names: small letters and digits of ASCII, with hyphens between words."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from .errors import LibraryError

#: As long as a voice's name may be.
LONGEST_CHARS: Final = 64


def plain(name: str) -> str:
    """Return a name in that form: "Claribel Dervla" is `claribel-dervla`; nothing may be left."""
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return "-".join(re.findall("[a-z0-9]+", letters))[:LONGEST_CHARS].rstrip("-")


def is_plain(name: str) -> bool:
    """True for what has that form already, and so can never be mistaken for a path."""
    return bool(name) and name == plain(name)


def check_name(name: str) -> None:
    """Raise `LibraryError` for a name that no voice can have."""
    if not is_plain(name):
        near = plain(name)
        hint = f"; {near!r} would do" if near else ""
        raise LibraryError(
            f"{name!r} is no voice's name: small letters, digits and single hyphens{hint}"
        )
