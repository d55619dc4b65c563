"""A machine on which `up` starts processes that only play their parts."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

import pytest

from worker import supervisor as supervisor_module
from worker import up as up_module
from worker.config import WorkerSettings
from worker.farm_plan import FarmPlan
from worker.up import up

URL = "redis://:secret@127.0.0.1:1/0"

#: Stands in for `python -m celery`: notes how it was called and plays its part until SIGTERM.
PLAYER = """
import json, os, signal, sys, time
name = sys.argv[3]
part = json.load(open("parts.json")).get(name, "")
if part == "dies":
    print("no engine today", flush=True)
    sys.exit(70)
def end(number, frame):
    if part == "stubborn":
        os.kill(os.getppid(), signal.SIGINT)  # the person loses patience
    if part in ("stubborn", "deaf"):
        return
    open(name + ".ended", "w").close()
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
seen = {"arguments": sys.argv[1:], "environment": dict(os.environ), "pid": os.getpid()}
with open(name + ".new", "w") as file:
    json.dump(seen, file)
os.rename(name + ".new", name + ".json")
while True:
    time.sleep(0.02)
"""


class FakeBroker:
    """Is there at once; notes who was still alive when it was stopped."""

    def __init__(self, home: Path) -> None:
        self.owned = self.alive = False
        self.worker_had_ended: bool | None = None
        FakeBroker.last = self

    def start(self) -> str:
        self.owned = self.alive = True
        return URL

    def stop(self) -> None:
        self.worker_had_ended = Path("worker.ended").exists()
        self.owned = self.alive = False


class FakeView:
    """Finds the worker in the state that is set, once it has started."""

    state = "ready"

    def __init__(self, url: str) -> None:
        assert url == URL
        self.buried: list[str] = []
        FakeView.last = self

    def workers(self):
        try:
            pid = json.loads(Path("worker.json").read_text())["pid"]
        except FileNotFoundError:
            return {}
        node = f"cpu0@{socket.gethostname()}"
        facts = {"state": self.state, "engine": "fake", "revision": "1", "device": "cpu"}
        return {node: {"pid": pid, **facts}}

    def backlog(self):
        return None

    def bury(self, node):
        self.buried.append(node)
        return 0

    def record(self, decision):
        pass

    def tell(self, host, facts):
        pass

    def leave(self, host):
        pass

    def close(self):
        pass


class Machine:
    """A directory in which `up` finds its checkout, and all that was told."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.settings = WorkerSettings.load(home=directory / "home")
        self.told: list[str] = []
        self.cast()
        (directory / "celery.py").write_text(PLAYER)

    def cast(self, **parts: str) -> None:
        (self.directory / "parts.json").write_text(json.dumps(parts))

    def up(self, *command: str, flower_port: int | None = None) -> int:
        plan = FarmPlan(flower_port=flower_port, command=command, directory=self.directory)
        return up(self.settings, plan, tell=self._tell)

    def seen(self, name: str) -> dict:
        return json.loads((self.directory / f"{name}.json").read_text())

    def hear(self, line: str) -> None:
        if line.startswith("the farm is ready"):
            os.kill(os.getpid(), signal.SIGINT)

    def _tell(self, line: str) -> None:
        self.told.append(line)
        self.hear(line)


def staged(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Return a machine whose `up` plays with puppets."""
    monkeypatch.chdir(directory)
    monkeypatch.setattr(up_module, "_CHECKOUT", directory)
    monkeypatch.setattr(up_module, "EmbeddedBroker", FakeBroker)
    monkeypatch.setattr(up_module, "FarmView", FakeView)
    monkeypatch.setattr(supervisor_module, "LOOK_S", 0.05)
    return Machine(directory)


def is_running(pid: int) -> bool:
    """True for a process that is neither gone nor a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
