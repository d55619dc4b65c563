"""RVC voices on the command line: checked, described, kept, removed; indexes built and proven."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

# Where torch is missing, nothing below can be imported.
# ruff: noqa: E402
torch = pytest.importorskip("torch")

import numpy as np
import soundfile

from tests.conftest import needed
from tests.unit.worker.engine.rvc.tiny_index import write_index
from tests.unit.worker.engine.rvc.tiny_voice import published, write_voice
from tests.unit.worker.engine.rvc.voices_and_speech import speech
from worker.engine.rvc import index_building
from worker.voice_commands import voices


@pytest.fixture(autouse=True)
def models(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The farm's RVC files, of which there are none yet."""
    monkeypatch.setenv("VOICEFARM_HOME", str(home))
    return home / "models" / "rvc"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(voices, [str(argument) for argument in arguments])


def test_a_voice_is_checked_kept_and_described(tmp_path, models):
    model = write_voice(tmp_path / "Carl v2 (e300).pth", "v2", 48000)
    index = write_index(tmp_path / "added.index", 768, vectors=40)

    told = run("add-rvc", "--index", index, "carl", model)

    assert told.exit_code == 0
    assert "v2, 48,000 Hz, with pitch, 3 speakers, index of 40 vectors" in told.stdout
    assert "hubert_base.pt or hubert_base and no rmvpe.pt" in told.stderr
    assert [file.name for file in (models / "voices").iterdir()] == ["carl.safetensors"]


def test_a_voice_is_described_for_programs_too(tmp_path):
    model = write_voice(tmp_path / "m.pth", "v1", 40000, f0=False)

    told = run("add-rvc", "--json", "--pitch-hz", "180", "carl", model)

    facts = json.loads(told.stdout)
    assert facts["version"] == "v1"
    assert (facts["has_pitch"], facts["sample_rate_hz"], facts["vectors"]) == (False, 40000, 0)
    assert facts["pitch_hz"] == 180


@pytest.fixture
def rmvpe(models: Path) -> None:
    """The network that finds a pitch."""
    from tests.unit.worker.engine.rvc.peers import peer_module
    from tests.unit.worker.engine.rvc.tiny_rmvpe import TinyRmvpe

    models.mkdir(parents=True)
    TinyRmvpe(peer_module("rvc_python", "lib.rmvpe")).write(models / "rmvpe.pt")


@pytest.mark.usefixtures("rmvpe")
def test_the_middle_of_its_pitch_is_found_in_a_recording_of_it(tmp_path, models):
    model, recording = write_voice(tmp_path / "m.pth"), tmp_path / "carl.wav"
    soundfile.write(recording, speech(6.0).numpy(), 16000)

    told = run("add-rvc", "--pitch-from", recording, "carl", model)

    assert told.exit_code == 0
    found = re.search(r"with pitch, its middle at ([0-9.]+) Hz", told.stdout)
    assert found is not None
    facts = json.loads(run("add-rvc", "--json", "--pitch-hz", found[1], "zoe", model).stdout)
    assert facts["pitch_hz"] == float(found[1])


def test_without_the_network_that_finds_a_pitch_it_is_told(tmp_path):
    told = run("add-rvc", "--pitch-from", tmp_path / "a.wav", "carl", tmp_path / "m.pth")

    assert told.exit_code == 1
    assert re.search(r"rmvpe\.pt is not there.*--pitch-hz", told.stderr, re.DOTALL)


@pytest.mark.usefixtures("rmvpe")
def test_a_recording_in_which_nobody_speaks_adds_no_voice(tmp_path, models):
    soundfile.write(tmp_path / "short.wav", speech(0.3).numpy(), 16000)

    told = run("add-rvc", "--pitch-from", tmp_path / "short.wav", "carl", tmp_path / "m.pth")

    assert told.exit_code == 1
    assert "short.wav: 0." in told.stderr
    assert not (models / "voices").exists()


class Evil:
    def __reduce__(self) -> object:
        return os.system, ("touch /tmp/voicefarm-was-here",)


def training_file(file: Path) -> None:
    torch.save({"model": {}, "optimizer": {}, "learning_rate": 1e-4, "iteration": 7}, file)


def evil_file(file: Path) -> None:
    torch.save({**published(), "info": Evil()}, file)


