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

#: So long has one worker to do while the second one loads. [s]
LOADS_S: Final = 120.0


def pinned(scene: Scene, up: FarmUp) -> bool:
    """Each worker has a GPU of its own, as its heartbeat and `gpu_ready` say."""
    answers = up.farm.workers(2.0)
    uuids = {node: (facts.get("gpu") or {}).get("uuid") for node, facts in answers.items()}
    scene.add("pinned", {"gpus": uuids})
    return scene.device == "cpu" or len(set(uuids.values()) - {None}) == len(uuids)


def alone(up: FarmUp) -> bool:
    """Have all workers but one take nothing any more, so that it is as if there was one."""
    nodes = sorted(up.ready())
    for queue in QUEUE_OF.values():
        for node in nodes[1:]:
            up.farm.broker.celery.control.cancel_consumer(queue, destination=[node])
    time.sleep(1.0)
    print(f"   {nodes[:1]} alone takes jobs, {nodes[1:]} take none", flush=True)
    return bool(nodes)


def death(scene: Scene, up: FarmUp) -> float:
    """Kill a worker in the middle of a passage: what it held runs again, once."""
    farm, count = up.farm, 3 * scene.options.jobs // 2
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
    _until(lambda: len(up.ready()) > 1, LIMIT_S)
    return again_s


def by_need(scene: Scene, up: FarmUp, most: int) -> bool:
    """From no worker to `most` by the backlog, and back."""
    seen: list[tuple[float, int]] = []
    begun_s = time.monotonic()

    def count() -> int:
        living = len(up.ready())
        if not seen or seen[-1][1] != living:
            seen.append((round(time.monotonic() - begun_s, 1), living))
            print(f"   after {seen[-1][0]} s: {living} workers", flush=True)
        return living

    count()
    wanted = round(scene.options.expected_x / 6 * LOADS_S)
    handles = up.farm.submit_many(jobs(range(5 * 10**6, 5 * 10**6 + wanted), up.voices()))
    _until(lambda: count() >= most, LIMIT_S)
    settle(up.farm)
    _until(lambda: count() == 0, LIMIT_S)
    scene.add("workers by backlog", {"seen": seen, "jobs": len(handles)})
    return max(living for _, living in seen) == most


def _until(condition: Callable[[], Any], limit_s: float) -> None:
    deadline_s = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"not within {limit_s:.0f} s")
        time.sleep(0.05)
