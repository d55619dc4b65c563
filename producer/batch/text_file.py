"""Text files, and folders of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ..errors import InvalidItem
from ..text import paragraphs
from .chapters import Chapter
from .record import MAX_TEXT_FILE_BYTES, Found, Record

#: What is read in a folder; everything else lies there for somebody else.
SUFFIXES: Final = (".txt", ".md")

_DIGITS: Final = re.compile(r"(\d+)")
_EMPTY_LINE: Final = re.compile(r"\n[ \t]*\n")


def read_folder(path: Path) -> Iterator[Found]:
    """Yield an item a file, `chapter 2` before `chapter 10`; one that is too long is many."""
    from .markdown import speech_of

    files = (file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    for file in sorted((file for file in files if file.is_file()), key=_natural):
        try:
            text = read_text(file)
        except InvalidItem as error:
            yield error
            continue
        if file.suffix.lower() == ".md":
            text = speech_of(text)
        pieces = paragraphs(text) or [""]
        for number, piece in enumerate(pieces, start=1):
            name = file.name if len(pieces) == 1 else f"{file.name}-{number}"
            yield Record(file.name, name, {"text": piece}, file.stem if number == 1 else "")


def read_book(path: Path) -> Iterator[Chapter]:
    """Yield the chapters of a Markdown book, or the one of a plain text."""
    text = read_text(path)
    if path.suffix.lower() == ".md":
        from .markdown import chapters_of

        yield from chapters_of(text)
    else:
        yield Chapter("", _EMPTY_LINE.split(text.replace("\r\n", "\n")))


def read_text(file: Path) -> str:
    """Return a file's text, or raise `InvalidItem`: too large, or not UTF-8."""
    size_bytes = file.stat().st_size
    if size_bytes > MAX_TEXT_FILE_BYTES:
        problem = f"has {size_bytes:,} bytes, at most {MAX_TEXT_FILE_BYTES:,} are read"
        raise InvalidItem(file.name, file.name, "text", problem)
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 at byte {error.start}"
        raise InvalidItem(file.name, file.name, "text", problem) from error


def _natural(file: Path) -> list[tuple[int, str]]:
    parts = _DIGITS.split(file.name.casefold())
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
