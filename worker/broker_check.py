"""Before a worker starts: will its broker ever let it in, and keep what it is given?

A broker that is away may come back, and Celery connects again for as long as it takes. One
that refuses, or that somebody else plays, is for a person to mend.
"""

from __future__ import annotations

from typing import Any, Final

from celery.utils.log import get_logger

from producer.broker import CONNECT_TIMEOUT_S, Broker
from producer.broker_url import mask
from producer.cli.exit_codes import ExitCode
from producer.errors import BrokerRefused, BrokerUnavailable, BrokerUntrusted

from .station import Station

logger = get_logger(__name__)

#: What waiting does not mend.
_FOR_GOOD: Final = (BrokerRefused, BrokerUntrusted)


def check_broker(**_: Any) -> None:
    """End the worker, with the reason, if the broker does not let it in; Celery's signal.

    What is doubtful about the broker is told in the log.
    """
    broker = Broker(Station.current().broker.url, retries=0, answer_limit_s=CONNECT_TIMEOUT_S)
    try:
        broker.check()
        for doubt in broker.doubts():
            logger.warning("the broker at %s: %s", mask(broker.url), doubt)
    except _FOR_GOOD as error:
        logger.critical("%s", error)
        raise SystemExit(int(ExitCode.BROKER)) from None
    except BrokerUnavailable as error:
        logger.warning("%s", error)
    finally:
        broker.close()
