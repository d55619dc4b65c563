"""Text on its way to speech: checked, normalised, split into speakable chunks.

Pure. `split` cuts and never changes: joining its chunks gives the text back.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final

from .errors import InvalidJob

#: Longest text of one job: about an hour of speech. A book is many jobs.
MAX_TEXT_CHARS: Final = 50_000

#: How much of a text may be seen in logs, in Flower and in `status`.
SHOWN_CHARS: Final = 48

#: The end of a sentence with its closing quotes and the white space behind it. The scripts
#: without spaces (Chinese, Japanese) end theirs without white space too.
_SENTENCE_END: Final = re.compile(
    r"[.!?…]+[\"'”’»)\]]*(?=\s)\s+|[。！？]+[」』”’）]*\s*|[।॥؟۔]+\s*|\n+\s*"
)
_CLAUSE_END: Final = re.compile(r"[,;:،؛]+(?=\s)\s+|[、，；：]\s*|\s+[–—-]\s+|—")
_WORD_END: Final = re.compile(r"\s+")
_BLANK_LINE: Final = re.compile(r"\n[ \t]*\n\s*")

#: Control characters that are no white space, and halves of surrogate pairs.
_UNSPEAKABLE: Final = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")


def clean(text: str) -> str:
    """Return `text` in NFC with plain newlines and no outer space, or raise `InvalidJob`."""
    if not isinstance(text, str):
        raise InvalidJob("text", f"wanted text, found {type(text).__name__}")
    _refuse_unspeakable_characters(text)
    normal = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    normal = normal.lstrip("\ufeff").strip()
    if not normal:
        raise InvalidJob("text", "is empty; give at least one word")
    if not any(unicodedata.category(char)[0] in "LN" for char in normal):
        raise InvalidJob("text", f"{shorten(normal)!r} has no letter or digit to speak")
    if len(normal) > MAX_TEXT_CHARS:
        raise InvalidJob(
            "text",
            f"has {len(normal):,} characters, one job takes {MAX_TEXT_CHARS:,}; a book is many "
            "jobs: `voicefarm submit --pieces --text-file BOOK` cuts it at paragraphs and "
            "queues every piece",
        )
    return normal


def split(text: str, limit_chars: int) -> list[str]:
    """Cut `text` into chunks of at most `limit_chars`: at sentences, else clauses, else words.

    Short neighbours share a chunk. Nothing is lost: `"".join(split(text, n)) == text`.
    """
    if limit_chars < 1:
        raise ValueError(f"limit_chars must be at least 1, found {limit_chars}")
    levels = (_SENTENCE_END, _CLAUSE_END, _WORD_END)
    return list(_pack(_pieces(text, limit_chars, levels), limit_chars))


def halves(text: str) -> list[str]:
    """Cut a chunk that is still too long once more, as `split` does; a single letter stays one."""
    return split(text, max(1, (len(text) + 1) // 2))


def paragraphs(text: str, limit_chars: int = MAX_TEXT_CHARS) -> list[str]:
    """Cut a book into job-sized texts at its blank lines; pieces without a word are dropped."""
    levels = (_BLANK_LINE, _SENTENCE_END, _CLAUSE_END, _WORD_END)
    packed = _pack(_pieces(text.replace("\r\n", "\n"), limit_chars, levels), limit_chars)
    return [piece.strip() for piece in packed if any(map(str.isalnum, piece))]


def shorten(text: str, limit_chars: int = SHOWN_CHARS) -> str:
    """Return one line of at most `limit_chars` that stands for `text` where people look."""
    line = " ".join(text.split())
    return line if len(line) <= limit_chars else line[: limit_chars - 1].rstrip() + "…"


def _refuse_unspeakable_characters(text: str) -> None:
    found = _UNSPEAKABLE.search(text)
    if found:
        raise InvalidJob(
            "text",
            f"has the control character U+{ord(found[0]):04X} at position {found.start()}; "
            "remove it",
        )


def _pieces(text: str, limit_chars: int, levels: tuple[re.Pattern[str], ...]) -> Iterator[str]:
    """Yield pieces that fit, each cut at the coarsest level that makes it fit."""
    if len(text) <= limit_chars or not levels:
        yield from _hard_cuts(text, limit_chars)
        return
    for part in _cut_behind(levels[0], text):
        if len(part) <= limit_chars:
            yield part
        else:
            # The parts of one long sentence are packed among themselves first, so that
            # its tail does not end up alone.
            yield from _pack(_pieces(part, limit_chars, levels[1:]), limit_chars)


def _cut_behind(mark: re.Pattern[str], text: str) -> Iterator[str]:
    start = 0
    for match in mark.finditer(text):
        if match.end() > start:
            yield text[start : match.end()]
            start = match.end()
    if start < len(text):
        yield text[start:]


def _hard_cuts(text: str, limit_chars: int) -> Iterator[str]:
    """Cut a word that is too long by itself, never between a letter and its accents."""
    start = 0
    while start < len(text):
        end = min(start + limit_chars, len(text))
        while start + 1 < end < len(text) and unicodedata.combining(text[end]):
            end -= 1
        yield text[start:end]
        start = end


def _pack(pieces: Iterable[str], limit_chars: int) -> Iterator[str]:
    """Join neighbours while they fit together, in order."""
    chunk = ""
    for piece in pieces:
        if chunk and len(chunk) + len(piece) > limit_chars:
            yield chunk
            chunk = ""
        chunk += piece
    if chunk:
        yield chunk
