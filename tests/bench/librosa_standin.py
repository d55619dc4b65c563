"""What the peer calls of librosa, for machines on which librosa cannot be imported."""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from worker.engine.rvc.mel import mel_bands

Samples = npt.NDArray[np.floating[Any]]

#: What it imports, and does not call on the way that is measured.
_NOT_CALLED = {"librosa.util": ("normalize", "pad_center", "tiny")}


def stand_in() -> bool:
    """Put it in librosa's place if need be; True if so."""
    try:
        for name in ("librosa.filters", "librosa.util", "librosa.feature"):
            importlib.import_module(name)
        _ = sys.modules["librosa.feature"].rms
    except (ImportError, AttributeError):
        pass
    else:
        return False
    parts = {name: ModuleType(name) for name in ("librosa", "librosa.filters", "librosa.feature")}
    parts |= {name: ModuleType(name) for name in _NOT_CALLED}
    for name, module in parts.items():
        # Others ask for what a module was made from before they do without it.
        module.__spec__ = ModuleSpec(name, None)
        sys.modules[name] = module
        if "." in name:
            setattr(parts["librosa"], name.split(".")[1], module)
    for name, functions in _NOT_CALLED.items():
        for function in functions:
            setattr(parts[name], function, None)
    parts["librosa.filters"].__dict__["mel"] = _mel
    parts["librosa.feature"].__dict__["rms"] = _rms
    return True


def _mel(**_: object) -> Samples:
    """RMVPE's bands; that they are librosa's is proven by `test_rvc_pitch`."""
    return mel_bands().numpy()


def _rms(*, y: Samples, frame_length: int, hop_length: int) -> Samples:
    """Return the root mean square of frames that are centred, [1, frames]."""
    padded = np.pad(y, frame_length // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, frame_length)[::hop_length]
    found: Samples = np.sqrt(np.square(frames).mean(-1))[None]
    return found
