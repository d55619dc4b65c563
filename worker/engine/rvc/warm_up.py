"""What a device does before the first job, so that no job pays for what is done once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import torch

from ..converter import Converting, Source
from ..errors import EngineError
from ..request import ConversionRequest
from .content import Content
from .pitch import Pitch
from .splitting import RATE_HZ

logger = logging.getLogger(__name__)

#: Kinds of voices that a GPU is prepared for, and silences that fill 1, 2, 6, 7 and 8 of the
#: decoder's windows: all numbers in which it computes them for most voices.
KINDS: Final = 2
SILENCES_S: Final = (3, 8, 29, 33, 38)


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


def warm_up_voices(convert: Callable[[Sequence[Source]], Converting], names: Sequence[str]) -> None:
    """Convert silence into voices, as far as their files let."""
    for name in names[:KINDS]:
        try:
            for seconds in SILENCES_S:
                silence = np.zeros(seconds * RATE_HZ, np.float32)
                source = Source("silence", silence, RATE_HZ, ConversionRequest(name, 0))
                for outcome in convert([source]).outcomes():
                    if isinstance(outcome, EngineError):
                        raise outcome
        except EngineError as error:
            logger.warning("RVC voice %s was not warmed up: %s", name, error)
