"""`voicefarm up`: the farm of one machine, from the broker to the end of the last process."""

from __future__ import annotations

import importlib.util
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import click

from producer.broker import mask
from producer.child_process import child_environment, leashed
from producer.cli.exit_codes import ExitCode
from producer.client import VoiceFarm
from producer.embedded import EmbeddedBroker
from producer.volumes import Volumes

from .config import WorkerSettings
from .processes import POLL_S, Child, StopSignals, claim_log
from .readiness import Readiness

#: Where `tasks` and `worker` are found.
_CHECKOUT: Final = Path(__file__).resolve().parent.parent

#: How long a worker may load its models before `up` gives up on it.
READY_LIMIT_S: Final = 600.0

#: How long workers are given to answer when they are asked whether they are ready.
_ANSWER_S: Final = 0.25

#: What Flower shows of a job; its own choice has no text.
_FLOWER_COLUMNS: Final = "--tasks_columns=uuid,args,state,received,started,runtime,worker"

#: What a worker may take beyond its own limit for the jobs in hand, and Flower for anything.
_STOP_MARGIN_S: Final = 10.0

_LOCALHOST: Final = "127.0.0.1"
_FLOWER: Final = "flower"


class FarmFailed(click.ClickException):
    """A part of the farm did not start, or ended by itself."""


class LocalFarm:
    """A broker, a worker and Flower, started in this order and stopped in the other one."""

    def __init__(
        self, settings: WorkerSettings, signals: StopSignals, tell: Callable[[str], None]
    ) -> None:
        self._settings = settings
        self._signals = signals
        self._tell = tell
        self._volumes = Volumes(settings.home)
        self._broker = EmbeddedBroker(settings.home)
        self._url = ""
        self._children: list[Child] = []

    def start(self, flower_port: int | None) -> bool:
        """Start everything; True once the worker is ready, False if told to stop meanwhile."""
        if flower_port is not None:
            _check_flower(flower_port)
        self._volumes.make()
        self._start_broker()
        ready = self._wait_until_ready(self._start_worker())
        if ready and flower_port is not None:
            # Not before: Flower asks the workers once, when it starts.
            self._start_flower(flower_port)
        return ready

    def watch(self) -> ExitCode:
        """Stay until told to stop; raise `FarmFailed` if a part ends by itself."""
        while not self._signals.count:
            self._check()
            time.sleep(POLL_S)
        return ExitCode.GOOD

    def run(self, command: Sequence[str], directory: Path) -> int:
        """Run `command` beside the farm and return its exit code.

        Ctrl-C reaches it from the terminal, as it would without us; SIGTERM is passed on. A
        second signal kills it.
        """
        process = subprocess.Popen(
            leashed(*command, at_death=signal.SIGTERM),
            cwd=directory,
            env=self._environment(),
        )
        heard = 0
        try:
            while process.poll() is None:
                self._check()
                if self._signals.count > heard:
                    heard = self._signals.count
                    _pass_on(process, self._signals.last, again=heard > 1)
                time.sleep(POLL_S)
        finally:
            _end(process)
        return process.returncode if process.returncode >= 0 else 128 - process.returncode

    def stop(self) -> bool:
        """End everything, the jobs in hand first; True if a further signal cut that short."""
        heard = self._signals.count

        def hurried() -> bool:
            return self._signals.count > heard

        for child in reversed(self._children):
            child.terminate()
        for child in reversed(self._children):
            child.wait(self._settings.drain_s + _STOP_MARGIN_S, hurried)
        self._broker.stop()
        return hurried()

    def _start_broker(self) -> None:
        set_url = self._settings.broker_url
        if set_url is not None:
            self._url = set_url.get_secret_value()
            with VoiceFarm(self._url, home=self._settings.home) as farm:
                farm.counts()
            self._tell(f"broker {mask(self._url)}")
            return
        self._url = self._broker.start()
        whose = "started" if self._broker.owned else "was running already"
        self._tell(f"broker {mask(self._url)} {whose}, its queue is in {self._settings.home}")

    def _start_worker(self) -> Child:
        node, log = claim_log(self._volumes.logs, "cpu", socket.gethostname())
        flags = ["-n", node, "-E", "--without-gossip", "--without-mingle", "--loglevel=INFO"]
        return self._start_child(node, ["worker", *flags], log)

    def _start_flower(self, port: int) -> None:
        password = secrets.token_urlsafe(16)
        flags = [f"--address={_LOCALHOST}", f"--port={port}", "--read_only=True", _FLOWER_COLUMNS]
        _, log = claim_log(self._volumes.logs, _FLOWER, socket.gethostname())
        # The password is not among the arguments: those can be seen by every user.
        self._start_child(_FLOWER, ["flower", *flags], log, FLOWER_BASIC_AUTH=f"farm:{password}")
        self._tell(f"flower http://{_LOCALHOST}:{port}, user farm, password {password}")

    def _start_child(
        self, name: str, arguments: Sequence[str], log: BinaryIO, **environment: str
    ) -> Child:
        with log:
            child = Child(
                name,
                [sys.executable, "-m", "celery", "-A", "tasks", *arguments],
                directory=_CHECKOUT,
                environment=self._environment(**environment),
                log=log,
            )
        self._children.append(child)
        self._tell(f"{name} started, its log is {child.log}")
        return child

    def _environment(self, **more: str) -> dict[str, str]:
        home = str(self._settings.home)
        return child_environment(VOICEFARM_HOME=home, VOICEFARM_BROKER_URL=self._url, **more)

    def _wait_until_ready(self, worker: Child) -> bool:
        deadline_s = time.monotonic() + READY_LIMIT_S
        told = ""
        with VoiceFarm(self._url, home=self._settings.home) as farm:
            while not self._signals.count:
                self._check()
                facts = farm.workers(_ANSWER_S).get(worker.name, {})
                state = facts.get("state", told)
                if state != told:
                    told = state
                    self._tell(f"{worker.name} is {_described(facts)}")
                if state == Readiness.READY:
                    return True
                if state == Readiness.BROKEN or time.monotonic() > deadline_s:
                    raise FarmFailed(f"{worker.name} is not ready; see {worker.log}")
        return False

    def _check(self) -> None:
        """Raise `FarmFailed` if the broker or the worker has ended. Flower may be missed."""
        if self._broker.owned and not self._broker.alive:
            raise FarmFailed(f"the broker has ended; see {self._volumes.logs / 'broker.log'}")
        for child in [child for child in self._children if not child.alive]:
            if child.name != _FLOWER:
                raise FarmFailed(child.ending())
            self._tell(child.ending())
            self._children.remove(child)


