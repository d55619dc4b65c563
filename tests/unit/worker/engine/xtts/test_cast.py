"""Voices come, change and go while the model speaks; a job keeps the one that it began with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from worker.engine.errors import CheckpointError, UnknownVoice  # noqa: E402
from worker.engine.registry import build  # noqa: E402
from worker.engine.request import ChunkRequest  # noqa: E402
from worker.engine.xtts.conditioning import maker_of  # noqa: E402
from worker.engine.xtts.library import KeptVoice, VoiceCard, VoiceLibrary  # noqa: E402
from worker.engine.xtts.voices import LEFT_S, Cast  # noqa: E402

#: Of the tiny checkpoint.
WIDTH, EMBEDDING = 64, 512


@pytest.fixture
def library(tmp_path) -> VoiceLibrary:
    return VoiceLibrary(tmp_path / "voices")


@pytest.fixture
def keep(library, written_checkpoint) -> Callable[..., None]:
    """Keep a voice: `keep("anna", seed=1)`; another seed is another voice."""
    maker = maker_of(written_checkpoint)

    def kept(name: str, seed: int) -> None:
        draw = np.random.default_rng(seed).standard_normal
        card = VoiceCard(
            name=name,
            key="0" * 64,
            model=maker.model,
            settings=dict(maker.settings),
            samples=(),
            consent="yes",
            created_at="2026-01-01T00:00:00+00:00",
        )
        latents = draw((32, WIDTH)).astype(np.float32)
        library.add(KeptVoice(card, latents, draw(EMBEDDING).astype(np.float32)))

    return kept


@pytest.fixture
def now_s() -> list[float]:
    """The time of the cast's clock."""
    return [0.0]


@pytest.fixture
def cast(library, written_checkpoint, now_s) -> Cast:
    maker = maker_of(written_checkpoint)
    return Cast({}, torch.device("cpu"), library, maker, clock=lambda: now_s[0])


@pytest.fixture
def model(written_checkpoint, library) -> Any:
    made = build(
        "xtts",
        {
            "directory": str(written_checkpoint),
            "voices_directory": str(library.directory),
            "device": "cpu",
            "slots": 2,
        },
    )
    made.load()
    yield made
    made.close()


def revisions(offered: Any) -> dict[str, str]:
    return {voice.name: voice.revision for voice in offered}


def chunk(voice: str = "anna", revision: str = "") -> ChunkRequest:
    return ChunkRequest("a", "Hello from the farm.", "en", voice, 7, {}, voice_revision=revision)


def samples(model: Any, request: ChunkRequest, meanwhile: Callable[[], object] = lambda: 0) -> Any:
    """Speak alone in the batch; `meanwhile` happens once the row has begun."""
    model.check(request)
    model.prefill([(0, request)])
    meanwhile()
    outcomes: dict[str, Any] = {}
    while not outcomes:
        outcomes |= model.vocode(model.decode(), wait=True)
    return outcomes[request.id].samples


def test_voices_come_change_and_go(cast, keep, library):
    assert not cast.renew()
    keep("anna", 1)
    assert cast.renew()
    first = revisions(cast.offered)
    keep("anna", 2)
    assert cast.renew()
    second = revisions(cast.offered)
    library.remove("anna")
    assert cast.renew()

    assert set(first) == set(second) == {"anna", "default"}
    assert first["anna"] != second["anna"]
    assert cast.offered == ()
    with pytest.raises(UnknownVoice):
        cast.check(chunk())


def test_the_same_voice_again_is_nothing_new(cast, keep):
    keep("anna", 1)
    cast.renew()

    keep("anna", 1)

    assert not cast.renew()


def test_only_what_has_changed_is_read_again(cast, keep, library, monkeypatch):
    keep("anna", 1)
    keep("bert", 2)
    cast.renew()
    read: list[str] = []
    voice_of = VoiceLibrary.voice_of
    monkeypatch.setattr(
        VoiceLibrary,
        "voice_of",
        lambda self, maker, name: read.append(name) or voice_of(self, maker, name),
    )

    keep("bert", 3)
    cast.renew()

    assert read == ["bert"]


def test_a_broken_file_harms_no_other_voice_and_is_told_once(cast, keep, library, caplog):
    keep("anna", 1)
    (library.directory / "bert.safetensors").write_bytes(b"no voice")

    cast.renew()
    cast.renew()

    assert set(revisions(cast.offered)) == {"anna", "default"}
    assert caplog.text.count("bert") == 2  # its name and its file, in one line
    assert "bert.safetensors" in cast.faults["bert"]
    with pytest.raises(CheckpointError, match=r"bert\.safetensors"):
        cast.check(chunk(voice="bert"))


def test_a_directory_that_cannot_be_seen_takes_no_voice_away(cast, keep, monkeypatch, caplog):
    keep("anna", 1)
    cast.renew()

    def stale(path: Path) -> Any:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(Path, "iterdir", stale)

    assert not cast.renew()
    assert not cast.renew()
    assert "anna" in revisions(cast.offered)
    assert caplog.text.count("Stale file handle") == 1


def test_what_a_job_began_with_is_known_for_a_day(cast, keep, library, now_s):
    keep("anna", 1)
    cast.renew()
    began_with = revisions(cast.offered)["anna"]
    library.remove("anna")
    cast.renew()

    now_s[0] = LEFT_S - 1
    keep("bert", 2)
    cast.renew()
    cast.check(chunk(revision=began_with))
    assert cast.speaker(chunk(revision=began_with)).revision == began_with

    now_s[0] = LEFT_S + 1
    keep("carl", 3)
    cast.renew()
    with pytest.raises(UnknownVoice, match="no voice 'anna'"):
        cast.check(chunk(revision=began_with))


def test_a_revision_that_is_not_known_is_never_spoken_with_another(cast, keep):
    keep("anna", 1)
    cast.renew()

    with pytest.raises(UnknownVoice, match="has changed since the job began"):
        cast.check(chunk(revision="of a process that has died"))


def test_a_voice_that_is_added_does_not_become_the_default(model, keep):
    keep("aaron", 1)

    offer = model.renew()

    voices = revisions(offer.voices)
    assert voices["default"] == voices["alice"] != voices["aaron"]


def test_a_job_keeps_the_voice_that_it_began_with(model, keep, library):
    keep("anna", 1)
    first = revisions(model.renew().voices)["anna"]
    expected = samples(model, chunk(revision=first))

    # When the voice changes in the middle of a take, and before the next one
    def change() -> None:
        keep("anna", 2)
        assert model.renew() is not None

    during = samples(model, chunk(revision=first), change)
    after = samples(model, chunk(revision=first))
    new = samples(model, chunk())
    library.remove("anna")
    model.renew()
    removed = samples(model, chunk(revision=first))

    for take in (during, after, removed):
        assert np.array_equal(take, expected)
    assert not np.array_equal(new[:5000], expected[:5000])
    with pytest.raises(UnknownVoice):
        model.check(chunk())


def test_a_voice_that_leaves_between_check_and_slot_is_spoken_with_all_the_same(
    model, keep, library
):
    keep("anna", 1)
    model.renew()
    expected = samples(model, chunk())
    model.check(chunk())

    library.remove("anna")
    model.renew()
    model.prefill([(0, chunk())])
    outcomes: dict[str, Any] = {}
    while not outcomes:
        outcomes |= model.vocode(model.decode(), wait=True)

    assert np.array_equal(outcomes["a"].samples, expected)


def test_a_closed_model_has_nothing_new(model, keep):
    keep("anna", 1)
    model.close()

    assert model.renew() is None
