"""Where everything of a book is, counted in samples: paragraphs, chapters, cues. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

#: Silence between two paragraphs.
PARAGRAPH_PAUSE_S: Final = 0.6

#: Silence at the beginning of a chapter and at its end, two seconds between two of them. Within
#: what audiobook shops ask of a file: half a second to one before, one to five behind.
CHAPTER_HEAD_S: Final = 0.5
CHAPTER_TAIL_S: Final = 1.5


@dataclass(frozen=True, slots=True)
class Pauses:
    """The silences of a book in samples."""

    head: int
    between: int
    tail: int

    @classmethod
    def at(cls, rate_hz: int) -> Pauses:
        """Return the pauses of a book of this rate."""
        return cls(
            head=round(CHAPTER_HEAD_S * rate_hz),
            between=round(PARAGRAPH_PAUSE_S * rate_hz),
            tail=round(CHAPTER_TAIL_S * rate_hz),
        )


@dataclass(frozen=True, slots=True)
class Span:
    """From one sample up to another, which is not part of it."""

    first: int
    end: int


@dataclass(frozen=True, slots=True)
class ChapterSpan:
    """Where a chapter is, its silences included, and where its paragraphs are."""

    first: int
    end: int
    parts: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Cue:
    """What is spoken, and from where to where."""

    first: int
    end: int
    text: str


def place(chapters: Sequence[Sequence[int]], pauses: Pauses) -> list[ChapterSpan]:
    """Return where chapters are, given how many samples each of their paragraphs has."""
    placed: list[ChapterSpan] = []
    first = 0
    for lengths in chapters:
        parts: list[Span] = []
        at = first + pauses.head
        for length in lengths:
            parts.append(Span(at, at + length))
            at += length + pauses.between
        end = (parts[-1].end if parts else at) + pauses.tail
        placed.append(ChapterSpan(first, end, tuple(parts)))
        first = end
    return placed


def cues_of(span: Span, texts: Sequence[str], takes: Sequence[int]) -> Iterator[Cue]:
    """Yield the cues of one paragraph: one a take, as `takes` counts their samples at any rate.

    One for all of it where it is not known which text each take is.
    """
    whole = sum(takes)
    if len(texts) != len(takes) or not whole:
        yield Cue(span.first, span.end, " ".join(texts))
        return
    length, spoken = span.end - span.first, 0
    first = span.first
    for text, samples in zip(texts, takes, strict=True):
        spoken += samples
        end = span.first + round(spoken * length / whole)
        yield Cue(first, end, text)
        first = end
