"""`doctor`: what the farm needs, checked one by one."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ..checkout import find_checkout
from ..errors import VoicefarmError
from ..published import XTTS_V2
from ..queues import SPEECH_QUEUES
from ..volumes import DIRECTORIES
from .exit_codes import ExitCode
from .options import farm_command
from .output import Output

if TYPE_CHECKING:
    from ..client import VoiceFarm

Version = tuple[int, ...]

#: The versions that the farm stands on: at least the first, less than the second.
RANGES: Final[dict[str, tuple[Version, Version]]] = {
    "python": ((3, 11), (3, 13)),
    "celery": ((5, 7), (5, 8)),
    "kombu": ((5, 7), (5, 8)),
    "redis": ((6, 4), (9,)),
}

#: Pythons, from the first up to the second, that keep the name of every file for ever: some 0.4 KB
#: a job in a worker's presses (3.12.3, 125,500 jobs; https://github.com/python/cpython/issues/113993).
KEEPING: Final[tuple[Version, Version]] = ((3, 12), (3, 12, 7))

#: The files of XTTS-v2, and whether it can speak without them.
XTTS_FILES: Final = {file.name: not file.needed for file in XTTS_V2.files}

#: How to get them.
XTTS_FETCHED_BY: Final = "`voicefarm models get xtts-v2` fetches what is missing"

#: What a worker reads and computes XTTS with, and what it reads single languages with.
XTTS_PACKAGES: Final = ("torch", "TTS")
XTTS_READERS: Final = {"cutlet": "Japanese", "pypinyin": "Chinese"}

#: The files that all RVC voices share, each under one of these names.
RVC_FILES: Final = (("hubert_base.pt", "hubert_base"), ("rmvpe.pt",))

#: What a worker measures, encodes and marks books with, and what a client reads EPUBs with.
BOOK_ENCODER: Final = "av"
EPUB_READER: Final = "lxml"

#: Free space below which a volume counts as full: about an hour and a half of WAV.
FREE_MIN_BYTES: Final = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is as it should be, or is not."""

    name: str
    ok: bool
    detail: str


@click.command()
@farm_command
def doctor(farm: VoiceFarm, output: Output) -> ExitCode:
    """Check all that the farm needs; 1 if anything is amiss."""
    checks = [
        *(_version(name) for name in RANGES),
        *(_volume(farm.volumes.home / name) for name in DIRECTORIES),
        _asked("broker", lambda: _broker(farm)),
        _asked("worker", lambda: _worker(farm)),
        _worker_code(),
        xtts(farm.volumes.models / "xtts"),
        rvc(farm.volumes.models / "rvc"),
        books(),
    ]
    output.checks([asdict(check) for check in checks])
    return ExitCode.GOOD if all(check.ok for check in checks) else ExitCode.FAILED


def _version(name: str) -> Check:
    from importlib import metadata

    least, below = RANGES[name]
    try:
        found = sys.version.split()[0] if name == "python" else metadata.version(name)
    except metadata.PackageNotFoundError:
        return Check(name, False, "is not installed")
    numbers = tuple(int(part) for part in found.split(".") if part.isdecimal())
    wanted = f"{'.'.join(map(str, least))} or later, before {'.'.join(map(str, below))}"
    if not least <= numbers < below:
        return Check(name, False, f"{found}, but the farm needs {wanted}")
    keeps = name == "python" and KEEPING[0] <= numbers < KEEPING[1]
    hint = "; it never forgets the name of a file, so workers grow: 3.12.7 or later does, as 3.11"
    return Check(name, True, f"{found}{hint if keeps else ''}")


def _volume(directory: Path) -> Check:
    name = f"volume {directory.name}"
    try:
        with tempfile.TemporaryFile(dir=directory):
            free_bytes = shutil.disk_usage(directory).free
    except OSError as error:
        return Check(name, False, f"{directory}: {error.strerror}")
    free = f"{directory}, {free_bytes / 2**30:.1f} GiB free"
    return Check(name, free_bytes >= FREE_MIN_BYTES, free)


