"""One assembly: everything is heard once to measure it, and again to encode it.

What is held is one block of audio, the names of the files and, for subtitles, their text. ffmpeg
keeps the index of an m4b until its end.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from producer.assemble_job import BOOK_RATES, AssembleJob
from producer.batch.book import PICTURES
from producer.errors import InvalidJob
from producer.languages import chunk_limit_chars
from producer.text import split
from producer.volumes import Volumes

from ..engine.affinity import unpinned
from ..errors import BadAudio, UploadMissing
from ..manifest import Manifest
from ..store import MANIFEST
from .book_facts import BookChapterFacts, BookFacts, BookFile, Heard
from .book_files import BookFiles
from .gathering import Gathered, Part
from .leveller import Leveller
from .levelling import TARGETS, Measured, corrected_gain_db, gain_db
from .loudness import LoudnessMeter
from .narration import Narration, rate_of
from .timeline import ChapterSpan, Cue, Pauses, cues_of, place

#: What is asked for where ACX' levels are.
ACX_RATE_HZ: Final = 44_100

#: How often each part is heard at most: to measure, to try the gain out, to encode.
HEARINGS: Final = 3

#: Told behind each part: of how many, how many were heard, and seconds of audio so far.
Progress = Callable[[int, int, float], None]


@dataclass(frozen=True, slots=True)
class _FirstHearing:
    rate_hz: int
    spans: Sequence[ChapterSpan]
    measured: Measured


class Assembly:
    """Makes one book of what was gathered. Raises `BadAudio`, `StoreFailed` and their kinds."""

    def __init__(
        self, volumes: Volumes, job: AssembleJob, gathered: Gathered, progress: Progress
    ) -> None:
        """`progress` may raise, to end it."""
        self._volumes = volumes
        self._job = job
        self._gathered = gathered
        self._progress = progress
        self._heard = 0
        self._target = TARGETS[job.loudness]
        self._titles = [chapter.title or job.title for chapter in gathered.chapters]

    @unpinned()
    def write(self, directory: Path, key: str) -> Manifest:
        """Write all files into `directory`; return the manifest of the entry that they are."""
        begun_s = time.monotonic()
        found = self._hear()
        heard_s = time.monotonic()
        leveller = Leveller(self._target, self._gain_db(found), found.rate_hz)
        files = BookFiles(
            directory, self._job, found.rate_hz, self._titles, found.spans, self._cover()
        )
        with closing(files):
            for samples in leveller.level(self._narration(found.rate_hz).blocks()):
                files.write(samples)
            main, *others = files.finish(list(self._cues(found)) if self._job.subtitles else [])
        return Manifest(
            engine="assembly",
            model_revision="",
            created_at=time.time(),
            job=self._job.model_dump(mode="json"),
            chunks=self._gathered.parts,
            timings_s={"measured": heard_s - begun_s, "encoded": time.monotonic() - heard_s},
            book=self._facts(found, leveller, others),
            content_key=key,
            format=self._job.entry_format,
            sha256=main.sha256,
            size_bytes=main.size_bytes,
            samples=found.spans[-1].end,
            sample_rate_hz=found.rate_hz,
        )

    def _hear(self) -> _FirstHearing:
        rate_hz = self._rate_hz()
        narration, meter = self._narration(rate_hz), LoudnessMeter(rate_hz)
        for samples in narration.blocks():
            meter.hear(samples)
        spans = place(narration.lengths, Pauses.at(rate_hz))
        return _FirstHearing(rate_hz, spans, meter.measured())

    def _gain_db(self, found: _FirstHearing) -> float:
        """Return the gain of the book, tried out first if it has peaks that are held back."""
        gain = gain_db(found.measured, self._target)
        if not found.measured.is_limited(gain, self._target):
            self._heard += self._gathered.parts
            return gain
        rehearsal = Leveller(self._target, gain, found.rate_hz)
        for _ in rehearsal.level(self._narration(found.rate_hz).blocks()):
            pass
        return corrected_gain_db(gain, found.measured, rehearsal.measured(), self._target)

    def _narration(self, rate_hz: int) -> Narration:
        def told(audio_s: float) -> None:
            self._heard += 1
            self._progress(HEARINGS * self._gathered.parts, self._heard, audio_s)

        return Narration(self._volumes, self._gathered.chapters, rate_hz, told)

    def _rate_hz(self) -> int:
        """Return the book's rate: as asked, else what its parts have, else the next that fits."""
        parts = [part for chapter in self._gathered.chapters for part in chapter.parts]
        wanted_hz = self._job.sample_rate_hz
        if wanted_hz is None and self._job.loudness == "acx":
            wanted_hz = ACX_RATE_HZ
        if wanted_hz is None:
            wanted_hz = max(rate_of(self._volumes.locate(part.file)) for part in parts)
        rates_hz = BOOK_RATES.get(self._job.format, (wanted_hz,))
        return min((rate for rate in rates_hz if rate >= wanted_hz), default=max(rates_hz))

    def _cover(self) -> bytes:
        if self._job.cover is None:
            return b""
        path = self._volumes.upload(self._job.cover)
        try:
            picture = path.read_bytes()
        except FileNotFoundError as error:
            raise UploadMissing(path) from error
        if hashlib.sha256(picture).hexdigest() != self._job.cover:
            raise InvalidJob("cover", "the file on the volume is not the one that was uploaded")
        if not picture.startswith(PICTURES):
            raise InvalidJob("cover", "is neither a JPEG nor a PNG")
        return picture

    def _cues(self, found: _FirstHearing) -> Iterator[list[Cue]]:
        for chapter, where in zip(self._gathered.chapters, found.spans, strict=True):
            cues: list[Cue] = []
            for part, span in zip(chapter.parts, where.parts, strict=True):
                texts = [
                    text.strip() for text in split(part.text, chunk_limit_chars(part.language))
                ]
                cues += cues_of(span, texts, self._takes(part))
            yield cues

    def _takes(self, part: Part) -> list[int]:
        """Return how many samples each take of a part has, as its manifest tells."""
        manifest = self._volumes.locate(part.file).parent / MANIFEST
        try:
            takes = json.loads(manifest.read_bytes()).get("take_samples", [])
        except (OSError, ValueError, AttributeError) as error:
            raise BadAudio(f"{manifest} cannot be read: {error}") from error
        return [int(samples) for samples in takes]

    def _facts(
        self, found: _FirstHearing, leveller: Leveller, files: Sequence[BookFile]
    ) -> BookFacts:
        after = leveller.measured()
        target = self._target
        doubts = [self._gathered.missing_words]
        if target is not None and not target.is_met(after):
            doubts.append(
                f"{target.reading(after):.1f} dB with peaks of {after.true_peak_db:.1f} dB is not "
                f"what {self._job.loudness} asks for"
            )
        named = zip(self._gathered.chapters, self._titles, found.spans, strict=True)
        return BookFacts(
            chapters=tuple(
                BookChapterFacts(
                    title=title, first=span.first, end=span.end, items=len(chapter.parts)
                )
                for chapter, title, span in named
            ),
            files=tuple(files),
            before=Heard.of(found.measured),
            after=Heard.of(after),
            gain_db=round(leveller.gain_db, 3),
            limited_s=round(leveller.limited / found.rate_hz, 3),
            missing=tuple(self._gathered.missing),
            doubt="; ".join(filter(None, doubts)),
        )
