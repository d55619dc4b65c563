"""What is asked of the farm's measurements: sections, how much, and how long each may take."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch

#: What may be asked for with `--only`, in the order in which it is done.
SECTIONS: Final = (
    *("engine", "scale", "farm", "two", "kill", "interactive", "book", "converted", "steady"),
    *("rvc-engine", "rival"),
)

#: How long a section may take on a GPU, so that one that hangs loses only itself, beside what its
#: options ask for. [s]
_PATIENCE_S: Final = {
    **{"engine": 80, "two": 45, "kill": 75, "farm": 55, "interactive": 45, "book": 50},
    **{"converted": 50, "rvc-engine": 80, "scale": 90, "rival": 120, "steady": 60},
}

#: How much each measurement is, on a GPU and on a processor.
_SIZES: Final = {
    "slots": (384, 8),
    "jobs": (4000, 16),
    "converted_jobs": (1000, 4),
    "interactive": (4000, 8),
    "interactive_rate": (60.0, 2.0),
    "book_s": (29_880.0, 102.0),
    "patience": (1.0, 10.0),
    "steady_s": (600.0, 10.0),
    "rival_s": (40.0, 5.0),
    "expected_x": (1500.0, 4.0),
}


def options_of(arguments: Sequence[str], description: str) -> argparse.Namespace:
    """Return what a command line asks for."""
    small = "cpu" if not torch.cuda.is_available() else "cuda"
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.farm", description=description.partition("\n")[0]
    )
    add = parser.add_argument
    add("--device", choices=("cpu", "cuda"), default=small)
    add("--only", nargs="*", choices=SECTIONS, default=SECTIONS, help="sections to run")
    add("--limit-s", type=float, default=1e9, help="begin nothing after that")
    add("--home", type=Path, help="where models, files and the queue lie (a fresh directory)")
    add("--set", nargs="*", default=(), metavar="SETTING=VALUE", help="more settings of workers")
    add("--json", type=Path, metavar="PATH", help="write every row to this file")
    add("--slots", type=int, help="rows of the batch (384, or 8 on a processor)")
    add("--flower", action="store_true", help="have Flower watch the farm meanwhile")
    add("--jobs", type=int, help="jobs that saturate one worker (4,000, or 16)")
    add("--converted-jobs", type=int, help="jobs that are converted too (1,000, or 4)")
    add("--interactive", type=int, help="sentences among a book (4,000, or 8)")
    add("--interactive-rate", type=float, help="of these, how many a second (60, or 2)")
    add("--book-s", type=float, help="length of the audiobook (29,880, or 102)")
    add("--patience", type=float, help="times the usual limit of each section (1, or 10)")
    add("--steady-s", type=float, help="length of the steady load (600, or 10)")
    add("--rival-s", type=float, help="how long coqui-tts is watched (40, or 5)")
    add("--expected-x", type=float, help="about how fast one worker is (1,500, or 4)")
    options = parser.parse_args(arguments)
    for name, (large, little) in _SIZES.items():
        if getattr(options, name) is None:
            setattr(options, name, little if options.device == "cpu" else large)
    return options


def patience_s(name: str, options: argparse.Namespace) -> float:
    """Return how long a section may take. [s]"""
    asked_s = {
        "interactive": options.interactive / options.interactive_rate,
        "rival": options.rival_s,
        "steady": options.steady_s,
    }
    return float(options.patience * (_PATIENCE_S[name] + asked_s.get(name, 0.0)))
