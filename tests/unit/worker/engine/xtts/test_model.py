"""The whole way, from a text to samples, through the engine: what coqui-tts says, and no less."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.unit.worker.engine.xtts.spoken_texts import RATE_HZ, SLOTS, TEXTS, chunk  # noqa: E402
from worker.engine.engine import Engine  # noqa: E402
from worker.engine.errors import (  # noqa: E402
    ChunkFailed,
    ChunkTooLong,
    TakeCancelled,
    UnknownVoice,
    UnsupportedLanguage,
)
from worker.engine.registry import build  # noqa: E402
from worker.engine.request import ChunkRequest, Samples  # noqa: E402

#: Only a broken engine takes so long.
PATIENCE_S = 60.0

#: Draws nothing by chance: only the likeliest id stays.
GREEDY = {"top_k": 1}


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


def samples_of(engine: Engine, request: ChunkRequest) -> Samples:
    return engine.submit(request).result(PATIENCE_S).samples


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
