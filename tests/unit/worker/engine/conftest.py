"""Fixtures of the engine's tests: `engines`, `converting_engines`, `baton`, `held`, `recording`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.unit.worker.engine.baton import PATIENCE_S, Baton
from worker.engine.engine import Engine
from worker.engine.fake import NOTE_S, FakeModel, FakeOptions
from worker.engine.fake_converter import FakeConverter
from worker.engine.request import Recording

#: What goes to the engine; every other setting is the fake model's.
ENGINE_SETTINGS = {"clock", "on_room", "on_phase", "interactive_share", "slots"}


@pytest.fixture
def engines() -> Iterator[Callable[..., Engine]]:
    """Make ready engines: `engines(slots=2)`, or `engines(model)`; all are closed at the end."""
    made: list[Engine] = []

    def make(model: FakeModel | None = None, /, ready: bool = True, **settings: Any) -> Engine:
        given = {"interactive_share": 0.0}
        given |= {name: settings.pop(name) for name in ENGINE_SETTINGS & set(settings)}
        engine = Engine(model or FakeModel(FakeOptions(**settings)), **given)
        made.append(engine)
        engine.start()
        if ready:
            engine.ready.result(PATIENCE_S)
        return engine

    yield make
    for engine in made:
        engine.close()


@pytest.fixture
def converting_engines() -> Iterator[Callable[..., Engine]]:
    """Make ready engines that convert; all are closed at the end."""
    made: list[Engine] = []

    def make(
        converter: FakeConverter | None = None,
        model: FakeModel | None = None,
        /,
        slots: int | None = None,
        **options: Any,
    ) -> Engine:
        model = model or FakeModel(FakeOptions(**options))
        engine = Engine(model, converter or FakeConverter(), slots=slots, interactive_share=0.0)
        made.append(engine)
        engine.start()
        engine.ready.result(PATIENCE_S)
        return engine

    yield make
    for engine in made:
        engine.close()


@pytest.fixture
def baton() -> Iterator[Baton]:
    baton = Baton()
    yield baton
    baton.let_go()


@pytest.fixture
def held(engines: Callable[..., Engine], baton: Baton) -> Callable[..., Engine]:
    """Engines whose every burst, one character of text long, waits for the baton."""

    def make(**settings: Any) -> Engine:
        given = {name: settings.pop(name) for name in ENGINE_SETTINGS & set(settings)}
        options = FakeOptions(speed=1, burst_s=NOTE_S, **settings)
        return engines(FakeModel(options, sleep=baton), **given)

    return make


@pytest.fixture
def recording(tmp_path: Path) -> Callable[..., Recording]:
    """Write recordings of noise."""

    def write(seconds: float = 0.5, rate_hz: int = 16000) -> Recording:
        count = round(seconds * rate_hz)
        samples = np.random.default_rng(3).normal(0, 0.1, count).astype(np.float32)
        file = tmp_path / f"{count}.wav"
        soundfile.write(file, samples, rate_hz, "FLOAT")
        scratch = tmp_path / f"scratch-{len(list(tmp_path.iterdir()))}"
        scratch.mkdir()
        return Recording(str(file), rate_hz, count, str(scratch))

    return write
