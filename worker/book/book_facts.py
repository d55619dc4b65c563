"""What a book's manifest says beyond that of a job: chapters, files, loudness, what is missing."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from .levelling import Measured


class BookFile(BaseModel):
    """One file of the entry beside its main one, or that one."""

    model_config = ConfigDict(frozen=True)

    name: str
    size_bytes: int
    sha256: str
    #: 0 for a file of cues.
    samples: int = 0
    chapter: str = ""


class BookChapterFacts(BaseModel):
    """A chapter, in samples of the whole book."""

    model_config = ConfigDict(frozen=True)

    title: str
    first: int
    end: int
    items: int


class Heard(BaseModel):
    """How loud the book was, or is."""

    model_config = ConfigDict(frozen=True)

    loudness_lufs: float
    rms_db: float
    true_peak_db: float

    @classmethod
    def of(cls, measured: Measured) -> Heard:
        """Return what was measured, as it is told."""
        return cls(
            loudness_lufs=round(measured.loudness_lufs, 3),
            rms_db=round(measured.rms_db, 3),
            true_peak_db=round(measured.true_peak_db, 3),
        )


class BookFacts(BaseModel):
    """All of it."""

    model_config = ConfigDict(frozen=True)

    chapters: tuple[BookChapterFacts, ...]
    files: tuple[BookFile, ...]
    #: As the items were, and as the book is before it is encoded.
    before: Heard
    after: Heard
    gain_db: float
    #: Seconds in which peaks were held back.
    limited_s: float
    missing: tuple[str, ...] = ()
    #: Why somebody should listen before the book goes out; empty if there is no reason.
    doubt: str = ""
