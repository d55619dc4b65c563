"""The ends of takes: what runs on after the speech is cut away, what was cut off is faded."""

from __future__ import annotations

from typing import Final

import numpy as np

from ..request import Samples, Sound

#: Quiet after the last sound that marks a tail as run on, and what is left of it. In 170 takes of
#: the published model good ends had 0.12 .. 0.18 s, and those that ran on had 0.6 s or more.
RUN_ON_S: Final = 0.6
KEPT_S: Final = 0.18

#: What counts as quiet, of the take's peak: 40 dB below it. Chosen, not measured.
QUIET: Final = 0.01

#: The fade of an end that was cut, so that it does not click.
FADE_S: Final = 0.005


def ended(samples: Samples, sample_rate_hz: int, *, capped: bool) -> Sound:
    """Return a take as it is to be heard; `capped` if the model was stopped by its limit."""
    kept = trimmed(samples, sample_rate_hz)
    trimmed_s = (len(samples) - len(kept)) / sample_rate_hz
    if capped and not trimmed_s:
        kept = faded(kept, sample_rate_hz)
    return Sound(kept, trimmed_s, truncated=capped)


def trimmed(samples: Samples, sample_rate_hz: int) -> Samples:
    """Return the samples without a run-on tail: more than `RUN_ON_S` becomes `KEPT_S`, faded.

    A take that is silent from beginning to end has no tail.
    """
    quiet = QUIET * max(samples.max(initial=0.0), -samples.min(initial=0.0))
    # Of nearly every take this end is enough: something is heard in it.
    if (np.abs(samples[-1 - int(RUN_ON_S * sample_rate_hz) :]) > quiet).any():
        return samples
    loud = np.flatnonzero(np.abs(samples) > quiet)
    if not loud.size:
        return samples
    return faded(samples[: loud[-1] + 1 + round(KEPT_S * sample_rate_hz)], sample_rate_hz)


def faded(samples: Samples, sample_rate_hz: int) -> Samples:
    """Return the samples with their last `FADE_S` falling to zero."""
    length = min(len(samples), round(FADE_S * sample_rate_hz))
    gain = np.ones(len(samples), np.float32)
    gain[len(samples) - length :] = np.linspace(1.0, 0.0, length, dtype=np.float32)
    return samples * gain
