"""The whole way, from a text to samples, through the engine: what coqui-tts says, and no less."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from worker.engine.engine import Engine  # noqa: E402
from worker.engine.errors import (  # noqa: E402
    ChunkFailed,
    ChunkTooLong,
    EngineError,
    EngineOutOfMemory,
    TakeCancelled,
    UnknownVoice,
    UnsupportedLanguage,
)
from worker.engine.registry import build, needs_process  # noqa: E402
from worker.engine.request import ChunkRequest, Samples  # noqa: E402
from worker.engine.xtts.turns import AWAITED_BURST_STEPS, BURST_STEPS  # noqa: E402

#: Only a broken engine takes so long.
PATIENCE_S = 60.0

#: Fewer than there are requests, so that rows join and leave.
SLOTS = 3

RATE_HZ = 24000

TEXTS = {
    "en": "Hello from the farm.",
    "pt": "Bom dia a todos, amigos. São 3 horas.",
    "de": "Guten Tag, wie geht es?",
}

#: Draws nothing by chance: only the likeliest id stays.
GREEDY = {"top_k": 1}


def chunk(
    name: object, text: str, language: str = "en", voice: str = "alice", **parameters: Any
) -> ChunkRequest:
    return ChunkRequest(str(name), text, language, voice, 7, parameters)


@pytest.fixture(scope="module")
def engines(written_checkpoint) -> Iterator[Callable[..., Engine]]:
    """Make ready engines; `engines(trims=True)`."""
    made: list[Engine] = []

    def make(**options: Any) -> Engine:
        given = {"device": "cpu", "slots": SLOTS, "trims": False, **options}
        engine = Engine(build("xtts", {"directory": str(written_checkpoint), **given}))
        made.append(engine)
        engine.start()
        engine.ready.result(PATIENCE_S)
        return engine

    yield make
    for engine in made:
        engine.close()


@pytest.fixture(scope="module")
def engine(engines) -> Engine:
    """One engine on the tiny checkpoint, in full precision; takes are left as they end."""
    return engines()


@pytest.fixture
def model(written_checkpoint) -> Iterator[Any]:
    """The model alone, to be stepped by hand."""
    made = build("xtts", {"directory": str(written_checkpoint), "device": "cpu", "slots": SLOTS})
    made.load()
    yield made
    made.close()


def samples_of(engine: Engine, request: ChunkRequest) -> Samples:
    return engine.submit(request).result(PATIENCE_S).samples


def spoken(model: Any, slots: set[int]) -> dict[int, Any]:
    """Decode until these slots have ended, and return what became of them."""
    ids = {slot: request.id for slot, request in model._rows.items() if slot in slots}
    outcomes: dict[str, Any] = {}
    while ids.values() - outcomes.keys():
        ended = model.decode()
        outcomes |= model.vocode(ended, wait=not model._rows.keys() - set(ended))
    return {slot: outcomes[request_id] for slot, request_id in ids.items()}


def test_texts_become_the_samples_of_coqui_tts(engine, coqui, checkpoint):
    cases = [
        (language, voice, speed)
        for language in TEXTS
        for voice, speed in (("Alice", 1.0), ("Bob", 1.0), ("Alice", 0.5), ("Bob", 2.0))
    ]

    futures = [
        engine.submit(chunk(place, TEXTS[language], language, voice.lower(), speed=speed, **GREEDY))
        for place, (language, voice, speed) in enumerate(cases)
    ]

    for (language, voice, speed), future in zip(cases, futures, strict=True):
        speaker = checkpoint.speakers[voice]
        expected = coqui.inference(
            TEXTS[language],
            language,
            speaker.latents[None],
            speaker.embedding[None, :, None],
            do_sample=False,
            repetition_penalty=coqui.config.repetition_penalty,
            speed=speed,
        )["wav"]
        found = future.result(PATIENCE_S).samples
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() <= 1e-5
        assert np.abs(expected).max() > 0.1


@pytest.mark.parametrize("mode", ["invariant", "latency"])
def test_a_take_is_the_same_alone_and_among_many(engines, mode):
    requests = [
        chunk(place, text, language, voice, speed=speed)
        for place, (language, text, voice, speed) in enumerate(
            [
                (language, text, voice, speed)
                for language, text in TEXTS.items()
                for voice, speed in (("alice", 1.0), ("bob", 1.3))
            ]
        )
    ]
    engine = engines(mode=mode)

    alone = [samples_of(engine, request) for request in requests]
    together = [engine.submit(request) for request in requests]

    for one, other in zip(alone, together, strict=True):
        found = other.result(PATIENCE_S).samples
        assert found.shape == one.shape
        assert np.abs(found - one).max() <= (0 if mode == "invariant" else 1e-5)


def test_another_seed_says_it_another_way(engine):
    request = chunk("a", TEXTS["en"])

    takes = [samples_of(engine, replace(request, seed=seed)) for seed in (1, 2, 1)]

    assert np.array_equal(takes[0], takes[2])
    assert not np.array_equal(takes[0][:5000], takes[1][:5000])


def test_the_offer_names_what_the_checkpoint_has(engine, checkpoint):
    offer = engine.offer()

    voices = {voice.name: voice.revision for voice in offer.voices}
    alice, bob = (checkpoint.speakers[name].revision for name in ("Alice", "Bob"))
    assert voices == {"alice": alice, "bob": bob, "default": alice}
    assert set(checkpoint.config.languages) - {"ja", "zh-cn"} <= set(offer.languages)
    assert "pt-br" in offer.languages
    assert checkpoint.revision in offer.revision
    assert (offer.engine, offer.device, offer.slots) == ("xtts", "cpu", SLOTS)
    assert offer.sample_rate_hz == RATE_HZ


@pytest.mark.parametrize(("helper", "codes"), [("cutlet", ["ja"]), ("pypinyin", ["zh", "zh-cn"])])
def test_a_language_is_offered_where_what_reads_it_is_installed(
    engines, monkeypatch, helper, codes
):
    class Reader:
        """Stands for all that these packages have."""

        Style = SimpleNamespace(TONE3=0)

        @staticmethod
        def pinyin(text, **_):
            return [[text]]

        @staticmethod
        def Cutlet():  # noqa: N802 - its name
            return SimpleNamespace(romaji=lambda text: text)

    monkeypatch.setitem(sys.modules, helper, None)
    without = engines()
    monkeypatch.setitem(sys.modules, helper, Reader)
    with_ = engines()

    assert not set(codes) & set(without.offer().languages)
    assert set(codes) <= set(with_.offer().languages)
    monkeypatch.setitem(sys.modules, helper, None)
    failure = without.submit(chunk("a", "a", codes[0])).exception(PATIENCE_S)
    assert isinstance(failure, UnsupportedLanguage)
    assert helper in str(failure)
    assert "pip install" in str(failure)


def test_whatever_changes_the_samples_changes_the_revision(engines):
    offers = [
        engines(**options).offer() for options in ({}, {"precision": "bf16"}, {"mode": "latency"})
    ]

    assert len({offer.revision for offer in offers}) == len(offers)


def test_half_precision_speaks_on_a_processor_too(engines):
    assert len(samples_of(engines(precision="bf16"), chunk("a", TEXTS["en"]))) > 1000


@pytest.mark.parametrize(
    ("request_", "error", "words"),
    [
        (chunk("a", "Hello", voice="carol"), UnknownVoice, "carol"),
        (chunk("a", "Hello", "sv"), UnsupportedLanguage, "sv"),
        (chunk("a", "a" * 500), ChunkTooLong, "501 tokens"),
        (chunk("a", "Hello", temperature=0), ChunkFailed, "temperature"),
        (chunk("a", "Hello", top_k=-1), ChunkFailed, "top_k"),
        (chunk("a", "Hello", speed=1e9), ChunkFailed, "speed"),
    ],
)
def test_what_cannot_be_spoken_fails_alone_and_says_why(engine, request_, error, words):
    good = engine.submit(chunk("good", TEXTS["en"]))

    failure = engine.submit(request_).exception(PATIENCE_S)

    assert type(failure) is error
    assert words in str(failure)
    assert good.result(PATIENCE_S).samples.size


def test_numbers_that_coqui_tts_cannot_read_harm_nobody(engine):
    expected = samples_of(engine, chunk("alone", TEXTS["en"]))
    requests = [
        chunk("hindi", "मेरे पास 42 किताबें", "hi"),
        chunk("good", TEXTS["en"]),
        chunk("czech", "Dne 1. ledna 1989.", "cs"),
    ]

    futures = [engine.submit(request) for request in requests]

    takes = [future.result(PATIENCE_S).samples for future in futures]
    assert np.array_equal(takes[1], expected)
    assert all(take.size for take in takes)


def test_a_row_that_leaves_in_the_middle_changes_nothing_for_the_others(engine):
    expected = samples_of(engine, chunk("alone", TEXTS["de"], "de"))

    gone = engine.submit(chunk("gone", TEXTS["en"], voice="bob"))
    stays = engine.submit(chunk("stays", TEXTS["de"], "de"))
    engine.cancel("gone")

    assert np.array_equal(stays.result(PATIENCE_S).samples, expected)
    # It may have been too quick for us.
    assert isinstance(gone.exception(PATIENCE_S), TakeCancelled | None)


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


def test_an_end_that_was_cut_off_is_faded_and_told_and_no_other(engines, engine, checkpoint):
    texts = [f"{text} {number}" for text in TEXTS.values() for number in ("one", "two", "three")]
    requests = [chunk(text, text) for text in texts]
    whole_s = checkpoint.gpt.max_codes * 1024 / 22050

    left = [samples_of(engine, request) for request in requests]
    tamed = engines(trims=True)
    takes = [tamed.submit(request).result(PATIENCE_S) for request in requests]
    ended = [take.samples for take in takes]

    was_cut = [len(take) / RATE_HZ > whole_s - 0.01 for take in left]
    assert len(set(was_cut)) == 2
    assert [take.truncated for take in takes] == was_cut
    for before, after, is_cut in zip(left, ended, was_cut, strict=True):
        assert np.array_equal(before[:-120], after[:-120])
        assert np.array_equal(before[-120:], after[-120:]) is not is_cut
        assert not is_cut or after[-1] == 0


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
