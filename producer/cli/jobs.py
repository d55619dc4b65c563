"""`status`, `wait`, `fetch`, `cancel` and `retry`: what has become of a job, by its id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from ..errors import InvalidJob, JobNotFound
from .batch_waiting import tell_batch, wait_for_batch
from .delivery import Delivery, delivery_options
from .exit_codes import ExitCode
from .options import any_id, any_ids, farm_command, is_batch, job_ids
from .output import Output
from .records import facts_of, failure_of, lines_of
from .waiting import Wait, somebody_listens, wait_options

if TYPE_CHECKING:
    from ..batch.handle import Batch
    from ..client import Job, VoiceFarm


@click.command()
@farm_command
@any_id(metavar="[ID]", required=False)
def status(farm: VoiceFarm, output: Output, *, job_id: str | None) -> None:
    """Tell how the farm is, or the job or batch ID."""
    if job_id is None:
        _farm_status(farm, output)
        return
    if is_batch(job_id):
        tell_batch(farm.batch_of(job_id), output)
        return
    row = farm.job(job_id).row()
    queues = [row.job.queue] if row.job else []
    listening = row.state.is_final or somebody_listens(farm, *queues)
    output.data(facts_of(row, farm.volumes), "\n".join(lines_of(row, listening)))


def _farm_status(farm: VoiceFarm, output: Output) -> None:
    counts = {state.value: count for state, count in farm.counts().items()}
    workers = {node: facts.get("state", "") for node, facts in farm.workers().items()}
    lines = [f"{state:<15} {count:>7,}" for state, count in counts.items()]
    told = ", ".join(f"{node} ({state})" for node, state in sorted(workers.items()))
    lines.append("workers         " + (told or "none is listening; `voicefarm up` starts one"))
    output.data({"jobs": counts, "workers": workers}, "\n".join(lines))


@click.command()
@farm_command
@wait_options
@any_ids(metavar="ID...", required=True)
def wait(farm: VoiceFarm, output: Output, *, wait: Wait, job_ids: Sequence[str]) -> ExitCode:
    """Wait until jobs, or batches, have ended.

    Prints each id with its last state as it ends; 1 if one of them has no audio.
    """
    codes = [wait_for_batch(farm.batch_of(given), wait) for given in job_ids if is_batch(given)]
    code = _wait_for_jobs(farm, output, wait, [given for given in job_ids if not is_batch(given)])
    return max([*codes, code])


def _wait_for_jobs(farm: VoiceFarm, output: Output, wait: Wait, job_ids: Sequence[str]) -> ExitCode:
    failed = False

    def tell(job: Job) -> None:
        nonlocal failed
        row = job.row()
        output.data(facts_of(row, farm.volumes), f"{row.id} {row.state.value}")
        if failure := failure_of(row):
            failed = True
            output.error(str(failure))

    known = []
    for job in map(farm.job, dict.fromkeys(job_ids)):
        try:
            job.row()
            known.append(job)
        except JobNotFound as error:
            failed = True
            output.error(str(error))
    code = wait.until_ended(known, tell)
    return code or (ExitCode.FAILED if failed else ExitCode.GOOD)


@click.command()
@farm_command
@delivery_options
@wait_options
@any_id(metavar="ID")
def fetch(
    farm: VoiceFarm, output: Output, *, delivery: Delivery, wait: Wait, job_id: str
) -> ExitCode:
    """Print the path of a job's audio, or of the book that was asked for with a batch.

    Waits only as long as --timeout says.
    """
    patience = replace(wait, timeout_s=wait.timeout_s or 0.0)
    job = farm.batch_of(job_id).book if is_batch(job_id) else farm.job(job_id)
    return patience.until_ended([job], delivery.hand_over)


@click.command()
@farm_command
@any_ids(metavar="ID...", required=True)
def cancel(farm: VoiceFarm, output: Output, *, job_ids: Sequence[str]) -> ExitCode:
    """End jobs, or what has not begun of batches.

    A waiting one ends at once, a running one as soon as it can leave its batch.
    """
    given = dict.fromkeys(job_ids)
    batches = [farm.batch_of(one) for one in given if is_batch(one)]
    ended = [_cancel_batch(made, output) for made in batches]
    ended += [_cancel_job(farm.job(one), output) for one in given if not is_batch(one)]
    return ExitCode.GOOD if all(ended) else ExitCode.FAILED


def _cancel_batch(batch: Batch, output: Output) -> bool:
    if not batch.cancel():
        output.error(f"batch {batch.id} has already ended")
        return False
    output.data({"id": batch.id, "state": "cancelling"}, f"{batch.id} cancelling")
    return True


def _cancel_job(job: Job, output: Output) -> bool:
    try:
        taken = job.cancel()
        state = job.status
    except JobNotFound as error:
        output.error(str(error))
        return False
    if not taken:
        output.error(f"job {job.id} has already ended ({state.value})")
        return False
    told = state.value if state.is_final else "cancelling"
    output.data({"id": job.id, "state": told}, f"{job.id} {told}")
    return True


@click.command()
@farm_command
@job_ids(metavar="ID...", required=True)
def retry(farm: VoiceFarm, output: Output, *, job_ids: Sequence[str]) -> ExitCode:
    """Queue failed jobs again, as they were asked for.

    Poison is freed too: find out first what it did to its workers.
    """
    code = ExitCode.GOOD
    for job in map(farm.job, dict.fromkeys(job_ids)):
        try:
            taken = job.retry()
            problem = f"job {job.id} has not failed ({job.status.value})"
        except (JobNotFound, InvalidJob) as error:
            taken, problem = False, str(error)
        if taken:
            output.data({"id": job.id, "state": "queued"}, f"{job.id} queued")
        else:
            code = ExitCode.FAILED
            output.error(problem)
    return code
