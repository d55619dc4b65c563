"""A voice of people's files is checked, kept whole in one file, and found again by its name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

# Where torch is missing, nothing below can be imported.
# ruff: noqa: E402
torch = pytest.importorskip("torch")

from safetensors import safe_open
from safetensors.torch import save_file

from tests.unit.worker.engine.rvc.tiny_index import write_index
from tests.unit.worker.engine.rvc.tiny_voice import write_voice
from worker.engine.errors import CheckpointError, LibraryError
from worker.engine.rvc.index_file import read_index
from worker.engine.rvc.library import RvcLibrary
from worker.engine.rvc.shelf_file import read_shelved, write_shelved
from worker.engine.rvc.voice_file import read_voice


@pytest.fixture
def library(tmp_path: Path) -> RvcLibrary:
    """An empty one, whose directory is not there yet."""
    return RvcLibrary(tmp_path / "models" / "rvc")


def test_a_voice_is_kept_whole(library, tmp_path):
    model = write_voice(tmp_path / "a.pth", "v1", 48000)
    index = write_index(tmp_path / "a.index", 256)

    card = library.add("anna", model, index, median_hz=211.0)

    found = library.read("anna")
    wanted, vectors = read_voice(model), read_index(index)
    assert found.card == card == library.check("anna")
    assert (card.vectors, card.median_hz, card.sizes()) == (40, 211.0, wanted.config)
    assert found.weights.config == wanted.config
    assert found.weights.tensors.keys() == wanted.tensors.keys()
    assert all(torch.equal(found.weights.tensors[name], wanted.tensors[name])
               for name in wanted.tensors)  # fmt: skip
    assert found.index is not None
    for part in ("centroids", "vectors", "ids", "starts"):
        assert np.array_equal(getattr(found.index, part), getattr(vectors, part))


def test_a_revision_is_that_of_the_sound(library, tmp_path):
    model, other = write_voice(tmp_path / "a.pth"), write_voice(tmp_path / "b.pth", seed=1)
    index = write_index(tmp_path / "a.index", 768)
    again = torch.load(model, weights_only=True) | {"info": "another 20epoch"}
    torch.save(again, tmp_path / "again.pth")

    one = library.add("one", model)
    same = library.add("same", tmp_path / "again.pth")

    assert same.revision == one.revision
    assert same.model_sha256 != one.model_sha256
    assert library.add("two", other).revision != one.revision
    assert library.add("three", model, index).revision != one.revision


def test_the_middle_of_a_voices_pitch_is_part_of_its_revision(library, tmp_path):
    model = write_voice(tmp_path / "a.pth")

    unknown, low, high = (
        library.add("anna", model, median_hz=hz).revision for hz in (None, 110.0, 220.0)
    )

    # What was converted with `auto` for another middle is another sound.
    assert len({unknown, low, high}) == 3
    assert library.check("anna").median_hz == 220.0


@pytest.mark.parametrize("median_hz", [49.0, 1101.0, float("nan"), -1.0])
def test_a_pitch_that_no_voice_has_is_refused(library, tmp_path, median_hz):
    with pytest.raises(LibraryError, match="between 50 and 1100 Hz"):
        library.add("anna", write_voice(tmp_path / "a.pth"), median_hz=median_hz)

    assert library.cards() == {}


def test_a_voice_that_is_added_again_is_replaced_and_one_that_is_removed_is_gone(library, tmp_path):
    first = library.add("anna", write_voice(tmp_path / "a.pth"))
    second = library.add("anna", write_voice(tmp_path / "b.pth", seed=1))

    assert first.revision != second.revision == library.card("anna").revision
    assert list(library.cards()) == ["anna"]

    library.remove("anna")
    for ask in (library.remove, library.read, library.card, library.check):
        with pytest.raises(LibraryError, match="no voice 'anna'"):
            ask("anna")
    assert library.cards() == {}


@pytest.mark.parametrize("name", ["", "Anna", "../anna", "a b", "a.b", ".", "a" * 65])
def test_a_name_that_may_be_a_path_is_refused(library, tmp_path, name):
    with pytest.raises(LibraryError, match="no voice's name"):
        library.add(name, tmp_path / "a.pth")


def test_an_index_of_another_width_is_refused_before_anything_is_written(library, tmp_path):
    model, index = write_voice(tmp_path / "a.pth"), write_index(tmp_path / "x.index", 256)

    with pytest.raises(CheckpointError, match=r"x\.index: has vectors of 256, .* 768 wide"):
        library.add("anna", model, index)

    assert library.cards() == {}


def test_a_broken_file_harms_no_other(library, tmp_path):
    library.add("anna", write_voice(tmp_path / "a.pth"))
    whole = (library.directory / "anna.safetensors").read_bytes()
    (library.directory / "half.safetensors").write_bytes(whole[: len(whole) // 2])
    (library.directory / "renamed.safetensors").write_bytes(whole)
    (library.directory / "text.safetensors").write_text("hello")
    save_file({"a": torch.ones(1)}, library.directory / "other.safetensors")

    cards = library.cards()

    assert not isinstance(cards["anna"], CheckpointError)
    faults = {name: str(card) for name, card in cards.items() if name != "anna"}
    assert "give the file that name again" in faults["renamed"]
    assert "no card" in faults["other"]
    assert set(faults) == {"half", "renamed", "text", "other"}
    with pytest.raises(CheckpointError, match="half"):
        library.read("half")


def test_a_file_that_was_changed_afterwards_is_found_out(library, tmp_path):
    library.add("anna", write_voice(tmp_path / "a.pth"), write_index(tmp_path / "a.index", 768))
    file = library.directory / "anna.safetensors"
    found = read_shelved(file)
    found.weights.tensors["emb_g.weight"][0, 0] += 1
    write_shelved(found, file)

    assert library.read("anna").card == found.card
    with pytest.raises(CheckpointError, match="is not what was written"):
        library.check("anna")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda tensors: tensors.pop("voice.emb_g.weight"), "emb_g.weight is missing"),
        (lambda tensors: tensors.update(more=torch.ones(1)), "holds more"),
        (lambda tensors: tensors["index.vectors"].fill_(float("nan")), "index.vectors holds"),
        (lambda tensors: tensors["index.starts"].add_(1), "lists do not hold its vectors"),
        (lambda tensors: tensors["index.starts"][1].fill_(99), "lists do not hold its vectors"),
    ],
)
def test_tensors_that_are_wrong_are_refused_by_name(library, tmp_path, change, fault):
    library.add("anna", write_voice(tmp_path / "a.pth"), write_index(tmp_path / "a.index", 768))
    file = library.directory / "anna.safetensors"
    with safe_open(file, "pt") as archive:
        card = archive.metadata()
        tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
    change(tensors)
    save_file(tensors, file, metadata=card)

    with pytest.raises(CheckpointError, match=fault):
        library.read("anna")


def test_a_card_of_no_configuration_is_refused(library, tmp_path):
    library.add("anna", write_voice(tmp_path / "a.pth"))
    file = library.directory / "anna.safetensors"
    found = read_shelved(file)
    card = found.card.model_copy(update={"config": {"version": "v2"}})
    write_shelved(replace(found, card=card), file)

    with pytest.raises(CheckpointError, match="card that is wrong: config"):
        library.card("anna")
