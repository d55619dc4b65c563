"""How loud a book is, heard once from its beginning to its end, in blocks of any size."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, Final

import av
import numpy as np

from ..engine.request import Samples
from .levelling import Measured
from .wave import TruePeak

#: What there is no logarithm of.
_FLOOR_DB: Final = -120.0

#: Nothing has been heard yet that is as long as ebur128's window.
_NOTHING: Final = Measured(-70.0, _FLOOR_DB, _FLOOR_DB)


class LoudnessMeter:
    """EBU R128 by ffmpeg's filter; power and peak of all samples.

    The filter would find peaks too, four times as slowly as the loudness (measured).
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._graph = av.filter.Graph()
        self._source = self._graph.add_abuffer(
            sample_rate=rate_hz, format="flt", layout="mono", time_base=Fraction(1, rate_hz)
        )
        meter = self._graph.add("ebur128", "metadata=1:framelog=quiet")
        self._sink = self._graph.add("abuffersink")
        self._source.link_to(meter)
        meter.link_to(self._sink)
        self._graph.configure()
        self._samples = 0
        self._power = 0.0
        self._peak = TruePeak()
        self._told: dict[str, str] = {}

    def hear(self, samples: Samples) -> None:
        """Hear the next samples: mono float32."""
        if not len(samples):
            return
        self._power += float(np.square(samples, dtype=np.float64).sum())
        self._peak.hear(samples)
        self._source.push(frame_of(samples, self._rate_hz, self._samples))
        self._samples += len(samples)
        self._pull()

    def measured(self) -> Measured:
        """Return what was heard. Nothing may follow."""
        self._source.push(None)
        self._pull()
        if not self._told:
            return _NOTHING
        return Measured(
            loudness_lufs=float(self._told["lavfi.r128.I"]),
            rms_db=_decibels(math.sqrt(self._power / self._samples)),
            true_peak_db=_decibels(self._peak.end()),
        )

    def _pull(self) -> None:
        while True:
            try:
                frame: Any = self._sink.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            if "lavfi.r128.I" in frame.metadata:
                self._told = frame.metadata


def frame_of(samples: Samples, rate_hz: int, at: int) -> av.AudioFrame:
    """Return samples, the first of which has the number `at`, as ffmpeg wants them."""
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout="mono")
    frame.sample_rate = rate_hz
    frame.time_base = Fraction(1, rate_hz)
    frame.pts = at
    return frame


def _decibels(height: float) -> float:
    return max(_FLOOR_DB, 20.0 * math.log10(height)) if height > 0 else _FLOOR_DB
