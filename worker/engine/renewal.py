"""Keeping an engine's offer true while it runs: voices come, change and go on the disk."""

from __future__ import annotations

import logging
import threading
from typing import Final, Protocol, runtime_checkable

from .lifecycle import Lifecycle
from .model import ModelOffer

logger = logging.getLogger(__name__)

#: Seconds between two looks. One costs a listing of a directory.
LOOK_S: Final = 1.0


@runtime_checkable
class Renewable(Protocol):
    """A model whose offer may change while it is loaded."""

    def renew(self) -> ModelOffer | None:
        """Return the offer if it is another than it was, None if it is not.

        Called from a thread of its own, also while the model works or closes.
        """


def start_renewal(model: object, lifecycle: Lifecycle) -> None:
    """Look after the offer of a model until its engine ends, if it is one that changes."""
    if isinstance(model, Renewable):
        threading.Thread(
            target=_renew, args=(model, lifecycle), name="engine-renewal", daemon=True
        ).start()


def _renew(model: Renewable, lifecycle: Lifecycle) -> None:
    while not lifecycle.ended.wait(LOOK_S):
        try:
            offer = model.renew()
        except Exception:
            logger.exception("what the engine offers could not be looked at")
            return
        if offer is not None:
            logger.info("the engine offers %d voices now", len(offer.voices))
            lifecycle.renew(offer)
