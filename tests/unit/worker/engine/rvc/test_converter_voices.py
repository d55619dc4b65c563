"""Voices that come, go, break and do not fit: what becomes of those who want them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

# Where torch is missing, nothing below can be imported.
# ruff: noqa: E402
torch = pytest.importorskip("torch")


from tests.unit.worker.engine.rvc.voices_and_speech import COMPAT, source
from worker.engine.engine import Engine
from worker.engine.errors import (
    CheckpointError,
    NoConversion,
)
from worker.engine.fake import FakeModel
from worker.engine.request import ChunkRequest, ConversionRequest, Sound
from worker.engine.rvc import warm_up
from worker.engine.rvc.engine_converter import RvcConverter
from worker.engine.rvc.library import RvcLibrary


def test_a_voice_whose_file_breaks_later_fails_its_chunks_and_no_others(opened, models):
    converter = opened()
    file = models / "voices" / "bert.safetensors"
    content = bytearray(file.read_bytes())
    content[-4:] = b"\xff\xff\xff\x7f"
    file.write_bytes(content)

    broken, good = converter.convert([source("b", "bert"), source("g", "anna")]).outcomes()

    assert isinstance(broken, CheckpointError)
    assert "bert.safetensors" in str(broken)
    assert isinstance(good, Sound)


def test_a_voice_whose_file_is_broken_is_told_of_by_name(opened, models):
    converter = opened()
    file = models / "voices" / "bert.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])

    assert converter.renew()

    offer = converter.offer()
    assert {one.name for one in offer.voices} == {"anna", "flat"}
    assert "bert.safetensors" in offer.faults["bert"]
    with pytest.raises(CheckpointError, match=r"bert\.safetensors"):
        converter.check(ConversionRequest("bert", 0))
    assert not converter.renew()
    file.write_bytes(whole)
    assert converter.renew()
    assert converter.offer().faults == {}


def test_voices_that_come_and_go_are_offered_and_a_job_keeps_its_own(opened, models, sources):
    converter = opened()
    offered = {one.name: one.revision for one in converter.offer().voices}
    assert not converter.renew()
    [before] = converter.convert([source("x", "bert")]).outcomes()

    RvcLibrary(models / "voices").add("zoe", sources["bert"])
    RvcLibrary(models / "voices").add("bert", sources["anna"])

    assert converter.renew()
    voices = {one.name: one.revision for one in converter.offer().voices}
    assert voices["zoe"] == offered["bert"]
    # The one that the job began with is still on the shelf.
    wanted = ConversionRequest("bert", 17, COMPAT, offered["bert"])
    old = replace(source("x", "bert"), wanted=wanted)
    converter.check(old.wanted)
    [after] = converter.convert([old]).outcomes()
    assert np.array_equal(after.samples, before.samples)


@pytest.mark.parametrize("missing", ["hubert_base.pt", "rmvpe.pt"])
def test_a_missing_network_is_named_and_keeps_nobody_from_speaking(models, missing):
    (models / missing).unlink()
    engine = Engine(FakeModel(), RvcConverter(models, device="cpu"))
    engine.start()

    offer = engine.ready.result(60)

    assert missing in offer.conversion.obstacle
    assert offer.conversion.voices == ()
    wanted = ConversionRequest("anna", 0)
    refused = engine.submit(ChunkRequest("a", "Hello", "en", "default", 7, conversion=wanted))
    assert isinstance(refused.exception(timeout=0), NoConversion)
    assert missing in str(refused.exception())
    assert engine.submit(ChunkRequest("b", "Hello", "en", "default", 7)).result(60)
    engine.close()


def test_a_broken_network_is_named(models):
    (models / "rmvpe.pt").write_bytes(b"not a model")

    converter = RvcConverter(models, device="cpu")
    converter.load()

    offer = converter.offer()
    assert "rmvpe.pt" in offer.obstacle
    assert offer.is_broken
    with pytest.raises(CheckpointError, match=r"rmvpe\.pt"):
        converter.check(ConversionRequest("anna", 0))


def test_voices_within_their_budget_leave_the_rest_on_the_disk(opened):
    converter = opened(voices_mb=1)

    for _ in range(2):
        for voice in ("anna", "bert", "flat"):
            [outcome] = converter.convert([source(voice, voice, 0.5)]).outcomes()
            assert isinstance(outcome, Sound)

    facts = converter.facts()
    assert facts["rvc_evictions"] > 0
    assert facts["rvc_voices_in_use"] == 0


def test_voices_that_do_not_fit_beside_one_another_are_converted_into_in_turns(opened):
    batch = [source(str(place), voice) for place, voice in enumerate(["anna", "bert", "flat"] * 2)]
    wanted = opened().convert(batch).outcomes()

    found = opened(voices_mb=1).convert(batch).outcomes()

    for one, other in zip(found, wanted, strict=True):
        assert isinstance(one, Sound) and isinstance(other, Sound)
        assert np.allclose(one.samples, other.samples, atol=1e-4)


def test_a_voice_of_each_kind_is_warmed_up_and_a_broken_one_stops_nobody(
    opened, models, monkeypatch
):
    converter = opened()
    (models / "voices" / "bert.safetensors").write_bytes(b"hello")
    monkeypatch.setattr(warm_up, "SILENCES_S", (1, 3))
    converted: list[tuple[str, int]] = []

    def watched(sources: Any) -> Any:
        converted.append((sources[0].voice, len(sources)))
        return converter.convert(sources)

    warm_up.warm_up_voices(watched, ["bert", "anna", "flat"], most_s=3.0, times=1)

    assert converted == [("bert", 1), ("anna", 1), ("anna", 2), ("anna", 1)]

    facts = converter.facts()
    assert (facts["rvc_voices"], facts["rvc_voices_in_use"]) == (1, 0)
    assert sorted(converter._parts.targets.examples) == ["anna", "bert", "flat"]
