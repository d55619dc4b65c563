"""The model stepped by hand: slots, turns, ends of takes, memory, and what is not there."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.unit.worker.engine.xtts.spoken_texts import RATE_HZ, SLOTS, TEXTS, chunk  # noqa: E402
from worker.engine.errors import (  # noqa: E402
    EngineError,
    EngineOutOfMemory,
)
from worker.engine.registry import build, needs_process  # noqa: E402
from worker.engine.xtts.turns import AWAITED_BURST_STEPS, BURST_STEPS  # noqa: E402


@pytest.fixture
def model(written_checkpoint) -> Iterator[Any]:
    """The model alone, to be stepped by hand."""
    made = build("xtts", {"directory": str(written_checkpoint), "device": "cpu", "slots": SLOTS})
    made.load()
    yield made
    made.close()


def spoken(model: Any, slots: set[int]) -> dict[int, Any]:
    """Decode until these slots have ended, and return what became of them."""
    ids = {slot: request.id for slot, request in model._rows.items() if slot in slots}
    outcomes: dict[str, Any] = {}
    while ids.values() - outcomes.keys():
        ended = model.decode()
        outcomes |= model.vocode(ended, wait=not model._rows.keys() - set(ended))
    return {slot: outcomes[request_id] for slot, request_id in ids.items()}


def test_a_released_slot_is_free_for_another(model):
    request = chunk("a", TEXTS["en"])
    model.prefill([(0, request)])
    expected = spoken(model, {0})[0]

    model.prefill([(0, chunk("b", TEXTS["pt"], "pt", "bob"))])
    model.decode()
    model.release([0])
    model.prefill([(0, request)])

    assert np.array_equal(spoken(model, {0})[0].samples, expected.samples)


def test_without_rows_there_is_nothing_to_do(model):
    model.warm_up()

    assert list(model.decode()) == []
    assert not model.vocode([], wait=True)
    model.release([0, 1])


def test_a_tail_that_runs_on_is_cut_and_told(model, monkeypatch):
    speech = np.concatenate([np.ones(RATE_HZ), np.zeros(RATE_HZ)]).astype(np.float32)
    finished = model._parts.vocoder.finished
    monkeypatch.setattr(
        model._parts.vocoder,
        "finished",
        lambda wait: [(name, speech) for name, _ in finished(wait=wait)],
    )
    model.prefill([(0, chunk("a", TEXTS["en"]))])

    sound = spoken(model, {0})[0]
    assert len(sound.samples) == round(1.18 * RATE_HZ)
    assert sound.trimmed_s == pytest.approx(0.82)


def test_while_somebody_waits_for_a_row_turns_are_short(model, monkeypatch):
    steps: list[int] = []
    burst = model._parts.decoder.burst
    monkeypatch.setattr(model._parts.decoder, "burst", lambda n: (steps.append(n), burst(n)))
    model.prefill([(0, chunk(0, TEXTS["en"]))])
    model.decode()
    model.prefill([(1, replace(chunk(1, TEXTS["en"]), interactive=True))])
    model.decode()
    model.release([1])
    model.decode()

    assert steps == [BURST_STEPS, AWAITED_BURST_STEPS, BURST_STEPS]
    model.release([0])


def test_a_take_that_does_not_fit_into_memory_fails_alone(model, monkeypatch):
    begin = model._parts.vocoder.begin

    def narrow(name: Any, utterance: Any, *, urgent: bool) -> None:
        if utterance.speed == 2:
            raise torch.OutOfMemoryError("no room")
        begin(name, utterance, urgent=urgent)

    requests = [chunk(slot, TEXTS["en"], speed=slot + 1) for slot in range(SLOTS)]
    monkeypatch.setattr(model, "_burst_steps", 100)
    model.prefill(list(enumerate(requests)))
    monkeypatch.setattr(model._parts.vocoder, "begin", narrow)

    takes = spoken(model, set(range(SLOTS)))

    assert isinstance(takes[1], EngineOutOfMemory)
    assert takes[0].samples.size
    assert takes[2].samples.size


def test_prompts_that_do_not_fit_are_the_engines_to_halve(model, monkeypatch):
    def full(prompts: Any) -> None:
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(model._parts.decoder, "prefill", full)

    with pytest.raises(EngineOutOfMemory, match="no room"):
        model.prefill([(0, chunk("a", TEXTS["en"]))])


def test_the_ids_of_a_checked_text_are_not_made_again(model, monkeypatch):
    request = chunk("a", "A text that nobody else has.")
    model.check(request)

    monkeypatch.setattr(model._parts.tokenizer._reader, "encode", None)
    model.prefill([(0, request)])

    assert spoken(model, {0})[0].samples.size


def test_what_is_closed_lets_go_of_its_memory(model):
    decoder = weakref.ref(model._parts.decoder)

    model.close()

    assert decoder() is None


def test_a_directory_without_a_checkpoint_is_told_by_its_file(tmp_path):
    model = build("xtts", {"directory": str(tmp_path), "device": "cpu"})

    with pytest.raises(EngineError, match=r"config\.json"):
        model.load()


def test_what_is_closed_or_not_loaded_says_so(written_checkpoint):
    model = build("xtts", {"directory": str(written_checkpoint), "device": "cpu"})
    model.close()

    with pytest.raises(EngineError, match="not loaded"):
        model.offer()


def test_what_is_not_installed_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "worker.engine.xtts.model", None)

    with pytest.raises(EngineError, match="needs what is not installed"):
        build("xtts", {"directory": "anywhere"})


def test_it_needs_a_process_of_its_own():
    assert needs_process("xtts")
