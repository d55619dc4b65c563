"""How a worker comes up and goes down, as steps of Celery's own consumer.

start -> load -> warm up -> announce -> take work. The models load in the engine's thread or
process while the worker already answers inspect; nothing is taken before `ready`.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from celery import Celery, bootsteps, signals
from celery.utils.log import get_logger
from celery.worker import state as celery_state
from celery.worker import strategy
from celery.worker.consumer.tasks import Tasks

from producer.queues import ASSEMBLE, SYNTHESIZE
from producer.state import JobState

from .broker_check import check_broker
from .engine.affinity import pin, unpin
from .engine.allocator import give_back_freed
from .engine_choice import computes_here
from .pulse import BEAT_S
from .remote_control import restrict
from .station import Station

logger = get_logger(__name__)

#: The worker's exit code when its engine cannot be loaded (EX_SOFTWARE of sysexits.h).
EXIT_BROKEN = 70


class EngineStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Starts the engine behind a running consumer, and keeps the consumer's gate."""

    requires = (Tasks,)
    label = "Engine"

    def start(self, consumer: Any) -> None:
        """Open this connection's channel; load the engine if this is the first one."""
        station = Station.current()
        consumer.task_consumer.channel.open(
            station.admission, station.strangers, station.leases, consumer.tell_cancelled
        )
        # A thread of the engine calls this; kombu's hub wakes up for it.
        station.on_room = consumer.wake
        station.on_broken = _stop_worker
        station.on_hurry = consumer.pool.hurry
        queues = [queue.name for queue in consumer.task_consumer.queues]
        station.start(consumer.hostname, queues)
        # The connection's own timer: it ends with it.
        consumer.timer.call_repeatedly(BEAT_S, station.pulse.beat)

    def stop(self, consumer: Any) -> None:
        """Take nothing, and expect nothing of the loop, until there is a connection again."""
        Station.current().pulse.rest()
        if consumer.task_consumer is not None:
            consumer.task_consumer.channel.shut()

    def shutdown(self, consumer: Any) -> None:
        """Close all when the worker has drained, or stopped at once."""
        Station.current().close()
        # After SIGHUP Celery makes a new worker of this process.
        unpin()

    def info(self, consumer: Any) -> dict[str, Any]:
        """Put the readiness into `inspect stats`, which is all that Flower reads."""
        return {"voicefarm": Station.current().facts()}


def install(app: Celery) -> None:
    """Add our steps and signal handlers to the worker's app."""
    app.steps["consumer"].add(EngineStep)
    signals.after_setup_logger.connect(_tell_ends_alone, weak=False)
    signals.celeryd_after_setup.connect(give_back_freed, weak=False)
    signals.celeryd_after_setup.connect(check_broker, weak=False)
    signals.celeryd_after_setup.connect(restrict, weak=False)
    signals.celeryd_after_setup.connect(_pin, weak=False)
    signals.worker_shutting_down.connect(_drain, weak=False)
    signals.task_revoked.connect(_file_as_cancelled, weak=False)


def _tell_ends_alone(loglevel: int, **_: Any) -> None:
    """Leave out Celery's line about each message that came: one at each job's end is enough."""
    if loglevel >= logging.INFO:
        logging.getLogger(strategy.__name__).setLevel(logging.WARNING)


def _pin(sender: str, **_: Any) -> None:
    """Keep the threads of jobs to one processor, unless networks compute among them."""
    settings = Station.current().settings
    if settings.pinned and not computes_here(settings):
        processor = pin(sender, Station.current().volumes.temp)
        if processor is None:
            logger.info("the Celery process uses every processor: none is left for it alone")
        else:
            logger.info("the Celery process keeps to processor %d", processor)


def _stop_worker(detail: str) -> None:
    logger.critical("the engine cannot be loaded: %s", detail)
    celery_state.should_stop = EXIT_BROKEN


def _drain(**_: Any) -> None:
    Station.current().drain()


def _file_as_cancelled(request: Any, **_: Any) -> None:
    """A job revoked from Flower or Celery's own command line is cancelled in the ledger too."""
    if request.name in (SYNTHESIZE, ASSEMBLE):
        Station.current().ledger.change(request.id, JobState.CANCELLED, time.time())
