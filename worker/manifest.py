"""The manifest beside every stored audio file, `job.json`. Pure: no clock, no disk.

A manifest is written once, before its entry becomes visible, and never changed.
"""

from __future__ import annotations

from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, JsonValue, computed_field

from producer.version import VERSION

from .audio import EntryFormat
from .book.book_facts import BookFacts, BookFile
from .quality import MOST_CLIPPED, MOST_SILENCE

#: Raised when a field changes its meaning; a new field alone does not need it.
MANIFEST_VERSION: Final = 1

#: How many doubts are told to a person; the manifest has them all.
SHOWN_DOUBTS: Final = 3


class Doubt(BaseModel):
    """One chunk whose audio has the wrong length for its text, whatever seed was tried.

    Or is mostly silence, is clipped, or repeats its end.
    """

    model_config = ConfigDict(frozen=True)

    #: Its place in the job, from 1.
    chunk: int
    duration_s: float
    #: The lengths between which nobody would doubt.
    shortest_s: float
    longest_s: float
    #: True if the model met its limit before it had come to an end.
    truncated: bool
    #: Shares of its time that are silent, and of its samples that are clipped.
    silence_share: float = 0.0
    clipped_share: float = 0.0
    #: Length of an end that says one phrase three times or more. 0 is none.
    repeated_s: float = 0.0

    def __str__(self) -> str:
        usual = f"{self.shortest_s:.1f} to {self.longest_s:.1f} s are usual"
        words = [f"chunk {self.chunk}: {self.duration_s:.1f} s", usual]
        if self.truncated:
            words.append("cut off at the model's limit")
        if self.silence_share > MOST_SILENCE:
            words.append(f"{self.silence_share:.0%} silent")
        if self.clipped_share > MOST_CLIPPED:
            words.append(f"{self.clipped_share:.1%} clipped")
        if self.repeated_s:
            words.append(f"its last {self.repeated_s:.1f} s repeat")
        return ", ".join(words)


class Guarding(BaseModel):
    """What was done against a model that rambles, and what is left to doubt."""

    model_config = ConfigDict(frozen=True)

    #: Takes that were thrown away for another one.
    retakes: int = 0
    #: Seconds of tails without speech that were cut off.
    trimmed_s: float = 0.0
    #: Chunks that met the model's limit before they had come to an end.
    truncated: int = 0
    doubts: tuple[Doubt, ...] = ()

    @property
    def words(self) -> str:
        """The doubts as a person reads them; empty if there is none."""
        shown = "; ".join(map(str, self.doubts[:SHOWN_DOUBTS]))
        left = len(self.doubts) - SHOWN_DOUBTS
        return f"{shown}; and {left} more" if left > 0 else shown


class Facts(BaseModel):
    """What the task knows of a job, and the store cannot measure."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    engine: str
    model_revision: str
    #: Seconds since 1970, UTC.
    created_at: float
    #: The job as it may be shown to whoever can read the volume.
    job: dict[str, JsonValue]
    #: Into how many pieces the text was cut.
    chunks: int = 1
    #: How many of them were there already, spoken for another job or before its worker died.
    reused: int = 0
    #: How many samples each of their takes had, at the engine's rate.
    take_samples: tuple[int, ...] = ()
    #: What took how long, for instance `waited` and `computed`. [s]
    timings_s: dict[str, float]
    guarding: Guarding = Guarding()
    #: What decided the conversion into another voice; None if there was none.
    conversion: dict[str, JsonValue] | None = None
    #: Of a book alone.
    book: BookFacts | None = None


class Manifest(Facts):
    """The facts of a job and of the file it became."""

    # A field that a newer worker adds must not make its files invalid for an older one.
    model_config = ConfigDict(extra="ignore")

    manifest_version: Literal[1] = MANIFEST_VERSION
    voicefarm_version: str = VERSION
    content_key: str
    format: EntryFormat
    sha256: str
    size_bytes: int
    #: Counted at the file's own rate.
    samples: int
    sample_rate_hz: int
    #: How loud it is, and its loudest sample; of a job's file alone. [dB of full scale]
    rms_db: float | None = None
    peak_db: float | None = None

    @computed_field  # type: ignore[prop-decorator]  # so that it is in the JSON too
    @property
    def duration_s(self) -> float:
        """Length of the audio, exact to the sample."""
        return self.samples / self.sample_rate_hz

    @property
    def files(self) -> tuple[BookFile, ...]:
        """The files of an entry that has several."""
        return self.book.files if self.book else ()

    @property
    def doubt(self) -> str:
        """Why the job is `suspicious`; empty if it is not."""
        return self.book.doubt if self.book else self.guarding.words

    def encode(self) -> str:
        """Return the one JSON text of this manifest, indented for people; `decode` reads it."""
        return self.model_dump_json(indent=2) + "\n"

    @classmethod
    def decode(cls, text: str | bytes) -> Self:
        """Read what `encode` wrote, or raise `ValueError`."""
        return cls.model_validate_json(text)
