"""The form of voices' names: small letters and digits of ASCII, with hyphens between words."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

#: As long as a voice's name may be.
LONGEST_CHARS: Final = 64


def plain(name: str) -> str:
    """Return a name in that form: "Claribel Dervla" is `claribel-dervla`; nothing may be left."""
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return "-".join(re.findall("[a-z0-9]+", letters))[:LONGEST_CHARS].rstrip("-")


def is_plain(name: str) -> bool:
    """True for what has that form already, and so can never be mistaken for a path."""
    return bool(name) and name == plain(name)
