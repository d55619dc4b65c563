"""Files on their way onto the volume: by their content, whole, once."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from producer.errors import InvalidJob, VolumeUnavailable
from producer.uploads import put
from producer.volumes import Volumes


@pytest.fixture
def volumes(home: Path) -> Volumes:
    volumes = Volumes(home)
    volumes.make()
    return volumes


@pytest.fixture
def song(tmp_path: Path) -> Path:
    file = tmp_path / "song.wav"
    file.write_bytes(b"la" * 1_000_000)
    return file


def files(volumes: Volumes) -> list[Path]:
    return [path for path in volumes.uploads.rglob("*") if path.is_file()]


def test_a_file_lies_under_the_hash_of_its_content(volumes, song):
    key = put(volumes, song)

    assert key == hashlib.sha256(song.read_bytes()).hexdigest()
    assert volumes.upload(key).read_bytes() == song.read_bytes()
    assert files(volumes) == [volumes.upload(key)]


def test_the_same_content_lies_there_once_whatever_it_is_called(volumes, song, tmp_path):
    other = tmp_path / "copy of song.mp3"
    other.write_bytes(song.read_bytes())

    assert put(volumes, song) == put(volumes, str(other))
    assert len(files(volumes)) == 1


@pytest.mark.parametrize("name", ["nothing.wav", "."])
def test_what_cannot_be_read_is_told_and_leaves_nothing(volumes, tmp_path, name):
    with pytest.raises(InvalidJob, match="cannot be read"):
        put(volumes, tmp_path / name)

    assert files(volumes) == []


def test_an_empty_file_is_refused(volumes, tmp_path):
    (tmp_path / "empty.wav").touch()

    with pytest.raises(InvalidJob, match="empty"):
        put(volumes, tmp_path / "empty.wav")

    assert files(volumes) == []


def test_a_client_that_does_not_see_the_volume_is_told_so(home, song):
    with pytest.raises(VolumeUnavailable, match="VOICEFARM_HOME"):
        put(Volumes(home), song)

    assert not home.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_volume_that_takes_nothing_is_told(volumes, song):
    volumes.uploads.chmod(0o500)

    with pytest.raises(VolumeUnavailable):
        put(volumes, song)


def test_a_directory_in_the_place_of_the_file_is_told(volumes, song):
    key = hashlib.sha256(song.read_bytes()).hexdigest()
    (volumes.upload(key) / "in the way").mkdir(parents=True)

    with pytest.raises(VolumeUnavailable):
        put(volumes, song)

    assert files(volumes) == []


@pytest.mark.parametrize("key", ["../../etc/passwd", "AB" * 32, "ab" * 31, ""])
def test_only_a_hash_names_a_file(volumes, key):
    with pytest.raises(ValueError, match="sha256"):
        volumes.upload(key)
