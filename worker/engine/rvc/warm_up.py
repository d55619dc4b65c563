"""What a device does before the first job, so that no job pays for what is done once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import torch

from ..converter import Converting, Source
from ..device_fault import is_device_fault
from ..request import ConversionRequest
from .content import Content
from .pitch import Pitch
from .splitting import RATE_HZ

logger = logging.getLogger(__name__)

#: Kinds of voices that a GPU is prepared for.
KINDS: Final = 2

#: How long silences are, and how many share a batch: what chunks come to as the synthesizer fills
#: and counts them, and the decoder's windows.
SILENCES_S: Final = (0.5, 1.5, 3, 5, 8, 13, 18, 28, 38)
COUNTS: Final = (1, 2, 4, 8, 16, 32)

#: The most that is converted at once here. [s]
MOST_S: Final = 256


@torch.inference_mode()
def warm_up_networks(
    content: Content, pitch: Pitch, device: torch.device, most_samples: int
) -> None:
    """Run the shared networks once; on a GPU RMVPE in every width up to `most_samples`."""
    silence = torch.zeros(RATE_HZ, device=device)
    content.features([silence], ["v2"])
    pitch.f0([silence])
    if device.type == "cuda":
        for samples in pitch.every_line(most_samples):
            pitch.heard([torch.zeros(samples, device=device)])


def warm_up_voices(
    convert: Callable[[Sequence[Source]], Converting],
    names: Sequence[str],
    *,
    most_s: float,
    times: int,
) -> None:
    """Convert silences into voices so many times, as far as their files and the memory let."""
    batches = [
        (count, seconds)
        for seconds in SILENCES_S
        for count in COUNTS
        if count * seconds <= min(most_s, MOST_S)
    ]
    for name in names[:KINDS]:
        try:
            for count, seconds in batches:
                for _ in range(times):
                    _convert_silences(convert, name, count, seconds)
        except Exception as error:
            # Whoever asks for it learns what it is; nobody else is kept from working.
            if is_device_fault(error):
                raise
            logger.warning("RVC voice %s was not warmed up: %s", name, error)


def _convert_silences(
    convert: Callable[[Sequence[Source]], Converting], name: str, count: int, seconds: float
) -> None:
    wanted = ConversionRequest(name, 0)
    silence = np.zeros(round(seconds * RATE_HZ), np.float32)
    sources = [Source(f"silence {place}", silence, RATE_HZ, wanted) for place in range(count)]
    for outcome in convert(sources).outcomes():
        if isinstance(outcome, Exception):
            raise outcome
