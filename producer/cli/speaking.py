"""`say` and `submit`: text goes in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..errors import NoWorker
from ..overview import is_served
from ..queues import QUEUE_OF, Priority
from ..text import paragraphs
from .converting import conversion_options
from .delivery import Delivery, delivery_options
from .exit_codes import ExitCode
from .options import farm_command, job_options, submit_options, text_options, usage_error
from .output import Output
from .waiting import Wait, wait_options

if TYPE_CHECKING:
    from ..client import VoiceFarm


@click.command(
    epilog='\b\nExamples:\n  voicefarm say "Hello" -o hello.mp3\n  date | voicefarm say - -l en-us'
)
@farm_command
@text_options
@delivery_options
@job_options
@conversion_options
@submit_options
@wait_options
def say(
    farm: VoiceFarm,
    output: Output,
    *,
    text: str,
    fields: dict[str, Any],
    delivery: Delivery,
    wait: Wait,
    **how: Any,
) -> ExitCode:
    """Speak TEXT (- is stdin) and print where the audio is."""
    if delivery.format is not None:
        fields.setdefault("format", delivery.format)
    job = farm.submit(text, **fields, **how)
    return wait.until_ended([job], delivery.hand_over)


@click.command(
    epilog="\b\nExamples:\n"
    '  id=$(voicefarm submit "Hello") && voicefarm wait $id && voicefarm fetch $id\n'
    "  voicefarm submit --pieces --text-file book.txt | xargs voicefarm wait"
)
@farm_command
@text_options
@job_options
@conversion_options
@submit_options
@click.option("--pieces", is_flag=True, help="Cut a book at its paragraphs; one job a piece.")
def submit(
    farm: VoiceFarm,
    output: Output,
    *,
    text: str,
    fields: dict[str, Any],
    pieces: bool,
    idempotency_key: str | None,
    require_worker: bool,
) -> None:
    """Queue TEXT (- is stdin) and print the id of its job."""
    if not pieces:
        jobs = [
            farm.submit(
                text, idempotency_key=idempotency_key, require_worker=require_worker, **fields
            )
        ]
    elif idempotency_key is not None:
        raise usage_error("--idempotency-key names one job, --pieces makes many")
    else:
        queue = QUEUE_OF[Priority(fields.get("priority", Priority.BATCH))]
        if require_worker and not is_served(farm.workers(), [queue]):
            raise NoWorker(queue)
        jobs = farm.submit_many(paragraphs(text), **fields)
    for job in jobs:
        output.data({"id": job.id}, job.id)
