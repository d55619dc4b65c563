"""From an ended job to the file a person holds."""

from __future__ import annotations

import functools
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ..book_entry import BOOK_STEM, files_of
from ..state import JobState
from .options import Command, usage_error
from .output import Output
from .records import facts_of, failure_of

if TYPE_CHECKING:
    from ..client import Job, VoiceFarm

#: Names of files that ask for a format by themselves.
_SUFFIXES: Final = (".wav", ".flac", ".mp3", ".opus")

#: The main file of a book that has a file a chapter.
_LIST: Final = ".m3u8"


@dataclass(frozen=True)
class Delivery:
    """Prints where the audio is, after copying it to `destination` if there is one."""

    farm: VoiceFarm
    output: Output
    destination: Path | None

    @property
    def format(self) -> str | None:
        """The format that the name of the destination asks for, if it asks for any."""
        suffix = self.destination.suffix.lower() if self.destination else ""
        return suffix[1:] if suffix in _SUFFIXES else None

    def hand_over(self, job: Job) -> None:
        """Deliver an ended job; raise `JobFailed` or `JobCancelled` if it has no audio."""
        row = job.row()
        failure = failure_of(row)
        if failure is None:
            path = self._placed(job)
            if path is not None:
                facts = facts_of(row, self.farm.volumes) | {"path": str(path)}
                self.output.data(facts, str(path))
            if row.state is JobState.SUSPICIOUS:
                self.output.note(f"job {row.id} is suspicious: {row.detail}")
            return
        if self.output.as_json:
            self.output.data(facts_of(row, self.farm.volumes), "")
        raise failure

    def _placed(self, job: Job) -> Path | None:
        """Return the file, copied if so asked; None once the audio itself went to stdout."""
        source = job.path
        if self.destination is None:
            return source
        if str(self.destination) == "-":
            with source.open("rb") as audio:
                shutil.copyfileobj(audio, sys.stdout.buffer)
            return None
        inside = self.destination.is_dir()
        files = files_of(source) if source.stem == BOOK_STEM else [source]
        if source.suffix == _LIST:
            return self._placed_chapters(files)
        target = self.destination / f"{job.id}{source.suffix}" if inside else self.destination
        shutil.copyfile(source, target)
        for file in files[1:]:
            shutil.copyfile(file, target.with_suffix(file.suffix))
        return target

    def _placed_chapters(self, files: Sequence[Path]) -> Path:
        """Copy the files of a book's chapters and their list; return where the list is."""
        if self.destination is None or not self.destination.is_dir():
            raise usage_error("-o: a book with a file a chapter needs a directory")
        for file in files:
            shutil.copyfile(file, self.destination / file.name)
        return self.destination / files[0].name


def delivery_options(function: Command) -> Command:
    """Call `function(farm, output, delivery=...)`."""

    @click.option(
        "-o",
        "--output",
        "destination",
        type=click.Path(path_type=Path, allow_dash=True),
        help="Copy the audio to this file or directory; - is stdout.",
    )
    @functools.wraps(function)
    def wired(farm: VoiceFarm, output: Output, destination: Path | None, **rest: Any) -> Any:
        if destination is not None and not destination.parent.is_dir():
            raise usage_error(f"-o: {destination.parent} is no directory")
        if str(destination) == "-" and output.as_json:
            raise usage_error("-o -: stdout cannot hold both audio and --json")
        return function(farm, output, delivery=Delivery(farm, output, destination), **rest)

    return wired
