"""Volumes: a path outside the farm's home cannot be expressed."""

from __future__ import annotations

import pytest

from producer.errors import VolumeUnavailable
from producer.volumes import DIRECTORIES, Volumes


@pytest.fixture
def volumes(tmp_path) -> Volumes:
    return Volumes(tmp_path / "farm")


def test_all_directories_are_made_and_may_be_made_again(volumes):
    volumes.make()
    volumes.make()

    assert {path.name for path in volumes.home.iterdir()} == set(DIRECTORIES)


def test_a_home_that_is_a_file_is_named(tmp_path):
    (tmp_path / "farm").write_text("")

    with pytest.raises(VolumeUnavailable, match=str(tmp_path / "farm")):
        Volumes(tmp_path / "farm").make()


@pytest.mark.parametrize("key", ["", "ab", "../" * 20, "A" * 64])
def test_what_is_no_content_key_has_no_entry(volumes, key):
    with pytest.raises(ValueError, match="no content key"):
        volumes.entry(key)


@pytest.mark.parametrize("relative", ["", "/etc/passwd", "processed/../../x", "elsewhere/x"])
def test_a_path_that_is_not_of_the_farm_is_refused(volumes, relative):
    with pytest.raises(VolumeUnavailable):
        volumes.locate(relative)