def _asked(name: str, ask: Callable[[], tuple[bool, str]]) -> Check:
    try:
        return Check(name, *ask())
    except VoicefarmError as error:
        return Check(name, False, str(error))


def _broker(farm: VoiceFarm) -> tuple[bool, str]:
    from ..broker_url import mask

    jobs = sum(farm.counts().values())
    doubts = farm.broker.doubts()
    answers = f"{mask(farm.broker.url)} answers and knows {jobs:,} jobs"
    return not doubts, "; ".join([answers, *doubts])


def _worker(farm: VoiceFarm) -> tuple[bool, str]:
    from ..overview import is_served

    workers = dict(sorted(farm.workers().items()))
    ready = {node: facts for node, facts in workers.items() if facts.get("state") == "ready"}
    told = ", ".join(f"{node} is {facts.get('state')}" for node, facts in workers.items())
    nobody = "none is listening; `voicefarm up` starts one"
    return is_served(ready, SPEECH_QUEUES), told or nobody


def _worker_code() -> Check:
    checkout = find_checkout()
    # A machine of clients needs no worker code, so its absence is told and fails nothing.
    return Check("worker code", True, str(checkout or "not on this machine; `up` needs it"))


def xtts(directory: Path) -> Check:
    """Tell what XTTS-v2 lacks on this machine. Without any of its files nobody wants it."""
    missing = [name for name in XTTS_FILES if not (directory / name).is_file()]
    if len(missing) == len(XTTS_FILES):
        files = " ".join(XTTS_FILES)
        hint = f"not here: {directory} is to hold {files}; {XTTS_FETCHED_BY}"
        return Check("xtts", True, hint)
    if needed := [name for name in missing if not XTTS_FILES[name]]:
        return Check("xtts", False, f"{directory} lacks {', '.join(needed)}; {XTTS_FETCHED_BY}")
    lacking = [name for name in XTTS_PACKAGES if find_spec(name) is None]
    if lacking and find_checkout():
        return Check("xtts", False, f"{', '.join(lacking)} missing: pip install -e '.[worker]'")
    unread = [
        f"no {what} without {name}" for name, what in XTTS_READERS.items() if not find_spec(name)
    ]
    voices = ["no built-in voices without speakers_xtts.pth"] if missing else []
    return Check("xtts", True, "; ".join([str(directory), *voices, *unread]))


def rvc(directory: Path) -> Check:
    """Tell what RVC lacks on this machine. Without any of its files nobody wants it: the images
    have its directory, empty."""
    voices = len(list((directory / "voices").glob("*.safetensors")))
    lacking = [
        " or ".join(names)
        for names in RVC_FILES
        if not any((directory / name).exists() for name in names)
    ]
    if len(lacking) == len(RVC_FILES) and not voices:
        wanted = f"{' '.join(lacking)} and voices"
        return Check("rvc", True, f"not here: {directory} is to hold {wanted}")
    if lacking:
        return Check("rvc", False, f"{directory} lacks {', '.join(lacking)}")
    if find_spec("torch") is None and find_checkout():
        return Check("rvc", False, "torch missing: pip install -e '.[worker]'")
    hint = "" if voices else "; `voicefarm voices add NAME model.pth` adds one"
    return Check("rvc", True, f"{directory}, {voices} voices{hint}")


def books() -> Check:
    """Tell what books lack on this machine: to make one a worker needs more than to read one."""
    unread = (
        "" if find_spec(EPUB_READER) else "no EPUB without lxml: pip install 'voicefarm[books]'"
    )
    if not find_checkout():
        return Check("books", True, unread or "read here; workers make them")
    if find_spec(BOOK_ENCODER) is None:
        hint = "av (PyAV) missing: pip install -e '.[worker]', or '.[embedded]' without a GPU"
        return Check("books", False, "; ".join(filter(None, [hint, unread])))
    return Check("books", True, unread or "read and made here")