def up(
    settings: WorkerSettings,
    *,
    flower_port: int | None,
    command: Sequence[str],
    directory: Path,
    tell: Callable[[str], None],
) -> int:
    """Run a farm until a signal, or until `command` has ended; return the exit code.

    When this returns or raises, none of the processes is left.
    """
    with StopSignals() as signals:
        farm = LocalFarm(settings, signals, tell)
        try:
            code = _life(farm, flower_port, command, directory, tell)
        finally:
            if signals.count:
                tell("stopping: the jobs in hand finish first, another Ctrl-C ends them")
            cut_short = farm.stop()
    return ExitCode.INTERRUPTED if cut_short and not command else code


def _life(
    farm: LocalFarm,
    flower_port: int | None,
    command: Sequence[str],
    directory: Path,
    tell: Callable[[str], None],
) -> int:
    if not farm.start(flower_port):
        return ExitCode.INTERRUPTED
    if command:
        return farm.run(command, directory)
    tell('the farm is ready: `voicefarm say "Hello"` speaks, Ctrl-C stops')
    return farm.watch()


def _check_flower(port: int) -> None:
    if importlib.util.find_spec("flower") is None:
        raise FarmFailed("Flower is not installed: pip install 'voicefarm[monitor]'")
    with socket.socket() as probe:
        if probe.connect_ex((_LOCALHOST, port)) == 0:
            raise FarmFailed(f"port {port} is in use; --flower-port names another")


def _described(facts: Mapping[str, Any]) -> str:
    engine = f"{facts.get('engine')} {facts.get('revision')} on {facts.get('device')}"
    detail = engine if facts["state"] == Readiness.READY else facts.get("detail", "")
    return f"{facts['state']}, {detail}" if detail else str(facts["state"])


def _pass_on(process: subprocess.Popen[bytes], number: signal.Signals, *, again: bool) -> None:
    if again:
        process.kill()
    elif number != signal.SIGINT:  # that one the terminal has sent to both of us
        process.send_signal(number)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a command that is still running because its farm has failed."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_MARGIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
