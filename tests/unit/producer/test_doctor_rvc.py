"""What `doctor` says of the files of RVC."""

from __future__ import annotations

from pathlib import Path

import pytest

from producer.cli import doctor


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`models/rvc`, empty, beside an installed torch."""
    monkeypatch.setattr(doctor, "find_spec", lambda name: name)
    found = tmp_path / "rvc"
    found.mkdir()
    return found


def test_a_farm_that_does_not_want_it_is_well(tmp_path):
    check = doctor.rvc(tmp_path / "rvc")

    assert check.ok
    assert "hubert_base.pt or hubert_base rmvpe.pt" in check.detail


def test_the_empty_directory_of_an_image_is_no_wish(directory):
    assert doctor.rvc(directory).ok


def test_a_voice_without_what_all_share_is_told(directory):
    (directory / "voices").mkdir()
    (directory / "voices" / "carl.safetensors").touch()

    assert doctor.rvc(directory) == doctor.Check(
        "rvc", False, f"{directory} lacks hubert_base.pt or hubert_base, rmvpe.pt"
    )


def test_each_missing_file_is_named(directory):
    (directory / "rmvpe.pt").touch()

    check = doctor.rvc(directory)

    assert not check.ok
    assert check.detail == f"{directory} lacks hubert_base.pt or hubert_base"


@pytest.mark.parametrize("hubert", ["hubert_base.pt", "hubert_base"])
def test_a_whole_directory_is_told_with_its_voices(directory, hubert):
    (directory / hubert).mkdir()
    (directory / "rmvpe.pt").touch()
    empty = doctor.rvc(directory)
    (directory / "voices").mkdir()
    (directory / "voices" / "carl.safetensors").touch()

    whole = doctor.rvc(directory)

    assert empty.ok and "voices add" in empty.detail
    assert whole.ok and whole.detail == f"{directory}, 1 voices"


def test_a_missing_torch_is_named(directory, monkeypatch):
    for name in ("hubert_base.pt", "rmvpe.pt"):
        (directory / name).touch()
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)

    check = doctor.rvc(directory)

    assert not check.ok
    assert "torch" in check.detail
