"""The flags that commands share, by family, and what commands get to see of them."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import click

from ..errors import InvalidJob
from ..queues import Priority
from .output import Output

if TYPE_CHECKING:
    from ..client import VoiceFarm

Command = Callable[..., Any]
OpenFarm = Callable[[str | None, Path | None], "VoiceFarm"]

_JOB_ID: Final = re.compile(r"[0-9a-f]{32}")
_BATCH_ID: Final = re.compile(r"[0-9a-f]{24}")


def job_ids(**options: Any) -> Callable[[Command], Command]:
    """An argument of ids that `submit` printed; anything else never reaches the broker."""
    return click.argument("job_ids", nargs=-1, callback=_checked_ids, **options)


def job_id(**options: Any) -> Callable[[Command], Command]:
    """An argument of one such id."""
    return click.argument("job_id", callback=_checked_ids, **options)


def batch_ids(**options: Any) -> Callable[[Command], Command]:
    """An argument of ids that `batch` printed."""
    return click.argument("batch_ids", nargs=-1, callback=_checked_batches, **options)


def batch_id(**options: Any) -> Callable[[Command], Command]:
    """An argument of one such id."""
    return click.argument("batch_id", callback=_checked_batches, **options)


def any_ids(**options: Any) -> Callable[[Command], Command]:
    """An argument `job_ids` of ids that `submit` or `batch` printed."""
    return click.argument("job_ids", nargs=-1, callback=_checked_either, **options)


def any_id(**options: Any) -> Callable[[Command], Command]:
    """An argument `job_id` of one such id."""
    return click.argument("job_id", callback=_checked_either, **options)


def is_batch(any_id: str) -> bool:
    """True for the id of a batch, False for that of a job."""
    return _BATCH_ID.fullmatch(any_id) is not None


def usage_error(problem: str) -> click.UsageError:
    """Return an error that names the running command."""
    return click.UsageError(problem, click.get_current_context(silent=True))


def farm_command(function: Command) -> Command:
    """Call `function(farm, output, ...)`. Stands above the decorators below, which need both."""

    @click.option("--broker", metavar="URL", help="The farm's broker (VOICEFARM_BROKER_URL).")
    @click.option("--home", type=click.Path(path_type=Path), help="The volumes (VOICEFARM_HOME).")
    @click.option("--json", "as_json", is_flag=True, help="Data as one JSON object a line.")
    @click.option("-q", "--quiet", is_flag=True, help="Only data and errors.")
    @functools.wraps(function)
    def wired(
        broker: str | None, home: Path | None, as_json: bool, quiet: bool, **rest: Any
    ) -> Any:
        open_farm: OpenFarm = click.get_current_context().obj
        with open_farm(broker, home) as farm:
            return function(farm, Output(as_json=as_json, quiet=quiet), **rest)

    return wired


def text_options(function: Command) -> Command:
    """Call `function(..., text=...)` with the text of an argument, of stdin or of a file."""

    @click.argument("text", required=False)
    @click.option("--text-file", type=click.File("rb"), help="Read the text from a UTF-8 file.")
    @functools.wraps(function)
    def wired(*given: Any, text: str | None, text_file: BinaryIO | None, **rest: Any) -> Any:
        if (text is None) == (text_file is None):
            raise usage_error("give either TEXT (- is stdin) or --text-file")
        source = sys.stdin.buffer if text == "-" else text_file
        return function(*given, text=_read(source) if source else text, **rest)

    return wired


def job_options(function: Command) -> Command:
    """Call `function(..., fields={...})` with what was said of the job, by its own names."""
    priorities = [priority.value for priority in Priority]
    options = {
        "voice": click.option("--voice", help="A name of `voicefarm voices ls`."),
        "language": click.option("-l", "--language", help="Such as en, pt-br or zh-cn."),
        "speed": click.option("--speed", type=float, help="0.25 to 4; 1 is the voice's own pace."),
        "format": click.option("-f", "--format", help="wav, flac, mp3 or opus."),
        "sample_rate_hz": click.option("--sample-rate", "sample_rate_hz", type=int, help="In Hz."),
        "seed": click.option("--seed", type=int, help="Same seed, same audio."),
        "temperature": click.option("--temperature", type=float),
        "top_k": click.option("--top-k", type=int),
        "top_p": click.option("--top-p", type=float),
        "repetition_penalty": click.option("--repetition-penalty", type=float),
        "length_penalty": click.option("--length-penalty", type=float),
        "priority": click.option("--priority", type=click.Choice(priorities)),
    }

    @functools.wraps(function)
    def wired(*given: Any, **rest: Any) -> Any:
        said = {name: rest.pop(name) for name in options}
        fields = {name: value for name, value in said.items() if value is not None}
        return function(*given, fields=fields, **rest)

    for option in reversed(options.values()):
        wired = option(wired)
    return wired


def submit_options(function: Command) -> Command:
    """Call `function(..., idempotency_key=..., require_worker=...)`."""
    key = click.option("--idempotency-key", help="The same key again returns the same job.")
    need = click.option("--require-worker", is_flag=True, help="Refuse if no worker listens.")
    return key(need(function))


def _read(source: BinaryIO) -> str:
    try:
        return source.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidJob("text", f"is not UTF-8 at byte {error.start}") from error


def _checked(what: str, *forms: re.Pattern[str]) -> Callable[[Any, Any, Any], Any]:
    def check(
        context: click.Context, parameter: click.Parameter, given: str | tuple[str, ...] | None
    ) -> str | tuple[str, ...] | None:
        for value in (given,) if isinstance(given, str) else given or ():
            if not any(form.fullmatch(value) for form in forms):
                problem = f"{value!r} is no {what} of the digits 0-9 and a-f"
                raise click.BadParameter(problem, context, parameter)
        return given

    return check


_checked_ids = _checked("job id: 32", _JOB_ID)
_checked_batches = _checked("batch id: 24", _BATCH_ID)
_checked_either = _checked("id: 32 (a job) or 24 (a batch)", _JOB_ID, _BATCH_ID)
