"""The engines by name. A model is imported when it is asked for, so that what an engine
needs may be missing where another one runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self, TypeVar

from .converter import VoiceConverter
from .errors import EngineError
from .model import Model

#: The arguments of a model, plain JSON.
Options = Mapping[str, Any]

Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """Which engine to run, and how: all that another process needs to make the same one."""

    name: str
    options: Options = field(default_factory=dict)
    #: None is the model's own choice.
    slots: int | None = None
    #: Share of the slots that batch work never takes, 0 .. 1.
    interactive_share: float = 0.1
    #: And to which it keeps while somebody waits for speech, 0 .. 1.
    awaited_share: float = 1.0
    #: Who converts voices; empty: nobody.
    converter: str = ""
    converter_options: Options = field(default_factory=dict)

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


def _fake_converter(options: Options) -> VoiceConverter:
    from .fake_converter import FakeConverter

    return FakeConverter(**options)


def _rvc(options: Options) -> VoiceConverter:
    from .rvc.engine_converter import RvcConverter

    return RvcConverter(**options)


#: Every engine's factory.
ENGINES: Final[Mapping[str, Callable[[Options], Model]]] = {
    "espeak": _espeak,
    "fake": _fake,
    "xtts": _xtts,
}

#: Every converter's factory.
CONVERTERS: Final[Mapping[str, Callable[[Options], VoiceConverter]]] = {
    "fake": _fake_converter,
    "rvc": _rvc,
}

#: Engines and converters whose failure may take their process with them, or that hold its
#: interpreter long.
_HEAVY: Final = frozenset({"xtts", "rvc"})


def build(name: str, options: Options) -> Model:
    """Make the model of an engine. Raises `EngineError` for an unknown name or option."""
    return _made("engine", name, ENGINES, options)


def build_converter(name: str, options: Options) -> VoiceConverter | None:
    """Make a converter, None for no name. Raises `EngineError` as `build` does."""
    return _made("converter", name, CONVERTERS, options) if name else None


def needs_process(*names: str) -> bool:
    """Tell whether an engine of these parts should run in a process of its own."""
    return not _HEAVY.isdisjoint(names)


def _made(
    kind: str, name: str, factories: Mapping[str, Callable[[Options], Part]], options: Options
) -> Part:
    if name not in factories:
        raise EngineError(f"there is no {kind} {name!r}; these are: {', '.join(factories)}")
    try:
        return factories[name](options)
    except ImportError as error:
        raise EngineError(f"{kind} {name!r} needs what is not installed: {error}") from error
    except TypeError as error:
        raise EngineError(f"{kind} {name!r}: {error}") from error
