"""A recording is continued at both ends by its mirror image, wherever a span of it is cut."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

# Where torch is missing, nothing below can be imported.
# ruff: noqa: E402
torch = pytest.importorskip("torch")

from hypothesis import given
from hypothesis import strategies as st

from worker.engine.rvc.clip import Conversion
from worker.engine.rvc.recording import Recording
from worker.engine.rvc.splitting import mirrored


@given(st.integers(1, 60), st.integers(0, 40), st.data())
def test_a_span_is_one_of_the_mirrored_recording(samples, pad, data):
    wave = torch.arange(samples, dtype=torch.float64)
    voice: Any = SimpleNamespace(weights=SimpleNamespace(speakers=torch.zeros(1)))
    recording = Recording(voice, Conversion(), cast(Any, wave), pad, [])
    start = data.draw(st.integers(0, samples + 2 * pad - 1))
    end = data.draw(st.integers(start + 1, samples + 2 * pad))

    found = recording.span(start, end)

    assert torch.equal(found, mirrored(wave, pad)[start:end])
