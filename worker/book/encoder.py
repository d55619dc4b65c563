"""One file of a book on its way: mono samples in, encoded by ffmpeg, chapters and cover in it."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
from av.stream import Disposition

from producer.assemble_job import BookFormat

from ..engine.request import Samples
from ..errors import StoreFailed, store_error
from .loudness import frame_of

#: The system's errors have lower numbers.
_LARGEST_ERRNO: Final = 4096


@dataclass(frozen=True, slots=True)
class _Encoding:
    """How ffmpeg is asked for a format."""

    container: str
    codec: str
    #: Of the container and of the codec.
    file_options: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    #: By the lowest rate that it holds for, highest first; none for what loses nothing.
    bits_per_s: Sequence[tuple[int, int]] = ()

    def options_at(self, rate_hz: int) -> dict[str, str]:
        """Return the codec's options for a file of this rate."""
        bits = [bits for lowest_hz, bits in self.bits_per_s if rate_hz >= lowest_hz]
        return {**self.options, **({"b": str(bits[0])} if bits else {})}


#: A WAV file becomes RF64 when it grows beyond 4 GB. ffmpeg's own AAC is six times as fast with its
#: other search (63 times real time for 11, on 2 shared cores), LAME twice as fast at level 7.
_ENCODINGS: Final[dict[BookFormat, _Encoding]] = {
    "wav": _Encoding("wav", "pcm_s16le", {"rf64": "auto"}),
    "flac": _Encoding("flac", "flac"),
    "mp3": _Encoding(
        "mp3", "libmp3lame", options={"compression_level": "7"},
        bits_per_s=((44_100, 192_000), (0, 96_000)),
    ),
    "opus": _Encoding("ogg", "libopus", bits_per_s=((0, 48_000),)),
    "m4b": _Encoding(
        "mp4", "aac", {"brand": "M4B ", "movflags": "+faststart"}, {"aac_coder": "fast"},
        bits_per_s=((44_100, 96_000), (0, 64_000)),
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mark:
    """A chapter inside a file, in samples."""

    title: str
    first: int
    end: int


class BookEncoder:
    """Encodes while it is written. Raises `StoreFailed` and its kinds."""

    def __init__(
        self,
        path: Path,
        format: BookFormat,
        rate_hz: int,
        tags: Mapping[str, str],
        marks: Sequence[Mark] = (),
        cover: bytes = b"",
    ) -> None:
        """`cover` is a JPEG or a PNG, and for a format that can hold one; as are `marks`."""
        self._path = path
        self._rate_hz = rate_hz
        #: Samples written so far.
        self.samples = 0
        encoding = _ENCODINGS[format]
        with storing(path):
            self._file = av.open(
                str(path), "w", format=encoding.container, options=dict(encoding.file_options)
            )
            self._file.metadata.update(tags)
            self._stream: Any = self._file.add_stream(
                encoding.codec, rate=rate_hz, layout="mono", options=encoding.options_at(rate_hz)
            )
            self._file.set_chapters([_chapter(n, mark, rate_hz) for n, mark in enumerate(marks)])
            if cover:
                self._hang(cover)

    def write(self, samples: Samples) -> None:
        """Append samples, -1 .. 1."""
        if len(samples):
            with storing(self._path):
                self._mux(frame_of(samples, self._rate_hz, self.samples))
            self.samples += len(samples)

    def close(self) -> None:
        """End the file; it is whole if this returns."""
        with storing(self._path):
            self._mux(None)
            self._file.close()

    def abandon(self) -> None:
        """Let go of a file that is not wanted any more."""
        with suppress(av.FFmpegError, OSError, ValueError):
            self._file.close()

    def _mux(self, frame: av.AudioFrame | None) -> None:
        for packet in self._stream.encode(frame):
            self._file.mux(packet)

    def _hang(self, cover: bytes) -> None:
        """Put the picture in, byte for byte."""
        # By its first bytes: ffmpeg would also try formats that lead to other files.
        reader = "png_pipe" if cover.startswith(b"\x89PNG") else "jpeg_pipe"
        with av.open(io.BytesIO(cover), "r", format=reader) as picture:
            source: Any = picture.streams.video[0]
            stream: Any = self._file.add_stream_from_template(source)
            stream.disposition = Disposition.attached_pic
            packet = next(packet for packet in picture.demux(source) if packet.size)
            packet.stream = stream
            packet.pts = packet.dts = 0
            self._file.mux(packet)


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turn what ffmpeg raises of its file at `path` into `StoreFailed` and its kinds."""
    try:
        yield
    except av.FFmpegError as error:
        # ffmpeg's own errors have numbers beyond all of the system's.
        number = error.errno or 0
        if 0 < number < _LARGEST_ERRNO:
            raise store_error(OSError(number, os.strerror(number)), path) from error
        raise StoreFailed(path, str(error)) from error
    except OSError as error:
        raise store_error(error, path) from error


def _chapter(number: int, mark: Mark, rate_hz: int) -> Any:
    return {
        "id": number,
        "start": mark.first,
        "end": mark.end,
        "time_base": Fraction(1, rate_hz),
        "metadata": {"title": mark.title},
    }
