"""From settings to an engine: which one, with which options, in which process."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from producer.child_process import child_environment
from producer.volumes import Volumes

from .config import WorkerSettings
from .engine.engine import Engine
from .engine.lifecycle import OnPhase, OnRoom
from .engine.registry import EngineSpec, Options, build, build_converter, needs_process
from .engine.service import SpeechEngine

#: The file whose presence in `models/xtts` makes `auto` take XTTS.
XTTS_FILE: Final = "model.pth"

#: What shows a process only some GPUs, by index or UUID; read when CUDA starts.
VISIBLE: Final = "CUDA_VISIBLE_DEVICES"

#: Rows of an engine that speaks one after the other, when what it says is converted in batches.
CONVERTING_SLOTS: Final = 16
_FEW_SLOTS: Final = ("espeak", "fake")

#: Options of the fake engine, each of which is a setting `fake_...`.
_FAKE_OPTIONS: Final = (
    *("speed", "load_s", "load_error", "silent", "memory_bytes", "journal"),
    *("fail_on", "abort_on", "fault_on", "hang_on", "ramble_on"),
)


def engine_spec(settings: WorkerSettings) -> EngineSpec:
    """Return what the settings say of the engine, as plain data."""
    models = Volumes(settings.home).models
    directory = models / "xtts"
    name: str = settings.engine
    if name == "auto":
        name = "xtts" if (directory / XTTS_FILE).is_file() else "espeak"
    options: dict[str, Any] = {}
    if name == "xtts":
        options = {
            "directory": str(directory),
            "voices_directory": str(models / "voices"),
            "device": settings.device,
            "precision": settings.precision,
            "mode": settings.mode,
            "guarded": settings.guard,
            # It takes their memory when it loads.
            "slots": settings.slots,
        }
    elif name == "fake":
        options = {option: getattr(settings, f"fake_{option}") for option in _FAKE_OPTIONS}
    converter, converter_options = _converter(settings, name, models / "rvc")
    return EngineSpec(
        name=name,
        options=options,
        slots=settings.slots or _slots(name, converter),
        interactive_share=settings.interactive_share,
        awaited_share=settings.awaited_share,
        converter=converter,
        converter_options=converter_options,
    )


def _slots(engine: str, converter: str) -> int | None:
    """Return the rows of an engine whose own are too few for a batch of conversions."""
    return CONVERTING_SLOTS if converter == "rvc" and engine in _FEW_SLOTS else None


def _converter(settings: WorkerSettings, engine: str, directory: Path) -> tuple[str, Options]:
    """Return who converts, and how: RVC where it has any file, tones beside the fake engine."""
    if not settings.rvc:
        return "", {}
    if directory.is_dir():
        return "rvc", {
            "directory": str(directory),
            "device": settings.device,
            "precision": settings.precision,
            "voices_mb": settings.rvc_voices_mb,
        }
    return ("fake", {}) if engine == "fake" else ("", {})


def computes_here(settings: WorkerSettings) -> bool:
    """Tell whether networks compute in the Celery process itself, which they do only if told to."""
    spec = engine_spec(settings)
    return settings.engine_process == "inline" and needs_process(spec.name, spec.converter)


def make_engine(settings: WorkerSettings, *, on_room: OnRoom, on_phase: OnPhase) -> SpeechEngine:
    """Return the engine, not started yet, in this process or in one of its own."""
    spec = engine_spec(settings)
    if settings.engine_process == "own" or (
        settings.engine_process == "auto" and needs_process(spec.name, spec.converter)
    ):
        from .process import EngineProcess

        return EngineProcess(
            spec,
            # Of no other GPU should it ever hear.
            env=child_environment(**({VISIBLE: settings.gpu} if settings.gpu else {})),
            hang_s=settings.hang_s,
            on_room=on_room,
            on_phase=on_phase,
        )
    return Engine(
        build(spec.name, spec.options),
        build_converter(spec.converter, spec.converter_options),
        slots=spec.slots,
        interactive_share=spec.interactive_share,
        awaited_share=spec.awaited_share,
        on_room=on_room,
        on_phase=on_phase,
    )
