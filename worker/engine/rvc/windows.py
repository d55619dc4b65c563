"""Windows of one width that the decoder computes, and the parts of utterances that fill them.

What a library prepares for each shape of a convolution takes time and memory, and its kernels are
good for some shapes and bad for others: so few shapes are ever computed. Only a part of the frames
of an utterance is wanted, and a sample depends on few frames to each side, the halo. So a window
holds several segments, each of wanted frames and their halos, end to end: what lies behind a halo
changes nothing.

Where wanted frames come nearer than the halo to an end of the utterance, the network must see that
it ends there: such an utterance has windows of its own width (see `crops`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from . import crops


@dataclass(frozen=True, slots=True)
class Span:
    """Of an utterance of `frames`, those are wanted that lie in `keep_from .. keep_to`."""

    frames: int
    keep_from: int
    keep_to: int


@dataclass(frozen=True, slots=True)
class Segment:
    """Frames `start .. start + width` of an utterance, at `place` in a window.

    `keep_from .. keep_to` are kept of them.
    """

    utterance: int
    start: int
    width: int
    keep_from: int
    keep_to: int
    place: int

    @property
    def kept_place(self) -> int:
        """Where in the window that begins which is kept."""
        return self.place + self.keep_from - self.start


@dataclass(frozen=True, slots=True)
class Window:
    """`width` frames, from the first on those of its segments; the others are of no meaning."""

    width: int
    segments: tuple[Segment, ...]


def windows_of(spans: Mapping[int, Span], *, halo: int, width: int, grain: int) -> Iterator[Window]:
    """Yield the windows of utterances of one speaker, named by their numbers.

    They are `width` frames wide; the last one is narrower if a multiple of `grain` is enough.
    """
    inner = []
    for number, span in spans.items():
        if halo <= span.keep_from and span.keep_to <= span.frames - halo:
            inner.append((number, span))
        else:
            yield from _at_an_end(number, span, halo, width)
    filled = list(_filled(inner, halo, width))
    for place, segments in enumerate(filled, 1):
        used = segments[-1].place + segments[-1].width
        enough = min(width, -(-used // grain) * grain)
        yield Window(enough if place == len(filled) else width, tuple(segments))


def _filled(inner: Iterable[tuple[int, Span]], halo: int, width: int) -> Iterator[list[Segment]]:
    """Yield what each window holds, all but the last one full."""
    held: list[Segment] = []
    used = 0
    for number, span in inner:
        kept = span.keep_from
        while kept < span.keep_to:
            left = span.keep_to - kept
            # A cut costs two halos more: where it gains less than that, the rest stays empty.
            if width - used < min(left, 2 * halo) + 2 * halo:
                yield held
                held, used = [], 0
            count = min(left, width - used - 2 * halo)
            held.append(
                Segment(number, kept - halo, count + 2 * halo, kept, kept + count, place=used)
            )
            used += count + 2 * halo
            kept += count
    if held:
        yield held


def _at_an_end(number: int, span: Span, halo: int, width: int) -> Iterator[Window]:
    planned = crops.plan(
        span.frames, span.keep_from, span.keep_to, halo=halo, widest=width, grain=1
    )
    for crop in planned:
        segment = Segment(number, crop.start, crop.width, crop.keep_from, crop.keep_to, place=0)
        yield Window(crop.width, (segment,))
