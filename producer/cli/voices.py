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

#: What RVC voices are listed under, and how their files end.
RVC = "rvc"
VOICE_SUFFIX = ".pth"

_file = click.Path(exists=True, dir_okay=False, path_type=Path)
_recordings = click.argument("files", nargs=-1, required=True, type=_file)
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
    """Show every voice by its name, RVC voices too, and the languages that engines speak."""
    catalogue = farm.voices()
    spoken = [voice.model_dump(mode="json") for voice in catalogue.voices]
    targets = [{**one.model_dump(mode="json"), "engine": RVC} for one in catalogue.targets]
    output.table(("name", "engine", "revision"), [*spoken, *targets])
    for offer in catalogue.offers:
        output.note(f"{offer.engine} speaks {' '.join(offer.languages)}")
        if offer.obstacle:
            output.note(f"{offer.engine} converts nothing: {offer.obstacle}")
        for name, fault in {**offer.faults, **offer.target_faults}.items():
            output.note(f"{name} cannot be used: {fault}")
    if not catalogue.offers:
        output.note("no worker has announced its voices yet; `voicefarm up` starts one")


@voices.command(
    "add",
    epilog="\b\nExamples:\n  voicefarm voices add anna me.wav --consent\n"
    "  voicefarm voices add carl carl.pth --index carl.index",
)
@click.argument("name")
@_recordings
@click.option("--consent", is_flag=True, help=CONSENT)
@click.option("--index", type=_file, help="Of an RVC voice.")
@click.option(
    "--pitch-hz", type=click.FloatRange(50, 1100), help="The middle of an RVC voice, for auto."
)
@click.option("--pitch-from", type=_file, help="A recording of an RVC voice, to find it in.")
@_home
@_json
def add(
    name: str,
    files: Sequence[Path],
    *,
    consent: bool,
    index: Path | None,
    pitch_hz: float | None,
    pitch_from: Path | None,
    home: Path | None,
    as_json: bool,
) -> NoReturn:
    """Make a voice called NAME.

    Of recordings of one speaker, 6 s or more of clean speech, for XTTS; or of an RVC voice, a
    .pth file.
    """
    if any(file.suffix.lower() == VOICE_SUFFIX for file in files):
        if len(files) > 1:
            raise click.UsageError("an RVC voice is one .pth file; its index goes behind --index")
        said = [*_json_of(as_json), *(["--index", *absolute([index])] if index else [])]
        if pitch_hz and pitch_from:
            raise click.UsageError("the pitch is given by --pitch-hz or found by --pitch-from")
        said += [f"--pitch-hz={pitch_hz}"] if pitch_hz else []
        said += ["--pitch-from", *absolute([pitch_from])] if pitch_from else []
        hand_over("voices", "add-rvc", *said, "--", name, *absolute(files), **_settings(home))
    if index or pitch_hz or pitch_from:
        raise click.UsageError(
            "--index, --pitch-hz and --pitch-from belong to an RVC voice, a .pth file"
        )
    if not consent:
        raise click.UsageError(f"a voice is somebody's: say --consent, which states: {CONSENT}")
    said = [*_json_of(as_json), "--", name, *absolute(files)]
    hand_over("voices", "add", *said, **_settings(home))


@voices.command("rm")
@click.argument("name")
@click.option("--kind", type=click.Choice(["speech", "rvc"]), help="Where there is one of each.")
@_home
@_json
def remove(name: str, *, kind: str | None, home: Path | None, as_json: bool) -> NoReturn:
    """Remove a voice of one's own."""
    said = [*_json_of(as_json), *(["--kind", kind] if kind else []), "--", name]
    hand_over("voices", "rm", *said, **_settings(home))


@voices.command("index")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "-o", "--output", "target", type=click.Path(path_type=Path), help="Where to write an index."
)
@_json
def index(files: Sequence[Path], *, target: Path | None, as_json: bool) -> NoReturn:
    """Build an index of features with faiss, or prove one that there is.

    FILES are .npy files of a training's features, or folders of them, and -o says where the index
    goes; or one .index alone.
    """
    is_index = len(files) == 1 and files[0].suffix.lower() == ".index"
    if is_index == (target is not None):
        raise click.UsageError("give one .index to prove it, or features and -o to build one")
    output = ["--output", *absolute([target])] if target else []
    hand_over("voices", "index", *_json_of(as_json), *output, "--", *absolute(files))


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
