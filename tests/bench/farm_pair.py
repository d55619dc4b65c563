"""What is measured of two workers: the rate, a death in the middle, and their number by need."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any, Final

from producer import JobState
from producer.queues import QUEUE_OF

from .farm_passage import figures, rows_of, settle, wait_for_all
from .farm_sections import LIMIT_S, Scene
from .farm_texts import jobs
from .farm_up import FarmUp

#: So long has one worker to do while the second one loads, and so long both may take. [s]
LOADS_S: Final = 40.0
GROWTH_S: Final = 80.0

#: For a worker to hear of it, and for a killed one to be replaced. [s]
_HEARD_S: Final = 1.0
_REPLACED_S: Final = 30.0


def pinned(scene: Scene, up: FarmUp) -> bool:
    """Each worker has a GPU of its own, as its heartbeat and `gpu_ready` say."""
    answers = up.farm.workers(2.0)
    uuids = {node: (facts.get("gpu") or {}).get("uuid") for node, facts in answers.items()}
    scene.add("pinned", {"gpus": uuids})
    return scene.device == "cpu" or len(set(uuids.values()) - {None}) == len(uuids)


def alone(up: FarmUp) -> bool:
    """Have all workers but one take nothing any more, so that it is as if there was one."""
    first, *others = sorted(up.ready())
    for queue in QUEUE_OF.values():
        for node in others:
            up.farm.broker.celery.control.cancel_consumer(queue, destination=[node])
    time.sleep(_HEARD_S)
    print(f"   {first} alone takes jobs, {others} take none", flush=True)
    return True


def together(up: FarmUp) -> bool:
    """Have all workers take jobs again."""
    for queue in QUEUE_OF.values():
        up.farm.broker.celery.control.add_consumer(queue, destination=sorted(up.ready()))
    time.sleep(_HEARD_S)
    print(f"   {sorted(up.ready())} take jobs", flush=True)
    return True


def death(scene: Scene, up: FarmUp) -> float:
    """Kill a worker in the middle of a passage: what it held runs again, once."""
    farm, count = up.farm, 3 * scene.options.jobs // 2
    together(up)
    handles = farm.submit_many(jobs(range(4 * 10**6, 4 * 10**6 + count), up.voices()))
    _until(lambda: farm.counts()[JobState.DONE] > count // 4, LIMIT_S)
    node, facts = next(iter(up.ready().items()))
    os.kill(facts["pid"], signal.SIGKILL)
    killed_s = time.time()
    wait_for_all(farm, LIMIT_S)
    again = [row for row in rows_of(farm, [job.id for job in handles]) if row.attempts > 1]
    twice = sum(row.times[JobState.DONE] < killed_s for row in again)
    again_s = max((row.times[JobState.RUNNING] - killed_s for row in again), default=0.0)
    found = figures(farm, handles)
    told = {"killed": node, "twice": twice, "again_s": round(again_s, 2)}
    scene.add("kill -9 of one of two", {**found, **told})
    good = bool(again) and not (twice or found["flaws"] or found["lost"])
    print(f"   {'nothing lost, nothing twice' if good else 'NOT GOOD'}", flush=True)
    deadline_s = time.monotonic() + _REPLACED_S * scene.options.patience
    while len(up.ready()) < 2 and time.monotonic() < deadline_s:
        time.sleep(0.1)
    print(f"   {sorted(up.ready())} are ready {time.time() - killed_s:.1f} s later", flush=True)
    return again_s


def growth(scene: Scene, up: FarmUp, most: int) -> bool:
    """From no worker to `most` by the backlog; then what waits is cancelled."""
    wanted = round(scene.options.expected_x / scene.mean_s * LOADS_S)
    # Nobody has told yet which voices there are.
    handles = up.farm.submit_many(jobs(range(5 * 10**6, 5 * 10**6 + wanted), [scene.voice]))
    seen = _counted(up, most, scene.options.patience)
    settle(up.farm)
    scene.add("workers by backlog", {"seen": seen, "jobs": len(handles)})
    return seen[-1][1] == most


def retreat(scene: Scene, up: FarmUp) -> bool:
    """Back to no worker, as nothing waits any more."""
    seen = _counted(up, 0, scene.options.patience)
    scene.add("workers without backlog", {"seen": seen})
    return seen[-1][1] == 0


def _counted(up: FarmUp, until: int, patience: float) -> list[tuple[float, int]]:
    """Return how many workers were ready and when, until there are so many."""
    seen: list[tuple[float, int]] = []
    begun_s = time.monotonic()
    while not seen or (seen[-1][1] != until and time.monotonic() - begun_s < GROWTH_S * patience):
        living = len(up.ready())
        if not seen or seen[-1][1] != living:
            seen.append((round(time.monotonic() - begun_s, 1), living))
            print(f"   after {seen[-1][0]} s: {living} workers", flush=True)
        time.sleep(0.2)
    return seen


def _until(condition: Callable[[], Any], limit_s: float) -> None:
    deadline_s = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"not within {limit_s:.0f} s")
        time.sleep(0.05)
