"""A job that makes a book of a batch: chapters joined, levelled, encoded."""

from __future__ import annotations

from string import hexdigits
from typing import Annotated, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from .content_key import is_key
from .errors import InvalidJob
from .job_base import JobBase
from .queues import ASSEMBLY_QUEUE, Priority

#: One file with chapter marks, or a file a chapter.
BookFormat = Literal["m4b", "wav", "flac", "mp3", "opus"]

#: LUFS, the words of ACX, or as it comes.
Loudness = Literal["-16", "acx", "off"]

SubtitleFormat = Literal["srt", "vtt"]

#: The rates that a format can hold, in Hz; a format that is not named holds any rate.
BOOK_RATES: Final[dict[BookFormat, tuple[int, ...]]] = {
    "m4b": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
    "mp3": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
    "opus": (8000, 12000, 16000, 24000, 48000),
}

#: Hexadecimal digits of a batch's id.
_BATCH_CHARS: Final = 24

#: Longest title or name of an author.
MAX_TITLE_CHARS: Final = 200


class AssembleJob(JobBase):
    """What becomes of the items of a batch when all of them have ended."""

    kind: Literal["assemble"] = "assemble"
    priority: Priority = Priority.BATCH
    batch: str
    format: BookFormat = "m4b"
    loudness: Loudness = "-16"
    #: A file of cues beside each file of audio; None is none.
    subtitles: SubtitleFormat | None = None
    #: None is the highest rate of the items, and 44,100 Hz for `acx`, or the next that fits.
    sample_rate_hz: Annotated[int, Field(ge=8000, le=96000)] | None = None
    #: Make the book of what there is.
    allow_missing: bool = False
    title: Annotated[str, Field(max_length=MAX_TITLE_CHARS)] = ""
    author: Annotated[str, Field(max_length=MAX_TITLE_CHARS)] = ""
    #: The hash of a picture on the uploads volume; None is none.
    cover: str | None = None

    @property
    def queue(self) -> str:
        """See `JobBase`."""
        return ASSEMBLY_QUEUE

    @property
    def entry_format(self) -> Literal["m4b", "m3u8"]:
        """What its main file is: the book, or the list of its chapters."""
        return "m4b" if self.format == "m4b" else "m3u8"

    @field_validator("batch")
    @classmethod
    def _batch_is_an_id(cls, batch: str) -> str:
        if len(batch) != _BATCH_CHARS or not all(char in hexdigits for char in batch):
            raise InvalidJob("batch", f"{batch!r} is no id of a batch")
        return batch

    @field_validator("cover")
    @classmethod
    def _cover_is_a_hash(cls, key: str | None) -> str | None:
        if key is not None and not is_key(key):
            raise InvalidJob("cover", f"{key!r} is no sha256 of an uploaded file")
        return key

    @model_validator(mode="after")
    def _rate_fits_format(self) -> Self:
        rates = BOOK_RATES.get(self.format)
        if rates and self.sample_rate_hz is not None and self.sample_rate_hz not in rates:
            told = ", ".join(map(str, rates))
            raise ValueError(f"{self.format} holds {told} Hz, not {self.sample_rate_hz}")
        return self
