"""By how much a book is made louder or softer: one gain for all of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from producer.assemble_job import Loudness

#: The most that peaks may be held back; a book that would need more stays softer than was wanted.
#: Chosen, not measured: speech has peaks 15 to 20 dB above its level, so some must be.
MAX_LIMITING_DB: Final = 9.0

#: How many decibels more of gain bring one decibel more of loudness where peaks are held back
#: (measured: 1.3 to 1.7 on espeak's voice, peaks held back by 2 to 5 dB).
LOST_AGAIN: Final = 1.4

#: What ebur128 says of silence.
SILENCE_LUFS: Final = -69.0


@dataclass(frozen=True, slots=True)
class Measured:
    """How loud something is, from its beginning to its end."""

    #: Integrated, gated, as EBU R128 has it.
    loudness_lufs: float
    #: Of all samples, silences too, below full scale.
    rms_db: float
    #: Highest peak of the wave between the samples, below full scale.
    true_peak_db: float

    def is_limited(self, gain: float, target: Target | None) -> bool:
        """True if this gain would bring peaks above what the target holds them below."""
        return target is not None and self.true_peak_db + gain > target.ceiling_db

    @property
    def is_silent(self) -> bool:
        """True for what has no loudness."""
        return self.loudness_lufs <= SILENCE_LUFS


@dataclass(frozen=True, slots=True)
class Target:
    """How loud a book shall be."""

    gauge: Literal["loudness", "rms"]
    wanted_db: float
    #: What is good enough.
    lowest_db: float
    highest_db: float
    #: What no peak may pass, and what peaks are held below, as lossy encoders add to them.
    peak_db: float
    ceiling_db: float

    def reading(self, measured: Measured) -> float:
        """Return what this target looks at."""
        return measured.loudness_lufs if self.gauge == "loudness" else measured.rms_db

    def is_met(self, measured: Measured) -> bool:
        """True if something measured is good enough; silence always is."""
        level_fits = self.lowest_db <= self.reading(measured) <= self.highest_db
        return measured.is_silent or (level_fits and measured.true_peak_db <= self.peak_db)


#: ACX asks for -23 to -18 dB RMS and peaks of -3 dB at most. -16 LUFS within half a unit and -1 dB
#: true peak is what podcast apps ask for.
TARGETS: Final[dict[Loudness, Target | None]] = {
    "-16": Target("loudness", -16.0, -16.5, -15.5, peak_db=-1.0, ceiling_db=-1.5),
    "acx": Target("rms", -20.0, -23.0, -18.0, peak_db=-3.0, ceiling_db=-3.5),
    "off": None,
}


def gain_db(measured: Measured, target: Target | None) -> float:
    """Return the gain that brings a book to its target, or as near as its peaks allow."""
    if target is None or measured.is_silent:
        return 0.0
    wanted_db = target.wanted_db - target.reading(measured)
    return min(wanted_db, target.ceiling_db + MAX_LIMITING_DB - measured.true_peak_db)


def corrected_gain_db(
    gain: float, measured: Measured, after: Measured, target: Target | None
) -> float:
    """Return a better gain, where a book of `measured` has become `after` by a gain.

    Peaks that are held back cost loudness, and so will a part of what is added for it.
    """
    if target is None or measured.is_silent:
        return gain
    lacking_db = max(0.0, target.wanted_db - target.reading(after))
    highest_db = target.ceiling_db + MAX_LIMITING_DB - measured.true_peak_db
    return min(gain + LOST_AGAIN * lacking_db, max(gain, highest_db))


def factor(decibels: float) -> float:
    """Return the factor that a gain is."""
    return float(10.0 ** (decibels / 20.0))
