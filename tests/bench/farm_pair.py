"""What is measured of two workers: the rate, a death in the middle, and their number by need."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any, Final

from producer import JobState

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


def death(scene: Scene, up: FarmUp) -> float:
    """Kill a worker in the middle of a passage: what it held runs again, once."""
    farm, count = up.farm, scene.options.jobs
    handles = farm.submit_many(jobs(range(4 * 10**6, 4 * 10**6 + count), up.voices()))
    ids = [job.id for job in handles]
    _until(lambda: farm.counts()[JobState.DONE] > count // 4, LIMIT_S)
    node, facts = next(iter(up.ready().items()))
    os.kill(facts["pid"], signal.SIGKILL)
    killed_s = time.time()
    held = [
        row.id
        for row in rows_of(farm, ids)
        if row.node == node and row.state in (JobState.RUNNING, JobState.QUEUED)
    ]
    states = ("running", "done")

    def all_again() -> bool:
        return all(r.attempts > 1 and r.state in states for r in rows_of(farm, held))

    _until(all_again, LIMIT_S)
    again_s = time.time() - killed_s
    wait_for_all(farm, LIMIT_S)
    found = figures(farm, handles)
    told = {"held": len(held), "again_s": round(again_s, 2)}
    scene.add("kill -9 of one of two", {**found, **told})
    good = found["again"] <= len(held) and not (found["flaws"] or found["lost"])
    print(f"   {'nothing lost, nothing twice' if good else 'NOT GOOD'}", flush=True)
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
