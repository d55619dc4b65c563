"""Passwords of URLs, kept out of what people see."""

from __future__ import annotations

import re
from typing import Final

#: The password in a URL.
_PASSWORD: Final = re.compile(r"(://[^:/@\s]*:)[^@\s]+@")


def masked(text: str) -> str:
    """Return `text` without the passwords of its URLs."""
    return _PASSWORD.sub(r"\1***@", text)
