"""A farm as users start it: one `voicefarm up`, its workers, and a client of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from producer import VoiceFarm
from producer.child_process import child_environment, leashed
from producer.embedded import EmbeddedBroker
from worker.config import WorkerSettings

CHECKOUT: Final = Path(__file__).parents[2]

#: How long a farm may take until a worker is ready: kernels are compiled. [s]
READY_S: Final = 400.0

#: How long it may take to end. [s]
END_S: Final = 60.0


class FarmUp:
    """As a context manager: ready inside, gone behind. Its home keeps models and files."""

    def __init__(self, home: Path, *flags: str, settings: Mapping[str, str], workers: int) -> None:
        """`settings` are variables without their prefix; `workers` are waited for, all of them."""
        self.home = home
        self._log = home / "up.log"
        self._workers = workers
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                leashed(sys.executable, "-m", "producer", "up", *flags, at_death=signal.SIGTERM),
                cwd=CHECKOUT,
                env=farm_environment(home, settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        begun_s = time.monotonic()
        try:
            self._wait(lambda: EmbeddedBroker.find_url(self.home) is not None, begun_s)
            self.farm = VoiceFarm(EmbeddedBroker.find_url(self.home), home=self.home)
            self._wait(lambda: "the farm is ready" in self._log.read_text(), begun_s)
            self._wait(lambda: len(self.ready()) >= self._workers, begun_s)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        self.ready_s = time.monotonic() - begun_s
        for node, facts in self.ready().items():
            uuid = (facts.get("gpu") or {}).get("uuid", "none")
            print(f"   {node}: ready, pid {facts['pid']}, GPU {uuid}", flush=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if kind is not None:
            print(self.tail(), flush=True)

    def heartbeats(self) -> dict[str, Mapping[str, Any]]:
        """Return what each worker said of itself last."""
        return dict(self.farm.overview().workers)

    def ready(self) -> dict[str, Mapping[str, Any]]:
        """Return the heartbeats of the workers that take jobs."""
        return {n: facts for n, facts in self.heartbeats().items() if facts["state"] == "ready"}

    def voices(self) -> list[str]:
        """Return the names of the voices that speak."""
        return [voice.name for offer in self.farm.voices().offers for voice in offer.voices]

    def targets(self) -> list[str]:
        """Return the names of the RVC voices."""
        return [voice.name for offer in self.farm.voices().offers for voice in offer.targets]

    def tail(self) -> str:
        """Return the ends of its logs."""
        logs = [self._log, *sorted((self.home / "logs").glob("*@*.log"))]
        return "\n".join(f"-- {log.name}\n{_end_of(log)}" for log in logs)

    def _wait(self, condition: Any, begun_s: float) -> None:
        while not condition():
            if self._process.poll() is not None:
                raise RuntimeError(f"up ended with {self._process.returncode}:\n{self.tail()}")
            if time.monotonic() - begun_s > READY_S:
                raise TimeoutError(f"no farm after {READY_S} s:\n{self.tail()}")
            time.sleep(0.2)


def farm_environment(home: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a farm at `home`: no setting but these is its own."""
    none: dict[str, str | None] = {
        f"VOICEFARM_{name.upper()}": None for name in WorkerSettings.model_fields
    }
    own = {f"VOICEFARM_{name.upper()}": value for name, value in settings.items()}
    path = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH", "")]))
    return child_environment(**{**none, **own, "VOICEFARM_HOME": str(home), "PYTHONPATH": path})


def lines_of(command: list[str], environment: Mapping[str, str], limit_s: float) -> list[Any]:
    """Run a command of this checkout; return its lines of JSON, and print all else it says."""
    with subprocess.Popen(
        leashed(*command),
        cwd=CHECKOUT,
        env=dict(environment),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        found = []
        timer = time.monotonic()
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                found.append(json.loads(line))
            else:
                print(f"   {line.rstrip()}", flush=True)
            if time.monotonic() - timer > limit_s:
                process.kill()
    if process.returncode and not found:
        raise RuntimeError(f"{command[2]} ended with {process.returncode}")
    return found


def _end_of(log: Path, lines: int = 25) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
