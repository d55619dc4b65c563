"""`convert`: a recording goes in, the same in another voice comes out; and the flags for that."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ..queues import Priority
from .delivery import Delivery, delivery_options
from .exit_codes import ExitCode
from .options import Command, farm_command, submit_options, usage_error
from .output import Output
from .waiting import Wait, wait_options

if TYPE_CHECKING:
    from ..client import VoiceFarm


def _number_or_auto(_: click.Context, __: click.Parameter, given: str | None) -> float | str | None:
    if given is None or given == "auto":
        return given
    try:
        return float(given)
    except ValueError:
        raise click.BadParameter(f"{given!r} is neither a number nor auto") from None


#: The parameters of a conversion, by the job's own names.
_OPTIONS: Final[dict[str, Callable[[Command], Command]]] = {
    "pitch": click.option("--pitch", callback=_number_or_auto, help="Semitones, or auto."),
    "index_rate": click.option(
        "--index-rate", type=float, help="0 to 1; how much of the voice's index."
    ),
    "f0_method": click.option("--f0-method", type=click.Choice(["rmvpe", "pm", "harvest"])),
    "filter_radius": click.option("--filter-radius", type=int),
    "rms_mix_rate": click.option(
        "--rms-mix-rate", type=float, help="1 keeps the voice's loudness, 0 the recording's."
    ),
    "protect": click.option("--protect", type=float, help="0 to 0.5; 0.5 protects nothing."),
    "unvoiced": click.option("--unvoiced", type=click.Choice(["zero", "interp"])),
    "length": click.option("--length", type=click.Choice(["exact", "compat"])),
    "search": click.option("--search", type=click.Choice(["ivf1", "exact"])),
    "speaker": click.option("--speaker", type=int, help="Of a voice that has several."),
}


def conversion_options(function: Command) -> Command:
    """Put what was said of a conversion into `fields`. Stands below `job_options`."""

    @functools.wraps(function)
    def wired(*given: Any, convert: str | None, fields: dict[str, Any], **rest: Any) -> Any:
        said = _said(rest)
        if said and convert is None:
            name = next(iter(said)).replace("_", "-")
            raise usage_error(f"--{name} is for a conversion: name its voice with --convert")
        if convert is not None:
            fields["convert"] = {"voice": convert, **said}
        return function(*given, fields=fields, **rest)

    voice = click.option(
        "--convert", metavar="VOICE", help="Convert what was spoken into an RVC voice."
    )
    return _with_options(wired, [voice, *_OPTIONS.values()])


def _with_options(function: Command, options: Sequence[Callable[[Command], Command]]) -> Command:
    for option in reversed(options):
        function = option(function)
    return function


def _said(rest: dict[str, Any]) -> dict[str, Any]:
    """Take the flags of a conversion out of `rest`; return those that were given."""
    said = {name: rest.pop(name) for name in _OPTIONS}
    return {name: value for name, value in said.items() if value is not None}


def _parameters(function: Command) -> Command:
    """Call `function(..., fields={...})` with what was said, by the job's own names."""
    others: dict[str, Callable[[Command], Command]] = {
        "voice": click.option("--voice", required=True, help="An RVC voice of `voices ls`."),
        "format": click.option("-f", "--format", help="wav, flac, mp3 or opus."),
        "sample_rate_hz": click.option("--sample-rate", "sample_rate_hz", type=int, help="In Hz."),
        "seed": click.option("--seed", type=int, help="Same seed, same audio."),
        "priority": click.option(
            "--priority", type=click.Choice([priority.value for priority in Priority])
        ),
    }

    @functools.wraps(function)
    def wired(*given: Any, **rest: Any) -> Any:
        fields = _said(rest)
        said = {name: rest.pop(name) for name in others}
        fields |= {name: value for name, value in said.items() if value is not None}
        return function(*given, fields=fields, **rest)

    return _with_options(wired, [*others.values(), *_OPTIONS.values()])


@click.command(
    epilog="\b\nExamples:\n  voicefarm convert speech.wav --voice anna --pitch 12 -o anna.wav"
)
@farm_command
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@delivery_options
@_parameters
@submit_options
@wait_options
def convert(
    farm: VoiceFarm,
    output: Output,
    *,
    file: Path,
    fields: dict[str, Any],
    delivery: Delivery,
    wait: Wait,
    **how: Any,
) -> ExitCode:
    """Convert the recording FILE into an RVC voice and print where the audio is."""
    if delivery.format is not None:
        fields.setdefault("format", delivery.format)
    job = farm.convert(file, **fields, **how)
    return wait.until_ended([job], delivery.hand_over)
