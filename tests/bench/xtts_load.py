"""How fast and how small a checkpoint of the true size loads: 1.87 GB of random weights.

Run from the repository's root, with coqui-tts at hand, on a disk with 2 GB free:

    python -m tests.bench.xtts_load [--rival] [--directory DIR]

Coqui-tts writes the file, so that it has the true format. Each loader then runs in a process of
its own; the file is in the page cache, the imports are done. `--rival` lets coqui-tts load too.
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.xtts_published import fresh_model, write_description


@dataclass(frozen=True)
class Loading:
    """One loader, from a warm file to a model."""

    seconds: float
    #: The most memory the process ever held, imports and mapped file included.
    peak_bytes: int


def write(directory: Path) -> None:
    """Write a checkpoint of the published sizes."""
    import torch

    write_description(directory)
    torch.save({"model": fresh_model().state_dict()}, directory / "model.pth")


def load_ours(directory: Path) -> Loading:
    """Load the checkpoint as a worker does."""
    from worker.engine.xtts.checkpoint import load

    return measured(lambda: load(directory))


def load_model(directory: Path) -> Loading:
    """Load and warm up all that speaks, on the processor: with tokenizer, cache and vocoder."""
    from worker.engine.xtts.model import XttsModel

    model = XttsModel(directory, device="cpu")

    def work() -> None:
        model.load()
        model.warm_up()

    return measured(work)


def load_coqui(directory: Path) -> Loading:
    """Load as coqui-tts does."""
    from TTS.tts.configs.xtts_config import XttsConfig
    from TTS.tts.models.xtts import Xtts

    config = XttsConfig()
    config.load_json(directory / "config.json")
    return measured(lambda: Xtts(config).load_checkpoint(config, checkpoint_dir=directory))


def measured(work: Callable[[], object]) -> Loading:
    """Run it, and look at the clock and at what the system says of this process."""
    start_s = time.perf_counter()
    kept = work()
    seconds = time.perf_counter() - start_s
    status = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert status and (kept is None or kept)
    return Loading(seconds, int(status[1]) * 1024)


def alone(work: Callable[[Path], Any], directory: Path) -> Any:
    """Run it in a fresh process."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(work, directory).result()


def main() -> None:
    """Write, load, print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rival", action="store_true", help="let coqui-tts load it too")
    options.add_argument("--directory", type=Path, help="where there is room for the files")
    given = options.parse_args()
    loaders = {"checkpoint": load_ours, "warm model": load_model}
    if given.rival:
        loaders["coqui-tts"] = load_coqui
    with tempfile.TemporaryDirectory(dir=given.directory) as name:
        directory = Path(name)
        alone(write, directory)
        size_bytes = (directory / "model.pth").stat().st_size
        print(f"model.pth: {size_bytes / 1e9:.2f} GB")
        for loader, work in loaders.items():
            loading: Loading = alone(work, directory)
            print(f"{loader:>10}: {loading.seconds:5.2f} s, {loading.peak_bytes / 1e9:.2f} GB peak")


if __name__ == "__main__":
    main()
