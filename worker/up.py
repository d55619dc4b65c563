"""`voicefarm up`: the farm of one machine, from the broker to the end of the last process."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from producer.backlog import Backlog
from producer.broker_url import mask
from producer.child_process import child_environment
from producer.cli.exit_codes import ExitCode
from producer.client import VoiceFarm
from producer.embedded import EmbeddedBroker
from producer.volumes import Volumes

from .config import WorkerSettings
from .engine_choice import VISIBLE
from .errors import WorkerError
from .farm_failure import FarmFailed
from .farm_plan import PROCESSOR, FarmPlan, planned_gpus
from .farm_view import FarmView
from .flower import FLOWER, check_flower, flower_arguments, new_password
from .gpus import Gpu, gpu_source
from .http_door import LOOPBACK
from .posts import Post, make_posts
from .processes import POLL_S, Child, StopSignals, claim_log, numbered
from .scaling import Policy
from .side_command import SideCommand
from .staffing import Staffing
from .supervisor import STOP_MARGIN_S, Orders, Supervisor
from .vitals import Vitals

#: Where `tasks` and `worker` are found.
_CHECKOUT: Final = Path(__file__).resolve().parent.parent

#: Shows how the posts are, and what waits if that is known.
Show = Callable[[Sequence[Post], Backlog | None], None]


class LocalFarm:
    """A broker, workers and Flower, started in this order and stopped in the other one."""

    def __init__(
        self,
        settings: WorkerSettings,
        plan: FarmPlan,
        signals: StopSignals,
        tell: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._plan = plan
        self._signals = signals
        self._tell = tell
        self._volumes = Volumes(settings.home)
        self._broker = EmbeddedBroker(settings.home)
        self._url = ""
        self._supervisor: Supervisor | None = None
        self._flower: Child | None = None

    def start(self) -> bool:
        """Start everything; True once a worker is ready, False if told to stop meanwhile."""
        if self._plan.flower_port is not None:
            check_flower(self._plan.flower_port)
        gpus = planned_gpus(self._plan, self._settings, gpu_source(self._settings), self._tell)
        self._volumes.make()
        self._start_broker()
        self._supervisor = self._supervise(gpus)
        while not self._supervisor.is_ready and not self._signals.count:
            self._watch_over()
        if not self._signals.count and self._plan.flower_port is not None:
            # Not before: Flower asks the workers once, when it starts.
            self._flower = self._start_flower(self._plan.flower_port)
        return not self._signals.count

    def watch(self, show: Show) -> ExitCode:
        """Stay until told to stop; raise `FarmFailed` if a part ends for good."""
        while not self._signals.count:
            self._watch_over()
            if self._supervisor is not None:
                show(self._supervisor.posts, self._supervisor.backlog)
        return ExitCode.GOOD

    def run(self) -> int:
        """Run the plan's command beside the farm and return its exit code."""
        environment = self._environment()
        with SideCommand(self._plan.command, self._plan.directory, environment) as command:
            while (code := command.code) is None:
                self._watch_over()
                command.heed(self._signals)
            return code

    def stop(self) -> bool:
        """End everything, the jobs in hand first; True if a further signal cut that short."""
        heard = self._signals.count

        def hurried() -> bool:
            return self._signals.count > heard

        if self._flower is not None:
            self._flower.terminate()
        if self._supervisor is not None:
            self._supervisor.stop(hurried)
        if self._flower is not None:
            self._flower.wait(STOP_MARGIN_S, hurried)
        self._broker.stop()
        return hurried()

    def _watch_over(self) -> None:
        """See to every part once, and wait a moment. Flower may be missed."""
        if self._broker.owned and not self._broker.alive:
            raise FarmFailed(f"the broker has ended; see {self._volumes.logs / 'broker.log'}")
        if self._supervisor is not None:
            self._supervisor.tick()
        if self._flower is not None and not self._flower.alive:
            self._tell(self._flower.ending())
            self._flower = None
        time.sleep(POLL_S)

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

    def _supervise(self, gpus: Sequence[Gpu]) -> Supervisor:
        posts = make_posts(
            self._volumes.logs, socket.gethostname(), gpus, self._plan.workers_per_gpu
        )
        least, most = self._plan.bounds(len(posts))
        host = f"{socket.gethostname()}/{os.getpid()}"
        settings = self._settings
        policy = Policy(settings.scale_horizon_s, settings.scale_age_s, settings.scale_idle_s)
        view, vitals = FarmView(self._url), Vitals()
        vitals.start()
        return Supervisor(
            posts,
            Orders(host, least, most, settings.drain_s),
            start=self._start_worker,
            view=view,
            vitals=vitals,
            staffing=Staffing(view, policy, host),
            tell=self._tell,
        )

    def _start_worker(self, post: Post) -> Child:
        flags = ["-n", post.name, "-E", "--without-gossip", "--without-mingle", "--loglevel=INFO"]
        # Its door is asked whether it lives, so it needs one; two can not have the same.
        port = self._settings.http_port or 0
        environment = {"VOICEFARM_HTTP_PORT": str(port + post.number if port else 0)}
        if post.gpu is not None:
            # By its UUID: indexes mean something else once some GPUs are not seen.
            environment |= {VISIBLE: post.gpu.uuid, "VOICEFARM_GPU": post.gpu.uuid}
        elif self._plan.gpus == PROCESSOR:
            environment[VISIBLE] = ""
        return self._start_child(post.name, ["worker", *flags], post.log, **environment)

    def _start_flower(self, port: int) -> Child:
        password = new_password()
        _, log = claim_log(self._volumes.logs, numbered(FLOWER), socket.gethostname())
        with log:
            child = self._start_child(
                FLOWER, flower_arguments(port), log, FLOWER_BASIC_AUTH=f"farm:{password}"
            )
        self._tell(f"flower http://{LOOPBACK}:{port}, user farm, password {password}")
        return child

    def _start_child(
        self, name: str, arguments: Sequence[str], log: BinaryIO, **environment: str
    ) -> Child:
        child = Child(
            name,
            [sys.executable, "-m", "celery", "-A", "tasks", *arguments],
            directory=_CHECKOUT,
            environment=self._environment(**environment),
            log=log,
        )
        self._tell(f"{name} started, its log is {child.log}")
        return child

    def _environment(self, **more: str) -> dict[str, str]:
        home = str(self._settings.home)
        return child_environment(VOICEFARM_HOME=home, VOICEFARM_BROKER_URL=self._url, **more)


def up(
    settings: WorkerSettings,
    plan: FarmPlan,
    *,
    tell: Callable[[str], None],
    show: Show = lambda posts, backlog: None,
) -> int:
    """Run a farm until a signal, or until the plan's command has ended; return the exit code.

    When this returns or raises, none of the processes is left.
    """
    with StopSignals() as signals:
        farm = LocalFarm(settings, plan, signals, tell)
        try:
            code = _life(farm, plan, tell, show)
        except WorkerError as error:
            raise FarmFailed(str(error)) from error
        finally:
            if signals.count:
                tell("stopping: the jobs in hand finish first, another Ctrl-C ends them")
            cut_short = farm.stop()
    return ExitCode.INTERRUPTED if cut_short and not plan.command else code


def _life(farm: LocalFarm, plan: FarmPlan, tell: Callable[[str], None], show: Show) -> int:
    if not farm.start():
        return ExitCode.INTERRUPTED
    if plan.command:
        return farm.run()
    tell('the farm is ready: `voicefarm say "Hello"` speaks, Ctrl-C stops')
    return farm.watch(show)