def text_file(file: Path) -> None:
    file.write_text("Dear diary")


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (training_file, r"G_.*\.pth"),
        (evil_file, "posix.system"),
        (text_file, "no archive of torch.save"),
    ],
)
def test_a_file_that_is_no_voice_is_refused_by_what_it_is(tmp_path, models, write, words):
    file = tmp_path / "G_2333.pth"
    write(file)

    told = run("add-rvc", "carl", file)

    assert told.exit_code == 1
    assert re.search(words, told.stderr)
    assert "Traceback" not in told.stderr
    assert not Path("/tmp/voicefarm-was-here").exists()
    assert not (models / "voices").exists()


def test_an_index_of_another_voice_is_refused(tmp_path):
    model = write_voice(tmp_path / "m.pth", "v2")
    index = write_index(tmp_path / "other.index", 256)

    told = run("add-rvc", "--index", index, "carl", model)

    assert told.exit_code == 1
    assert "belongs to another voice" in told.stderr


@pytest.mark.parametrize("name", ["../carl", "Carl", "a/b", ""])
def test_a_name_that_could_be_a_path_is_refused(tmp_path, name):
    told = run("add-rvc", "--", name, write_voice(tmp_path / "m.pth"))

    assert told.exit_code == 1
    assert "no voice's name" in told.stderr


def test_a_voice_is_removed_and_one_that_is_not_there_is_told(tmp_path, models):
    run("add-rvc", "carl", write_voice(tmp_path / "m.pth"))

    removed, again = run("rm", "carl"), run("rm", "carl")

    assert (removed.exit_code, again.exit_code) == (0, 1)
    assert list((models / "voices").iterdir()) == []
    assert "no voice 'carl'" in again.stderr


def test_where_two_voices_share_a_name_somebody_must_say_which(tmp_path, home, models):
    run("add-rvc", "carl", write_voice(tmp_path / "m.pth"))
    speech = home / "models" / "voices" / "carl.safetensors"
    speech.parent.mkdir(parents=True)
    speech.write_bytes(b"whatever it is")

    unclear, clear = run("rm", "carl"), run("rm", "--kind", "rvc", "carl")

    assert unclear.exit_code == 1
    assert "--kind" in unclear.stderr
    assert clear.exit_code == 0
    assert speech.exists()
    assert list((models / "voices").iterdir()) == []


@pytest.fixture
def features(tmp_path: Path) -> Path:
    """Features in two files, as a training leaves them."""
    folder = tmp_path / "3_feature256"
    folder.mkdir()
    draws = np.random.default_rng(0)
    for name in ("a", "b"):
        np.save(folder / f"{name}.npy", draws.standard_normal((400, 256), np.float32))
    return folder


def test_an_index_is_built_and_proven(tmp_path, features):
    needed("faiss")
    file = tmp_path / "made.index"

    built = run("index", "--json", "--output", file, features)
    proven = run("index", file)

    assert json.loads(built.stdout) == {
        "file": str(file), "vectors": 800, "width": 256, "lists": 20
    }  # fmt: skip
    assert "800 vectors of 256 in 20 lists; faiss agrees" in proven.stdout
    added = run("add-rvc", "--index", file, "carl", write_voice(tmp_path / "m.pth", "v1"))
    assert "index of 800 vectors" in added.stdout


def test_an_index_in_which_faiss_finds_something_else_is_refused(tmp_path, features, monkeypatch):
    needed("faiss")
    file = tmp_path / "made.index"
    run("index", "--output", file, features)
    true_read = index_building.read_index

    def misread(path):
        found = true_read(path)
        return type(found)(found.centroids[::-1], found.vectors, found.ids, found.starts)

    monkeypatch.setattr(index_building, "read_index", misread)

    told = run("index", file)

    assert told.exit_code == 1
    assert "other neighbours" in told.stderr


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 99), np.float32), "wanted [frames, 256 or 768]"),
        (np.full((4, 256), np.nan, np.float32), "not finite"),
        (np.array([{"evil": 1}], object), "cannot be read"),
    ],
)
def test_features_that_cannot_be_used_are_named(tmp_path, array, words):
    needed("faiss")
    np.save(tmp_path / "odd.npy", array, allow_pickle=True)

    told = run("index", "--output", tmp_path / "x.index", tmp_path / "odd.npy")

    assert told.exit_code == 1
    assert "odd.npy" in told.stderr
    assert words in told.stderr


def test_without_faiss_the_package_is_named(tmp_path, monkeypatch):
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(index_building, "import_module", missing)

    told = run("index", write_index(tmp_path / "x.index", 256))

    assert told.exit_code == 1
    assert "pip install -e '.[index]'" in told.stderr
