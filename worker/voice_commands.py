"""`python -m worker voices`: voices of one's own, made and removed on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from producer.cli.exit_codes import ExitCode
from producer.cli.output import Output

from .config import WorkerSettings
from .engine.errors import EngineError
from .errors import WorkerError

if TYPE_CHECKING:
    from .cloning import Judged

_files = click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
_json = click.option("--json", "as_json", is_flag=True)


@click.group()
def voices() -> None:
    """Make and remove voices."""


@voices.command("add")
@click.argument("name")
@_files
@_json
def add(name: str, files: Sequence[Path], *, as_json: bool) -> int:
    """Make a voice of recordings whose speaker has agreed to it."""
    output = Output(as_json=as_json)
    with _told():
        from .cloning import add_voice

        card = add_voice(WorkerSettings.load(), name, files)
    output.data(card.model_dump(mode="json"), f"{card.name} {card.key[:12]}")
    output.note("workers that run already offer it within seconds")
    return ExitCode.GOOD


@voices.command("add-rvc")
@click.argument("name")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--index", type=click.Path(path_type=Path))
@click.option("--pitch-hz", type=float)
@click.option("--pitch-from", type=click.Path(path_type=Path))
@_json
def add_rvc(
    name: str,
    model: Path,
    *,
    index: Path | None,
    pitch_hz: float | None,
    pitch_from: Path | None,
    as_json: bool,
) -> int:
    """Keep an RVC voice; it is checked first."""
    output = Output(as_json=as_json)
    settings = WorkerSettings.load()
    with _told():
        from . import rvc_voices

        if pitch_from is not None:
            pitch_hz = rvc_voices.pitch_hz_of(settings, pitch_from)
        card = rvc_voices.add_voice(settings, name, model, index, pitch_hz)
        output.data(rvc_voices.facts_of(card), rvc_voices.words_of(card))
        lacking = rvc_voices.obstacle(settings)
    output.note(lacking or "workers that convert already offer it within seconds")
    return ExitCode.GOOD


@voices.command("rm")
@click.argument("name")
@click.option("--kind", type=click.Choice(["speech", "rvc"]))
@_json
def remove(name: str, *, kind: str | None, as_json: bool) -> int:
    """Remove a voice."""
    with _told():
        from .voice_removal import remove_voice

        removed = remove_voice(WorkerSettings.load(), name, kind)
    Output(as_json=as_json).data({"removed": name, "kind": removed}, f"removed {name}")
    return ExitCode.GOOD


@voices.command("index")
@_files
@click.option("--output", "target", type=click.Path(path_type=Path))
@_json
def index(files: Sequence[Path], *, target: Path | None, as_json: bool) -> int:
    """Build an index of features, or prove one."""
    with _told():
        from .engine.rvc.index_building import build_index, verify_index

        found = verify_index(files[0]) if target is None else build_index(files, target)
    file = target or files[0]
    facts = {"file": str(file), **asdict(found)}
    words = f"{file}: {found.vectors:,} vectors of {found.width} in {found.lists} lists"
    Output(as_json=as_json).data(facts, f"{words}; faiss agrees")
    return ExitCode.GOOD


@voices.command("check")
@_files
@_json
def check(files: Sequence[Path], *, as_json: bool) -> int:
    """Say whether recordings are fit to make a voice of."""
    output = Output(as_json=as_json)
    with _told():
        from .cloning import judged

        found = judged(files)
    for one in found:
        output.data(_facts(one), "\n".join(_lines(one)))
    return ExitCode.FAILED if any(one.faults for one in found) else ExitCode.GOOD


@contextmanager
def _told() -> Iterator[None]:
    """Tell a person of an error that is known, without a traceback.

    What voices need is imported within: `up` needs none of it, and a light farm lacks it.
    """
    try:
        yield
    except (EngineError, WorkerError) as error:
        raise click.ClickException(str(error)) from error
    except ImportError as error:
        raise click.ClickException(
            f"{error.name} is missing: pip install -e '.[worker]' in the checkout"
        ) from error


def _lines(one: Judged) -> list[str]:
    if one.verdict is None:
        return list(one.faults)
    verdict = one.verdict
    seconds = f"{one.file.name}: {verdict.sound_s:.1f} s of sound in {verdict.duration_s:.1f} s"
    remarks = [f"{one.file.name}: {remark}" for remark in verdict.remarks]
    return [seconds, *one.faults, *remarks]


def _facts(one: Judged) -> dict[str, Any]:
    verdict = one.verdict
    return {
        "file": one.file.name,
        "fit": not one.faults,
        "faults": list(one.faults),
        "remarks": list(verdict.remarks) if verdict else [],
        "sound_s": round(verdict.sound_s, 3) if verdict else None,
        "duration_s": round(verdict.duration_s, 3) if verdict else None,
    }
