"""The files of a book: one with chapter marks, or one a chapter and a list of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from producer.assemble_job import AssembleJob

from ..audio import file_name
from ..engine.request import Samples
from .book_facts import BookFile
from .encoder import BookEncoder, Mark, storing
from .subtitles import subtitles
from .timeline import ChapterSpan, Cue


class BookFiles:
    """Encodes a book while it is written. Raises `StoreFailed` and its kinds."""

    def __init__(
        self,
        directory: Path,
        job: AssembleJob,
        rate_hz: int,
        titles: Sequence[str],
        spans: Sequence[ChapterSpan],
        cover: bytes,
    ) -> None:
        self._directory = directory
        self._job = job
        self._rate_hz = rate_hz
        self._titles = titles
        self._spans = spans
        self._cover = cover
        self._is_one = job.format == "m4b"
        self._pieces = [ChapterSpan(0, spans[-1].end, ())] if self._is_one else list(spans)
        #: Finished files; those of audio first, in order.
        self._done: list[BookFile] = []
        self._at = 0
        self._encoder: BookEncoder | None = self._open()

    def write(self, samples: Samples) -> None:
        """Append the next samples of the book."""
        while len(samples) and self._encoder is not None:
            room = self._pieces[len(self._done)].end - self._at
            self._encoder.write(samples[:room])
            self._at += len(samples[:room])
            samples = samples[room:]
            if self._at == self._pieces[len(self._done)].end:
                self._close()

    def finish(self, cues: Sequence[Iterable[Cue]]) -> list[BookFile]:
        """Return all files, the main one first; `cues` are those of each chapter, if wanted."""
        audio = list(self._done)
        if self._is_one:
            cues = [[cue for chapter in cues for cue in chapter]] if cues else []
        else:
            audio.insert(0, self._listed(audio))
        written = [self._write_cues(n, piece) for n, piece in enumerate(cues)]
        return audio + written

    def close(self) -> None:
        """Let go of a file that was not ended; nothing if all were."""
        if self._encoder is not None:
            self._encoder.abandon()

    def _open(self) -> BookEncoder | None:
        number = len(self._done)
        if number == len(self._pieces):
            return None
        job = self._job
        tags = {"title": job.title, "artist": job.author, "album": job.title, "genre": "Audiobook"}
        marks: list[Mark] = []
        if self._is_one:
            pairs = zip(self._titles, self._spans, strict=True)
            marks = [Mark(title, span.first, span.end) for title, span in pairs]
        else:
            tags |= {"title": self._titles[number], "track": f"{number + 1}/{len(self._spans)}"}
        path = self._directory / self._name(number)
        told = {name: value for name, value in tags.items() if value}
        cover = self._cover if self._is_one else b""
        return BookEncoder(path, job.format, self._rate_hz, told, marks, cover)

    def _close(self) -> None:
        if self._encoder is None:
            return
        self._encoder.close()
        number = len(self._done)
        chapter = "" if self._is_one else self._titles[number]
        self._done.append(self._proved(self._name(number), self._encoder.samples, chapter))
        self._encoder = None
        self._encoder = self._open()

    def _name(self, number: int) -> str:
        return file_name("m4b") if self._is_one else f"{_stem(number)}.{self._job.format}"

    def _listed(self, audio: Sequence[BookFile]) -> BookFile:
        """Write the list that players know, UTF-8."""
        lines = ["#EXTM3U"]
        for file in audio:
            title = " ".join(file.chapter.split())
            lines += [f"#EXTINF:{round(file.samples / self._rate_hz)},{title}", file.name]
        return self._written(file_name("m3u8"), lines)

    def _write_cues(self, number: int, cues: Iterable[Cue]) -> BookFile:
        format = self._job.subtitles or "vtt"
        stem = Path(file_name("m4b")).stem if self._is_one else _stem(number)
        origin = self._pieces[number].first
        lines = subtitles(format, cues, self._rate_hz, origin)
        return self._written(f"{stem}.{format}", lines)

    def _written(self, name: str, lines: Iterable[str]) -> BookFile:
        path = self._directory / name
        with storing(path), path.open("w", encoding="utf-8") as file:
            file.writelines(_ended(lines))
        return self._proved(name, 0, "")

    def _proved(self, name: str, samples: int, chapter: str) -> BookFile:
        path = self._directory / name
        with storing(path), path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            size_bytes = path.stat().st_size
        return BookFile(
            name=name, size_bytes=size_bytes, sha256=sha256, samples=samples, chapter=chapter
        )


def _stem(number: int) -> str:
    return f"chapter-{number + 1:03d}"


def _ended(lines: Iterable[str]) -> Iterator[str]:
    return (f"{line}\n" for line in lines)
