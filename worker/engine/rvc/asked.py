"""What the engine asks for, in the words of RVC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

import numpy as np
import torch

from ..converter import Source
from ..request import ConversionRequest
from .clip import Clip, Conversion
from .voice import Voice

_PARAMETERS: Final = frozenset(field.name for field in fields(Conversion))


def conversion_of(request: ConversionRequest) -> Conversion:
    """Return how it is to be converted; what is left out is the default."""
    parameters: Mapping[str, Any] = request.parameters
    return Conversion(**{name: parameters[name] for name in parameters.keys() & _PARAMETERS})


def clip_of(source: Source, voice: Voice) -> Clip:
    """Return a sound on its way into a voice."""
    return Clip(
        torch.from_numpy(np.array(source.samples, np.float32)),
        source.rate_hz,
        voice,
        conversion_of(source.wanted),
        speaker=int(source.wanted.parameters.get("speaker", 0)),
        seed=source.wanted.seed,
    )
