"""The peers' own code, from their installed wheels, as the judge of ours.

Neither package can be installed with its dependencies, nor be imported as a whole: what their
conversion does not need is left out, and their `__init__` is never run.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from tests.conftest import missing

PeerName = Literal["rvc_python", "infer_rvc_python"]

#: What the peers import and their conversion, as it is tested here, does not call.
_NOT_CALLED = ("torchcrepe", "loguru", "ffmpeg", "av")


def peer_module(name: PeerName, path: str) -> Any:
    """Return one module of a peer, by its path within the package."""
    if name not in sys.modules:
        _enter(name)
    for module in _NOT_CALLED:
        if module not in sys.modules and importlib.util.find_spec(module) is None:
            sys.modules[module] = ModuleType(module)
    return importlib.import_module(f"{name}.{path}")


def peer_pipeline(name: PeerName) -> Any:
    """Return the peer's whole pipeline class: `(rate, configuration) -> pipeline`."""
    for module in ("faiss", "parselmouth", "pyworld", "librosa"):
        if importlib.util.find_spec(module) is None:
            missing(module)
    if name == "infer_rvc_python":
        return peer_module(name, "root_pipe").VC
    pipeline = peer_module(name, "modules.vc.pipeline").Pipeline
    return lambda rate, configuration: pipeline(rate, configuration, lib_dir=".")


def _enter(name: PeerName) -> None:
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        missing(name)
    package = ModuleType(name)
    package.__path__ = [str(Path(str(found.origin)).parent)]
    sys.modules[name] = package
