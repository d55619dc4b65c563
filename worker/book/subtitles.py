"""Cues as text: SubRip and WebVTT. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from producer.assemble_job import SubtitleFormat

from .timeline import Cue

#: Between seconds and milliseconds: SubRip comes from France.
_POINT: Final[dict[SubtitleFormat, str]] = {"srt": ",", "vtt": "."}

_ENTITIES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def subtitles(
    format: SubtitleFormat, cues: Iterable[Cue], rate_hz: int, origin: int = 0
) -> Iterator[str]:
    """Yield the lines of a file, without their ends; times are counted from the sample `origin`."""
    if format == "vtt":
        yield "WEBVTT"
        yield ""
    for number, cue in enumerate(cues, start=1):
        first, end = (_clock(at - origin, rate_hz, _POINT[format]) for at in (cue.first, cue.end))
        yield str(number)
        yield f"{first} --> {end}"
        # An empty line would end the cue, and markup would begin one of the player's own.
        line = " ".join(cue.text.split())
        yield line.translate(_ENTITIES) if format == "vtt" else line.replace("-->", "→")
        yield ""


def _clock(samples: int, rate_hz: int, point: str) -> str:
    """Return a time to the nearest millisecond."""
    ms = (2000 * samples + rate_hz) // (2 * rate_hz)
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{point}{ms:03d}"
