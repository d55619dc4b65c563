"""`models`: the files of models, fetched into the farm's volume."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from ..config import ProducerSettings
from ..download import Download, is_published
from ..errors import DownloadFailed, VolumeUnavailable
from ..published import MODELS, PublishedFile, PublishedModel
from ..volumes import Volumes
from .options import Command
from .output import Bar, Output

#: Free space that a fetched model must leave on its volume.
SPARE_BYTES: Final = 256 * 2**20

_MB: Final = 10**6


def _models_command(function: Command) -> Command:
    """Call `function(settings, output, ...)`; no broker is asked."""

    @click.option("--home", type=click.Path(path_type=Path), help="The volumes (VOICEFARM_HOME).")
    @click.option("--json", "as_json", is_flag=True, help="Data as one JSON object a line.")
    @click.option("-q", "--quiet", is_flag=True, help="Only data and errors.")
    @functools.wraps(function)
    def wired(home: Path | None, as_json: bool, quiet: bool, **rest: Any) -> Any:
        settings = ProducerSettings.load(home=home)
        return function(settings, Output(as_json=as_json, quiet=quiet), **rest)

    return wired


@click.group(no_args_is_help=False)
def models() -> None:
    """Models that can be fetched."""


@models.command("ls")
@_models_command
def list_models(settings: ProducerSettings, output: Output) -> None:
    """Show the files of every model, and what is there of them, by their sizes alone."""
    rows = [
        {
            "model": name,
            "file": file.name,
            "bytes": file.size_bytes,
            "state": _state(_directory(settings, model), file),
            "sha256": file.sha256,
        }
        for name, model in MODELS.items()
        for file in model.files
    ]
    output.table(("model", "file", "bytes", "state"), rows)
    for name, model in MODELS.items():
        output.note(f"{name} belongs into {_directory(settings, model)}; {model.licence}")


@models.command("get")
@click.argument("model", type=click.Choice(list(MODELS)))
@click.option("--accept-licence", is_flag=True, help="You have read the licence and accept it.")
@click.option("--no-progress", is_flag=True, help="No progress bar.")
@_models_command
def get(
    settings: ProducerSettings,
    output: Output,
    *,
    model: str,
    accept_licence: bool,
    no_progress: bool,
) -> None:
    """Fetch the files of MODEL that are missing; one that was begun goes on where it stopped."""
    wanted = MODELS[model]
    url = wanted.url(settings.hub_url, "LICENSE.txt")
    output.note(f"{model} is under the {wanted.licence}. {wanted.terms} Its text: {url}")
    if not accept_licence:
        raise click.UsageError("nothing is fetched unless you say --accept-licence")
    directory = _directory(settings, wanted)
    missing = _missing(wanted, directory)
    _check_space(directory, missing)
    with output.bar(wanted=not no_progress) as bar:
        for file in wanted.files:
            if file in missing:
                _fetch(settings, wanted, file, bar)
            facts = {"file": file.name, "bytes": file.size_bytes, "fetched": file in missing}
            output.data({**facts, "path": str(directory / file.name)}, str(directory / file.name))
    output.note(f"{model} is complete; workers that are started now can speak with it")


def _directory(settings: ProducerSettings, model: PublishedModel) -> Path:
    return Volumes(settings.home).models / model.directory


def _state(directory: Path, file: PublishedFile) -> str:
    held_bytes = file.held_bytes(directory)
    if (directory / file.name).is_file():
        return "here" if held_bytes == file.size_bytes else "another file"
    return f"{100 * held_bytes // file.size_bytes} %" if held_bytes else "missing"


def _missing(model: PublishedModel, directory: Path) -> list[PublishedFile]:
    """Return the files to fetch. Raises `DownloadFailed` for one that must not be overwritten."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VolumeUnavailable(str(directory), error.strerror or "") from error
    there = [file for file in model.files if (directory / file.name).exists()]
    for file in there:
        if not is_published(directory / file.name, file):
            raise DownloadFailed(
                str(directory / file.name),
                "is another file than the published one, and nothing is overwritten; move it away",
            )
    return [file for file in model.files if file not in there]


def _check_space(directory: Path, missing: list[PublishedFile]) -> None:
    need_bytes = sum(file.size_bytes - file.held_bytes(directory) for file in missing)
    free_bytes = shutil.disk_usage(directory).free
    if missing and free_bytes < need_bytes + SPARE_BYTES:
        raise DownloadFailed(
            str(directory),
            f"{need_bytes / _MB:,.0f} MB are to come and {SPARE_BYTES / _MB:,.0f} MB to stay free, "
            f"but only {free_bytes / _MB:,.0f} MB are free",
        )


def _fetch(
    settings: ProducerSettings, model: PublishedModel, file: PublishedFile, bar: Bar
) -> None:
    directory = _directory(settings, model)

    def show(held_bytes: int) -> None:
        bar(f"{file.name}, MB", held_bytes // _MB, -(-file.size_bytes // _MB))

    show(file.held_bytes(directory))
    try:
        Download(model.url(settings.hub_url, file.name), file, directory, show).run()
    except DownloadFailed as error:
        raise DownloadFailed(
            error.file, "; ".join([error.problem, *_ways(model, directory)])
        ) from error


def _ways(model: PublishedModel, directory: Path) -> Iterator[str]:
    """Yield what a person can do when the hub does not give a file."""
    yield "the same command again goes on from what has arrived"
    yield "VOICEFARM_HUB_URL names a mirror"
    files = ", ".join(f"{file.name} ({file.size_bytes:,} bytes)" for file in model.files)
    yield f"or put the files into {directory} by hand: {files}"
