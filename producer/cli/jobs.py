"""`status`, `wait`, `fetch`, `cancel` and `retry`: what has become of a job, by its id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from ..errors import InvalidJob, JobNotFound
from .delivery import Delivery, delivery_options
from .exit_codes import ExitCode
from .options import farm_command, job_id, job_ids
from .output import Output
from .records import facts_of, failure_of, lines_of
from .waiting import Wait, wait_options

if TYPE_CHECKING:
    from ..client import Job, VoiceFarm


@click.command()
@farm_command
@job_id(metavar="[ID]", required=False)
def status(farm: VoiceFarm, output: Output, *, job_id: str | None) -> None:
    """Tell how the farm is, or the job ID."""
    if job_id is None:
        _farm_status(farm, output)
        return
    row = farm.job(job_id).row()
    listening = row.state.is_final or bool(farm.workers())
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
@job_ids(metavar="ID...", required=True)
def wait(farm: VoiceFarm, output: Output, *, wait: Wait, job_ids: Sequence[str]) -> ExitCode:
    """Wait until jobs have ended.

    Prints each id with its last state as it ends; 1 if one of them has no audio.
    """
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
@job_id(metavar="ID")
def fetch(
    farm: VoiceFarm, output: Output, *, delivery: Delivery, wait: Wait, job_id: str
) -> ExitCode:
    """Print the path of a job's audio. Waits only as long as --timeout says."""
    patience = replace(wait, timeout_s=wait.timeout_s or 0.0)
    return patience.until_ended([farm.job(job_id)], delivery.hand_over)


@click.command()
@farm_command
@job_ids(metavar="ID...", required=True)
def cancel(farm: VoiceFarm, output: Output, *, job_ids: Sequence[str]) -> ExitCode:
    """End jobs.

    A waiting one ends at once, a running one as soon as it can leave its batch.
    """
    code = ExitCode.GOOD
    for job in map(farm.job, dict.fromkeys(job_ids)):
        try:
            taken = job.cancel()
            state = job.status
        except JobNotFound as error:
            taken, problem = False, str(error)
        else:
            problem = f"job {job.id} has already ended ({state.value})"
        if taken:
            told = state.value if state.is_final else "cancelling"
            output.data({"id": job.id, "state": told}, f"{job.id} {told}")
        else:
            code = ExitCode.FAILED
            output.error(problem)
    return code


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
