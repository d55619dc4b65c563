"""Chapters of a book, and the items that they become: one a paragraph.

An item a paragraph keeps a book's items in their places when one is edited: what has not
changed has the same content key, and is not spoken again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from ..text import paragraphs
from .record import Record

#: Longest item of a book, in characters: about two minutes of speech. Longer paragraphs are cut.
PIECE_CHARS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Chapter:
    """A title, empty for what stands before the first one, and paragraphs of plain text."""

    title: str
    paragraphs: Iterable[str]


def records_of(chapters: Iterable[Chapter]) -> Iterator[Record]:
    """Yield the items of a book, called `003-0012` for the twelfth of the third chapter.

    A title is spoken. A chapter without a word to speak is none.
    """
    number = 0
    for chapter in chapters:
        begun = False
        for place, text in enumerate(_pieces(chapter), start=1):
            number += 0 if begun else 1
            yield Record(
                place=f"chapter {number}, paragraph {place}",
                custom_id=f"{number:03d}-{place:04d}",
                fields={"text": text},
                chapter="" if begun else chapter.title or f"Chapter {number}",
            )
            begun = True


def _pieces(chapter: Chapter) -> Iterator[str]:
    for paragraph in (chapter.title, *chapter.paragraphs):
        yield from paragraphs(paragraph, PIECE_CHARS)
