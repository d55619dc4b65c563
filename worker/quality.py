"""What can be seen of a take without listening to it: silence, clipping, a tail that repeats. Pure.

A model that draws its speech by chance may fall silent, break into noise, or say its last words
again and again. All of it shows in how loud the take is from moment to moment. Each limit is far
from what speech does: of 480 sentences that espeak-ng spoke with the voices of 8 languages the most
silent had 0.37, none was clipped or repeated itself; of as many whose end was said three times more
479 were found (`python -m tests.bench.quality_limits`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from .engine.request import Samples

#: Decides which take is kept; changes whenever a limit or a measure does.
REVISION: Final = "quality-1"

#: A moment: what is shorter is no pause and no syllable.
MOMENT_S: Final = 0.02

#: What is not louder than this is silence. [of full scale, root mean square; -50 dB]
SILENCE: Final = 10 ** (-50 / 20)

#: From here on a sample is clipped, or would be.
FULL_SCALE: Final = 0.999

#: Shares above which a take is doubted.
MOST_SILENCE: Final = 0.65
MOST_CLIPPED: Final = 0.01

#: How long a phrase is that a model says over and over. [s]
SHORTEST_PHRASE_S: Final = 0.4
LONGEST_PHRASE_S: Final = 3.0

#: How alike what a tail says and what it said before must be to be the same: a correlation.
ALIKE: Final = 0.9

#: What is as even as this has no phrases. [variance of the loudness' logarithm]
EVEN: Final = 0.01

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Quality:
    """What was measured of one take."""

    silence_share: float = 0.0
    clipped_share: float = 0.0
    #: Length of a tail that says one phrase three times or more. [s]
    repeated_s: float = 0.0

    @property
    def excess(self) -> float:
        """How many times over a limit it is; 1 is within all of them."""
        return max(
            1.0,
            self.silence_share / MOST_SILENCE,
            self.clipped_share / MOST_CLIPPED,
            1.0 + self.repeated_s,
        )


def measure(samples: Samples, rate_hz: int, *, tail: bool = True) -> Quality:
    """Look at a take: about a millisecond for ten seconds, most of it for the `tail`."""
    moment = max(1, round(MOMENT_S * rate_hz))
    whole = len(samples) // moment
    if not whole:
        return Quality()
    moments = samples[: whole * moment].reshape(whole, moment)
    level = np.sqrt(np.einsum("ij,ij->i", moments, moments) / moment)
    return Quality(
        silence_share=float(np.mean(level < SILENCE)),
        clipped_share=_clipped_share(samples),
        repeated_s=_repeated_moments(level) * moment / rate_hz if tail else 0.0,
    )


def _clipped_share(samples: Samples) -> float:
    if max(samples.max(), -samples.min()) < FULL_SCALE:
        return 0.0
    return float(np.mean(np.abs(samples) >= FULL_SCALE))


def _repeated_moments(level: npt.NDArray[np.float32]) -> int:
    """Return how many moments at the end are one phrase, said three times or more."""
    heard = np.flatnonzero(level >= SILENCE)
    if not len(heard):
        return 0
    loudness = np.log(np.maximum(level[: heard[-1] + 1], SILENCE), dtype=np.float64)
    longest = min(round(LONGEST_PHRASE_S / MOMENT_S), len(loudness) // 3)
    phrases = np.arange(round(SHORTEST_PHRASE_S / MOMENT_S), longest + 1)
    alike = phrases[_likeness(loudness, phrases) >= ALIKE]
    return int(3 * alike[0]) if len(alike) else 0


def _likeness(loudness: Numbers, phrases: npt.NDArray[np.int64]) -> Numbers:
    """Correlate, for each length of a phrase, the last two of it with the two from one before."""
    end, n = len(loudness), 2 * phrases
    sums = np.concatenate(([0.0], np.cumsum(loudness)))
    squares = np.concatenate(([0.0], np.cumsum(loudness**2)))
    last = sums[end] - sums[end - n]
    before = sums[end - phrases] - sums[end - phrases - n]
    last_spread = (squares[end] - squares[end - n]) / n - (last / n) ** 2
    before_spread = (squares[end - phrases] - squares[end - phrases - n]) / n - (before / n) ** 2
    dots = np.array([loudness[end - 2 * p :] @ loudness[end - 3 * p : end - p] for p in phrases])
    spread = np.sqrt(np.maximum(last_spread * before_spread, 0.0))
    # What is equally loud all the time says nothing of phrases.
    likeness = (dots / n - last * before / n**2) / np.maximum(spread, EVEN)
    return np.asarray(likeness, np.float64)
