"""Slopes of a HiFi-GAN's activations, which no file states."""

from __future__ import annotations

from typing import Final

#: Within the stages.
SLOPE: Final = 0.1

#: Of the last one, before the samples.
LAST_SLOPE: Final = 0.01

#: That of no activation.
AS_IS: Final = 1.0
