"""The whole farm at full speed, beside its engine alone: python -m tests.bench.farm

Jobs are queued by the Python client, taken by workers of `voicefarm up`, and become files that
are read again and compared with their hashes. XTTS-v2 and RVC have their published shapes and
random weights: the speed is true, the sound is noise, and a take ends by chance, after 6 s in the
mean (`farm_models.py`). One job is one chunk, its file is WAV. `VOICEFARM_GUARD` is off, as
random weights know no text. `--device cpu` is the same with small models, to see that it works,
and with `--set engine=fake` even quick.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch

from producer.child_process import leashed

from . import farm_pair, farm_sections
from .farm_figures import table
from .farm_models import write_xtts
from .farm_options import options_of, patience_s
from .farm_passage import settle
from .farm_sections import Scene
from .farm_up import CHECKOUT, FarmUp
from .sections import Sections

_COLUMNS: Final = (
    *("what", "x_steady", "x_whole", "ratio", "jobs_per_s", "jobs", "mean_audio_s", "took_s"),
    *("latency_s", "fill", "gpu0_busy", "celery_cpus", "loop_cpus", "press_cpus", "engine_cpus"),
    *("client_cpus", "celery_switches_per_s"),
    *("gpu0_gib_peak", "celery_mib_peak", "engine_mib_peak", "flaws", "lost", "again"),
)

#: The shortest load that tells whether anything is steady. [s]
_SHORTEST_S: Final = 20.0

#: How `up` is told of one worker and of two.
_FLAGS: Final = {
    "cpu": (("--gpus=cpu",), ("--gpus=cpu", "--workers-per-gpu=2")),
    "cuda": (("--gpus=0",), ("--gpus=0,1",)),
}

#: A voice of those that are small.
_SMALL_VOICES: Final = {"fake": "default", "xtts": "alice"}

#: Not the usual one, at which another farm of the machine may have its own.
_FLOWER_PORT: Final = 5556

#: So that workers come and go within a minute, and none goes between two sections.
_SCALING: Final = {"scale_horizon_s": "5", "scale_age_s": "5"}


def main(arguments: Sequence[str]) -> int:
    """Measure, print as it goes, write the rows; 1 if a section failed."""
    options = options_of(arguments, __doc__ or "")
    device = options.device
    if options.home is not None:
        options.home.mkdir(parents=True, exist_ok=True)
    scene = Scene(
        options.home or Path(tempfile.mkdtemp(prefix="voicefarm-bench-")),
        device,
        {
            "device": device,
            "engine": "xtts",
            "guard": "false",
            "slots": str(options.slots),
            "rvc": str("converted" in options.only).lower(),
            **dict(pair.split("=", 1) for pair in options.set),
        },
        options,
    )
    if device == "cpu":
        scene.voice = _SMALL_VOICES[scene.settings["engine"]]
    print(f"{_name(device)}, torch {torch.__version__}, {os.cpu_count()} processors", flush=True)
    print(f"home {scene.home}, settings {dict(scene.settings)}", flush=True)
    run = _Run(scene, " ".join(["python -m tests.bench.farm", *arguments]))
    run.all()
    print()
    print(table(scene.rows, _COLUMNS))
    run.sections.show()
    return bool(run.sections.failed)


class _Run:
    """The sections that were asked for, with the farms that they need."""

    def __init__(self, scene: Scene, command: str) -> None:
        self._scene = scene
        self._only = scene.options.only
        self._command = command
        self._workers = 2 if scene.device == "cpu" or torch.cuda.device_count() > 1 else 1
        self._scales = "scale" in self._only and self._workers > 1
        self.sections = Sections(scene.options.limit_s)

    def all(self) -> None:
        """Run them."""
        scene = self._scene
        writer = self._write_models()
        if "engine" in self._only:
            self._section("engine", partial(farm_sections.engine_alone, scene, converted=False))
        if writer is not None:
            writer.wait()
        one, two = _FLAGS[scene.device]
        flags = two if self._workers > 1 else one
        if self._scales:
            # A slow machine is idle for longer while files are read again.
            idle_s = "20" if scene.device == "cuda" else "60"
            scaling = {**_SCALING, "scale_idle_s": idle_s}
            self._with_farm((*two, "--min=0", "--max=2"), 0, self._parts, scaling)
        elif set(self._only) - {"engine", "rvc-engine", "scale", "rival"}:
            self._with_farm(flags, self._workers, self._parts)
        if "rvc-engine" in self._only:
            work = partial(farm_sections.engine_alone, scene, converted=True)
            self._section("rvc-engine", work)
            scene.ratio("farm, converted", "engine alone, converted")
        if "rival" in self._only:
            self._section("rival", partial(farm_sections.rival, scene))
        self._write()

    def _write_models(self) -> subprocess.Popen[bytes] | None:
        """Write XTTS' files here, and RVC's in a process that goes on."""
        scene = self._scene
        if scene.settings["engine"] != "xtts" or (scene.home / "models" / "xtts").exists():
            return None
        writer = None
        if "converted" in self._only:
            command = [sys.executable, "-m", write_xtts.__module__, str(scene.home), scene.device]
            writer = subprocess.Popen(leashed(*command), cwd=CHECKOUT)
        write_xtts(scene.home, scene.device)
        return writer

    def _with_farm(
        self,
        flags: tuple[str, ...],
        workers: int,
        work: Callable[[FarmUp], None],
        more: dict[str, str] | None = None,
    ) -> None:
        settings = {**self._scene.settings, **(more or {})}
        if self._scene.options.flower:
            flags = (*flags, "--flower", f"--flower-port={_FLOWER_PORT}")

        def within() -> None:
            with FarmUp(self._scene.home, *flags, settings=settings, workers=workers) as up:
                print(f"   the farm was ready after {up.ready_s:.0f} s", flush=True)
                settle(up.farm)
                work(up)

        self.sections.run(f"a farm of {workers} workers, {' '.join(flags)}", within)

    def _parts(self, up: FarmUp) -> None:
        scene, options = self._scene, self._scene.options
        if self._scales:
            self._part("scale", up, partial(farm_pair.growth, scene, up, self._workers))
        if self._workers > 1:
            self._part("two", up, partial(farm_pair.pinned, scene, up))
            farm_pair.alone(up)
        numbers = range(options.jobs)
        self._part("farm", up, partial(farm_sections.passage, scene, up, "farm", numbers))
        scene.ratio("farm", "engine alone")
        if self._workers > 1:
            farm_pair.together(up)
            numbers = range(10**5, 10**5 + 3 * options.jobs // 2)
            both = partial(farm_sections.passage, scene, up, "two workers", numbers)
            self._part("two", up, both)
            scene.ratio("two workers", "farm")
            self._part("kill", up, partial(farm_pair.death, scene, up))
            farm_pair.alone(up)
        self._part("interactive", up, partial(farm_sections.interactive, scene, up))
        self._part("book", up, partial(farm_sections.audiobook, scene, up))
        if "converted" in self._only:
            numbers = range(options.converted_jobs)
            converted = partial(farm_sections.passage, scene, up, "farm, converted", numbers)
            target = next(iter(up.targets()), None)
            self._part("converted", up, partial(converted, convert=target))
        left_s = options.limit_s - self.sections.late_s
        options.steady_s = min(options.steady_s, max(_SHORTEST_S, left_s))
        self._part("steady", up, partial(farm_sections.steady, scene, up))
        if self._scales:
            self._part("scale", up, partial(farm_pair.retreat, scene, up))

    def _part(self, name: str, up: FarmUp, work: Callable[[], Any]) -> None:
        if name in self._only:
            self._section(name, work)
            # What hangs may be what was measured, and the next part may fare better.
            with suppress(TimeoutError):
                settle(up.farm)

    def _section(self, name: str, work: Callable[[], Any]) -> None:
        with _within(patience_s(name, self._scene.options)):
            self.sections.run(name, work)
        self._write()

    def _write(self) -> None:
        """Write all rows so far: what comes next may end the process."""
        file = self._scene.options.json
        if file is None:
            return
        known = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": self._command,
            "device": _name(self._scene.device),
            "cpus": os.cpu_count(),
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
            "settings": dict(self._scene.settings),
            "rows": self._scene.rows,
        }
        file.write_text(json.dumps(known) + "\n")


@contextmanager
def _within(limit_s: float) -> Iterator[None]:
    """Raise `TimeoutError` in whatever this thread does when the time is over."""

    def end(*_: Any) -> None:
        raise TimeoutError(f"a section took longer than {limit_s:.0f} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _name(device: str) -> str:
    if device == "cpu":
        return "a processor"
    return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
