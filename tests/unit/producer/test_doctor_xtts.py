"""What `doctor` says of the files and packages of XTTS-v2."""

from __future__ import annotations

import pytest

from producer.cli import doctor


@pytest.fixture
def installed(monkeypatch) -> set[str]:
    """The packages that can be found."""
    found = {*doctor.XTTS_PACKAGES, *doctor.XTTS_READERS}
    monkeypatch.setattr(doctor, "find_spec", lambda name: name if name in found else None)
    return found


def files(directory, *names):
    for name in names:
        (directory / name).touch()
    return directory


def test_a_farm_without_any_of_the_files_is_told_what_they_are_and_is_well(tmp_path, installed):
    check = doctor.xtts(tmp_path)

    assert check.ok
    assert "config.json vocab.json speakers_xtts.pth model.pth" in check.detail
    assert "`voicefarm models get xtts-v2`" in check.detail


def test_a_file_that_is_missing_beside_others_is_named(tmp_path, installed):
    check = doctor.xtts(files(tmp_path, "config.json", "speakers_xtts.pth", "vocab.json"))

    assert not check.ok
    assert check.detail.startswith(f"{tmp_path} lacks model.pth; `voicefarm models get xtts-v2`")


def test_packages_that_are_missing_are_named_with_the_way_to_get_them(tmp_path, installed):
    installed.discard("TTS")

    check = doctor.xtts(files(tmp_path, *doctor.XTTS_FILES))

    assert not check.ok
    assert "TTS missing: pip install" in check.detail


def test_what_goes_without_is_told_and_fails_nothing(tmp_path, installed):
    installed.discard("cutlet")

    check = doctor.xtts(files(tmp_path, "config.json", "model.pth", "vocab.json"))

    assert check.ok
    assert "no Japanese without cutlet" in check.detail
    assert "no built-in voices without speakers_xtts.pth" in check.detail
    assert "Chinese" not in check.detail
