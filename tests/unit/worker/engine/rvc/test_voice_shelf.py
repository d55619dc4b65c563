"""A shelf gives the right voice, loads it once, and never holds more than it may."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

# Where torch is missing, nothing below can be imported.
# ruff: noqa: E402
torch = pytest.importorskip("torch")

from tests.unit.worker.engine.rvc.tiny_index import write_index
from tests.unit.worker.engine.rvc.tiny_voice import write_voice
from worker.engine.errors import CheckpointError, EngineClosed, EngineOutOfMemory, UnknownVoice
from worker.engine.rvc.library import RvcLibrary
from worker.engine.rvc.shelf_file import ShelfCard, ShelvedVoice
from worker.engine.rvc.voices import VoiceShelf

NAMES = ("anna", "bert", "carl", "dora")


class Library:
    """Counts what is read, and reads when its test lets it."""

    def __init__(self, library: RvcLibrary) -> None:
        self.library = library
        self.reads: list[str] = []
        self.gate = threading.Event()
        self.gate.set()

    def card(self, name: str) -> ShelfCard:
        return self.library.card(name)

    def read(self, name: str) -> ShelvedVoice:
        assert self.gate.wait(60)
        self.reads.append(name)
        return self.library.read(name)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """Four voices of one size."""
    made = RvcLibrary(tmp_path / "rvc")
    index = write_index(tmp_path / "x.index", 768)
    for seed, name in enumerate(NAMES):
        made.add(name, write_voice(tmp_path / f"{name}.pth", seed=seed), index)
    return Library(made)


@pytest.fixture
def voice_bytes(library: Library) -> int:
    """What one of them takes."""
    shelf = VoiceShelf(library, device_bytes=1 << 40)
    shelf.release(shelf.acquire("anna"))
    shelf.close()
    library.reads.clear()
    return shelf.facts().device_bytes


@pytest.fixture
def shelf(library: Library, voice_bytes: int) -> Iterator[VoiceShelf]:
    """With room for two."""
    made = VoiceShelf(library, device_bytes=2 * voice_bytes)
    yield made
    library.gate.set()
    made.close()


def test_a_voice_is_what_was_added(shelf, library):
    with shelf.held("bert") as voice:
        card = library.card("bert")
        wanted = library.library.read("bert")

        assert (voice.name, voice.revision, voice.config) == ("bert", card.revision, card.sizes())
        assert torch.equal(voice.weights.speakers, wanted.weights.tensors["emb_g.weight"])
        assert voice.index is not None and wanted.index is not None
        assert torch.equal(voice.index.vectors, torch.from_numpy(wanted.index.vectors))


def test_a_voice_that_was_used_is_loaded_once(shelf, library):
    for _ in range(5):
        with shelf.held("anna"), shelf.held("anna"):
            pass

    facts = shelf.facts()
    assert library.reads == ["anna"]
    assert (facts.hits, facts.misses, facts.voices_in_use) == (9, 1, 0)


def test_many_threads_that_ask_at_once_get_one_load(shelf, library):
    library.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(shelf.ask, "anna") for _ in range(8)]
        waiting = [one.result(60) for one in asked]
    assert not any(one.done() for one in waiting)

    library.gate.set()
    voices = [one.result(60) for one in waiting]

    assert library.reads == ["anna"]
    assert all(voice is voices[0] for voice in voices)
    for voice in voices:
        shelf.release(voice)
    assert shelf.facts().voices_in_use == 0
    with pytest.raises(KeyError):
        shelf.release(voices[0])


def test_the_voice_that_was_used_longest_ago_goes_first(shelf, library, voice_bytes):
    for name in ("anna", "bert", "anna", "carl", "anna", "bert"):
        with shelf.held(name):
            assert shelf.facts().device_bytes <= 2 * voice_bytes

    assert library.reads == ["anna", "bert", "carl", "bert"]
    assert shelf.facts().evictions == 2
    assert shelf.is_here("anna", library.card("anna").revision)
    assert not shelf.is_here("carl", library.card("carl").revision)


def test_voices_in_use_stay_and_what_does_not_fit_beside_them_says_so(shelf, library):
    anna, bert = shelf.acquire("anna"), shelf.acquire("bert")

    with pytest.raises(EngineOutOfMemory, match="voice carl needs"):
        shelf.acquire("carl")

    assert shelf.acquire("anna") is anna
    shelf.release(bert)
    with shelf.held("carl") as carl:
        assert carl.name == "carl"
    facts = shelf.facts()
    assert (facts.failures, facts.voices_in_use) == (1, 1)


def test_an_unknown_voice_and_a_broken_file_harm_no_other(shelf, library):
    (library.library.directory / "carl.safetensors").write_bytes(b"hello")

    with pytest.raises(UnknownVoice, match="no voice 'egon'"):
        shelf.acquire("egon")
    with pytest.raises(UnknownVoice, match="no voice's name"):
        shelf.acquire("../anna")
    with pytest.raises(CheckpointError, match="carl"):
        shelf.acquire("carl")

    with shelf.held("anna") as voice:
        assert voice.name == "anna"
    assert shelf.facts().voices_in_use == 0


def test_a_load_that_failed_is_tried_again(shelf, library, tmp_path):
    revision = library.card("anna").revision
    file = library.library.directory / "anna.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    with pytest.raises(CheckpointError):
        shelf.acquire("anna", revision)

    file.write_bytes(whole)

    with shelf.held("anna", revision) as voice:
        assert voice.revision == revision


def test_a_voice_that_was_replaced_is_another_one(shelf, library, tmp_path):
    with shelf.held("anna") as old:
        library.library.add("anna", write_voice(tmp_path / "new.pth", seed=9))

        # Who asks for today's voice gets it, who asks for the old one may have it while it is here.
        with shelf.held("anna") as new:
            assert new.revision == library.card("anna").revision != old.revision
            assert not torch.equal(new.weights.speakers, old.weights.speakers)
        with shelf.held("anna", old.revision) as again:
            assert again is old
    for name in ("bert", "carl"):
        with shelf.held(name):
            pass
    with pytest.raises(UnknownVoice, match="another one"):
        shelf.acquire("anna", old.revision)


def test_a_shelf_that_is_closed_gives_what_is_there_and_loads_nothing(shelf):
    shelf.release(shelf.acquire("anna"))
    shelf.close()

    with shelf.held("anna") as voice:
        assert voice.name == "anna"
    with pytest.raises(EngineClosed):
        shelf.acquire("bert")


def fetched(shelf: VoiceShelf, library: Library, *names: str) -> None:
    """Fetch voices, and wait until the loader is done with it."""
    for name in names:
        shelf.fetch(name, library.card(name).revision)
    with pytest.raises(UnknownVoice):
        shelf.acquire("egon", "none")


def test_a_voice_that_was_fetched_is_here_and_nobody_holds_it(shelf, library):
    fetched(shelf, library, "anna", "anna")

    assert shelf.is_here("anna", library.card("anna").revision)
    assert shelf.facts().voices_in_use == 0
    with shelf.held("anna"):
        assert library.reads == ["anna"]


def test_who_asks_for_what_is_being_fetched_gets_that(shelf, library):
    library.gate.clear()
    shelf.fetch("anna", library.card("anna").revision)
    asked = shelf.ask("anna")
    library.gate.set()

    shelf.release(asked.result(60))

    assert library.reads == ["anna"]
    assert shelf.facts().voices_in_use == 0


def test_what_is_in_use_stays_whatever_is_fetched(shelf, library):
    with shelf.held("anna"), shelf.held("bert"):
        fetched(shelf, library, "carl")

        assert not shelf.is_here("carl", library.card("carl").revision)


def test_a_voice_that_is_fetched_in_vain_harms_nobody(shelf, library):
    shelf.fetch("egon", "none")

    with shelf.held("anna") as voice:
        assert voice.name == "anna"
    assert shelf.facts().failures == 0
