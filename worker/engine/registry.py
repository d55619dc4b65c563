"""The engines by name. A model is imported when it is asked for, so that what an engine
needs may be missing where another one runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

from .errors import EngineError
from .model import Model

#: The arguments of a model, plain JSON.
Options = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """Which engine to run, and how: all that another process needs to make the same one."""

    name: str
    options: Options = field(default_factory=dict)
    #: None is the model's own choice.
    slots: int | None = None
    #: Share of the slots that batch work never takes, 0 .. 1.
    interactive_share: float = 0.1

    def encode(self) -> dict[str, Any]:
        """Return plain JSON; `decode` reads it back."""
        return asdict(self)

    @classmethod
    def decode(cls, fields: Mapping[str, Any]) -> Self:
        """Read what `encode` returned."""
        return cls(**fields)


def _fake(options: Options) -> Model:
    from .fake import FakeModel, FakeOptions

    return FakeModel(FakeOptions(**options))


def _espeak(options: Options) -> Model:
    from .espeak import EspeakModel

    return EspeakModel(**options)


def _xtts(options: Options) -> Model:
    from .xtts.model import XttsModel

    return XttsModel(**options)


#: Every engine's factory.
ENGINES: Final[Mapping[str, Callable[[Options], Model]]] = {
    "espeak": _espeak,
    "fake": _fake,
    "xtts": _xtts,
}

#: Engines whose failure may take their process with them, or that hold its interpreter long.
_HEAVY: Final = frozenset({"xtts"})


def build(name: str, options: Options) -> Model:
    """Make the model of an engine. Raises `EngineError` for an unknown name or option."""
    if name not in ENGINES:
        raise EngineError(f"there is no engine {name!r}; these are: {', '.join(ENGINES)}")
    try:
        return ENGINES[name](options)
    except ImportError as error:
        raise EngineError(f"engine {name!r} needs what is not installed: {error}") from error
    except TypeError as error:
        raise EngineError(f"engine {name!r}: {error}") from error


def needs_process(name: str) -> bool:
    """Tell whether this engine should run in a process of its own."""
    return name in _HEAVY
