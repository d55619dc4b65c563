"""What can be wrong with the recordings that voices are made of."""

from __future__ import annotations

from ..errors import EngineError


class BadSample(EngineError):
    """No voice can be made of a recording. Names it, and says what is wrong with it."""
