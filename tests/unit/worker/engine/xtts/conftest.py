"""Fixtures of the XTTS tests: a tiny checkpoint, what coqui-tts makes of it, and what we do."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import missing

if os.environ.get("CI") and importlib.util.find_spec("torch") is None:
    # The modules here skip without it, and a CI that skips them has proven nothing.
    raise pytest.UsageError("torch is missing, and CI must have it")

if TYPE_CHECKING:
    from worker.engine.xtts.checkpoint import XttsCheckpoint
    from worker.engine.xtts.speakers import Speaker
    from worker.engine.xtts.vocoder import Vocoder


@pytest.fixture(scope="session")
def written_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint as coqui-tts writes it. Only to be read."""
    if importlib.util.find_spec("TTS") is None:
        missing("coqui-tts")
    import torch

    from tests.unit.worker.engine.xtts.tiny_checkpoint import write_checkpoint

    # More would wait for one another on a busy machine.
    torch.set_num_threads(1)
    directory = tmp_path_factory.mktemp("models") / "xtts"
    write_checkpoint(directory)
    return directory


@pytest.fixture(scope="session")
def coqui(written_checkpoint: Path) -> Any:
    """The tiny model as coqui-tts' own `Xtts`."""
    from tests.unit.worker.engine.xtts.tiny_checkpoint import reference

    return reference(written_checkpoint)


@pytest.fixture(scope="session")
def checkpoint(written_checkpoint: Path) -> XttsCheckpoint:
    """The tiny model as we load it."""
    from worker.engine.xtts.checkpoint import load

    return load(written_checkpoint)


@pytest.fixture(scope="session")
def vocoder(checkpoint: XttsCheckpoint) -> Vocoder:
    """A vocoder as a processor uses it."""
    from worker.engine.xtts.vocoder import FITTING_WIDTHS, Vocoder

    return Vocoder(checkpoint.vocoder, widths=FITTING_WIDTHS, fit=True)


@pytest.fixture(scope="session")
def speaker(checkpoint: XttsCheckpoint) -> Speaker:
    """One of the voices."""
    return checkpoint.speakers["Alice"]


@pytest.fixture
def directory(written_checkpoint: Path, tmp_path: Path) -> Path:
    """A tiny checkpoint of one's own, to be spoilt."""
    return Path(shutil.copytree(written_checkpoint, tmp_path / "spoilt"))


@pytest.fixture
def state(directory: Path) -> dict[str, Any]:
    """The tensors of the checkpoint that is to be spoilt."""
    import torch

    tensors: dict[str, Any] = torch.load(directory / "model.pth")["model"]
    return tensors


@pytest.fixture
def rewritten() -> Callable[..., None]:
    """Changes keys of a JSON file: `rewritten(file, gpt_cond_len=6)`."""

    def rewrite(file: Path, **changes: Any) -> None:
        file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))

    return rewrite
