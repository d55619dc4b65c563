"""`assemble`: the items of a batch become a book; and the flags for that."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from .delivery import Delivery, delivery_options
from .exit_codes import ExitCode
from .options import Command, batch_id, farm_command, usage_error
from .output import Output
from .waiting import Wait, wait_options

if TYPE_CHECKING:
    from ..client import VoiceFarm

_FORMATS: Final = ("m4b", "wav", "flac", "mp3", "opus")

#: The parameters of a book, by the job's own names.
_OPTIONS: Final[dict[str, Callable[[Command], Command]]] = {
    "loudness": click.option(
        "--loudness", type=click.Choice(["-16", "acx", "off"]), help="LUFS; -16 if not said."
    ),
    "subtitles": click.option(
        "--subtitles", type=click.Choice(["srt", "vtt"]), help="A file of cues beside the audio."
    ),
    "allow_missing": click.option(
        "--allow-missing", is_flag=True, default=None, help="Make it of what there is."
    ),
}


def book_options(function: Command) -> Command:
    """Call `function(..., assemble={...})`, or with None if no book is asked for."""

    @functools.wraps(function)
    def wired(*given: Any, book_format: str | None, **rest: Any) -> Any:
        said = _said(rest)
        if said and book_format is None:
            name = next(iter(said)).replace("_", "-")
            raise usage_error(f"--{name} is for a book: ask for one with --assemble")
        assemble = None if book_format is None else {"format": book_format, **said}
        return function(*given, assemble=assemble, **rest)

    wanted = click.option(
        "--assemble",
        "book_format",
        type=click.Choice(_FORMATS),
        help="Make a book of it when all items have ended.",
    )
    return _with_options(wired, [wanted, *_OPTIONS.values()])


@click.command(
    epilog="\b\nExamples:\n"
    "  voicefarm assemble 0123456789abcdef01234567 -o book.m4b\n"
    "  voicefarm assemble 0123456789abcdef01234567 -f mp3 --loudness acx -o chapters/"
)
@farm_command
@batch_id(metavar="BATCH")
@click.option("-f", "--format", type=click.Choice(_FORMATS), help="m4b if not said.")
@click.option("--sample-rate", "sample_rate_hz", type=int, help="In Hz.")
@click.option("--title", help="The title of the source, or the batch's name, if not said.")
@click.option("--author", help="The author of the source if not said.")
@click.option(
    "--cover", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="JPEG or PNG."
)
@_OPTIONS["loudness"]
@_OPTIONS["subtitles"]
@_OPTIONS["allow_missing"]
@delivery_options
@wait_options
def assemble(
    farm: VoiceFarm,
    output: Output,
    *,
    batch_id: str,
    delivery: Delivery,
    wait: Wait,
    cover: Path | None,
    **rest: Any,
) -> ExitCode:
    """Make a book of BATCH and print where it is: chapters joined, levelled and encoded.

    An item without audio is named, and no book is made; with --allow-missing it is left out. A
    book of the same items that was made before is found.
    """
    fields = {name: value for name, value in rest.items() if value is not None}
    if cover is not None:
        from ..batch.book import cover_of

        fields["cover"] = cover_of(cover.read_bytes(), farm.volumes)
    job = farm.batch_of(batch_id).assemble(**fields)
    return wait.until_ended([job], delivery.hand_over)


def _said(rest: dict[str, Any]) -> dict[str, Any]:
    """Take the flags of a book out of `rest`; return those that were given."""
    said = {name: rest.pop(name) for name in _OPTIONS}
    return {name: value for name, value in said.items() if value is not None}


def _with_options(function: Command, options: list[Callable[[Command], Command]]) -> Command:
    for option in reversed(options):
        function = option(function)
    return function
