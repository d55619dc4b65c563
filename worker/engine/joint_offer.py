"""What an engine offers: what its model speaks, and what its converter converts into."""

from __future__ import annotations

from dataclasses import replace

from .conversion import Conversion
from .lifecycle import Lifecycle
from .model import Model, ModelOffer
from .renewal import Renewable, start_renewal


class JointOffer:
    """A `Renewable` of two parts, either of which may change while the engine runs."""

    def __init__(self, model: Model, conversion: Conversion) -> None:
        self._model = model
        self._conversion = conversion
        self._spoken = model.offer()

    def offer(self) -> ModelOffer:
        """Return what can be asked for now."""
        return replace(self._spoken, conversion=self._conversion.offer())

    def renew(self) -> ModelOffer | None:
        """See `Renewable`."""
        spoken = self._model.renew() if isinstance(self._model, Renewable) else None
        self._spoken = spoken or self._spoken
        return self.offer() if self._conversion.renew() or spoken else None

    def keep_true(self, lifecycle: Lifecycle) -> None:
        """Look after it until the engine ends, if a part of it is one that changes."""
        if isinstance(self._model, Renewable) or self._conversion.is_renewable:
            start_renewal(self, lifecycle)
