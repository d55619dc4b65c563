"""What a book is made of: the files of a batch's items, by chapters, and what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from producer.assemble_job import AssembleJob
from producer.batch.ledger import ItemRow
from producer.content_key import Plain, content_key
from producer.job import SpeechJob
from producer.job_row import JobRow

#: Missing items that are told by name; the others are counted.
SHOWN_MISSING: Final = 5

#: Raised when a book of the same files sounds or reads otherwise.
REVISION: Final = 1


@dataclass(frozen=True, slots=True)
class Part:
    """One item: a file of the store."""

    key: str
    #: Relative to the farm's home.
    file: str
    text: str
    language: str


@dataclass(slots=True)
class BookChapter:
    """A chapter that has at least one part."""

    title: str
    parts: list[Part] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a batch has for a book."""

    chapters: Sequence[BookChapter]
    #: The names of the items that have no audio.
    missing: Sequence[str]

    @property
    def parts(self) -> int:
        """Of all chapters."""
        return sum(len(chapter.parts) for chapter in self.chapters)

    @property
    def missing_words(self) -> str:
        """What is missing as a person reads it; empty if nothing is."""
        count = len(self.missing)
        if not count:
            return ""
        shown = ", ".join(self.missing[:SHOWN_MISSING])
        more = f" and {count - SHOWN_MISSING} more" if count > SHOWN_MISSING else ""
        return f"{count} {'item is' if count == 1 else 'items are'} missing: {shown}{more}"

    def key(self, job: AssembleJob) -> str:
        """Return the content key of the book: its items' keys and the settings decide it."""
        chapters: list[Plain] = [
            [chapter.title, [part.key for part in chapter.parts]] for chapter in self.chapters
        ]
        settings = job.model_dump(mode="json", exclude={"batch", "priority", "allow_missing"})
        return content_key(
            book=REVISION, chapters=chapters, missing=list(self.missing), settings=settings
        )


def gather(items: Iterable[ItemRow], is_there: Callable[[str], bool]) -> Gathered:
    """Return the chapters of a batch; `is_there` tells whether a file is on the volume.

    Without any chapter named all is one. A chapter of which nothing is there is left out.
    """
    chapters: list[BookChapter] = []
    missing: list[str] = []
    for item in items:
        if item.chapter or not chapters:
            chapters.append(BookChapter(item.chapter))
        row = item.job
        if row is None or not row.state.has_output or not is_there(row.file):
            missing.append(item.custom_id or f"item {item.number + 1}")
        else:
            chapters[-1].parts.append(_part(row))
    return Gathered([chapter for chapter in chapters if chapter.parts], missing)


def _part(row: JobRow) -> Part:
    job = row.job
    spoken = job if isinstance(job, SpeechJob) else None
    text, language = (spoken.text, spoken.language) if spoken else ("", "en")
    return Part(row.key, row.file, text, language)
