"""`voices`: what the farm can speak with, and voices of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from .options import farm_command
from .output import Output
from .worker_code import absolute, hand_over

if TYPE_CHECKING:
    from ..client import VoiceFarm

#: What `--consent` states.
CONSENT = "The speaker agrees that this voice is made and used."

_recordings = click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
_json = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
_home = click.option(
    "--home", type=click.Path(path_type=Path), help="The volumes (VOICEFARM_HOME)."
)


@click.group(no_args_is_help=False)
def voices() -> None:
    """Voices that the farm can speak with."""


@voices.command("ls")
@farm_command
def list_voices(farm: VoiceFarm, output: Output) -> None:
    """Show every voice by its name, and the languages that its engine speaks."""
    catalogue = farm.voices()
    output.table(
        ("name", "engine", "revision"),
        [voice.model_dump(mode="json") for voice in catalogue.voices],
    )
    for offer in catalogue.offers:
        output.note(f"{offer.engine} speaks {' '.join(offer.languages)}")
    if not catalogue.offers:
        output.note("no worker has announced its voices yet; `voicefarm up` starts one")


@voices.command("add")
@click.argument("name")
@_recordings
@click.option("--consent", is_flag=True, help=CONSENT)
@_home
@_json
def add(
    name: str, files: Sequence[Path], *, consent: bool, home: Path | None, as_json: bool
) -> NoReturn:
    """Make a voice called NAME of recordings of one speaker, 6 s or more of clean speech."""
    if not consent:
        raise click.UsageError(f"a voice is somebody's: say --consent, which states: {CONSENT}")
    said = [*_json_of(as_json), "--", name, *absolute(files)]
    hand_over("voices", "add", *said, **_settings(home))


@voices.command("rm")
@click.argument("name")
@_home
@_json
def remove(name: str, *, home: Path | None, as_json: bool) -> NoReturn:
    """Remove a voice of one's own."""
    hand_over("voices", "rm", *_json_of(as_json), "--", name, **_settings(home))


@voices.command("check")
@_recordings
@_json
def check(files: Sequence[Path], *, as_json: bool) -> NoReturn:
    """Say whether recordings are fit to make a voice of; 1 if one is not."""
    hand_over("voices", "check", *_json_of(as_json), "--", *absolute(files))


def _json_of(as_json: bool) -> list[str]:
    return ["--json"] * as_json


def _settings(home: Path | None) -> dict[str, str]:
    return {"VOICEFARM_HOME": str(home.absolute())} if home else {}
