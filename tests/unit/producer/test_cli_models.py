"""`voicefarm models`: a model is fetched whole, once, by whoever accepts its licence."""

from __future__ import annotations

import hashlib
import json
import re
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from producer import download
from producer.cli import models
from producer.cli.exit_codes import ExitCode
from producer.published import MODELS, XTTS_V2, PublishedFile
from tests.unit.producer.file_server import FileServer, serving
from worker.engine.xtts.files import NEEDED_FILES, PUBLISHED_FILES

CONTENTS = {file.name: file.name.encode() * 100 for file in XTTS_V2.files}

#: As people type it.
GET = ("models", "get", "xtts-v2", "--accept-licence")


@pytest.fixture(autouse=True)
def hub(monkeypatch, tmp_path) -> Iterator[FileServer]:
    """A hub with small files, which are the published ones."""
    files = tuple(
        PublishedFile(name, len(content), hashlib.sha256(content).hexdigest())
        for name, content in CONTENTS.items()
    )
    monkeypatch.setattr(download, "PAUSES_S", (0.0,))
    monkeypatch.setitem(MODELS, "xtts-v2", replace(XTTS_V2, files=files))  # type: ignore[arg-type]
    with serving() as server:
        for name, content in CONTENTS.items():
            server.files[f"/coqui/XTTS-v2/resolve/{XTTS_V2.revision}/{name}"] = content
        monkeypatch.setenv("VOICEFARM_HUB_URL", server.url)
        monkeypatch.setenv("VOICEFARM_HOME", str(tmp_path / "home"))
        yield server


@pytest.fixture
def directory(tmp_path) -> Path:
    return tmp_path / "home" / "models" / "xtts"


def contents(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.iterdir()}


def test_what_is_published_is_what_the_engine_reads():
    names = tuple(file.name for file in XTTS_V2.files)

    assert names == PUBLISHED_FILES
    assert {file.name for file in XTTS_V2.files if file.needed} == set(NEEDED_FILES)
    assert all(re.fullmatch("[0-9a-f]{64}", file.sha256) for file in XTTS_V2.files)


def test_a_model_is_fetched_into_the_home_and_its_paths_are_the_data(stage, directory):
    code = stage.run(*GET)

    assert code == ExitCode.GOOD
    assert contents(directory) == CONTENTS
    assert stage.out.splitlines() == [str(directory / name) for name in CONTENTS]


def test_without_a_word_on_the_licence_nothing_is_fetched_and_it_is_shown(stage, directory, hub):
    code = stage.run("models", "get", "xtts-v2")

    assert code == ExitCode.USAGE
    assert "non-commercial" in stage.err
    assert f"{hub.url}/coqui/XTTS-v2/resolve/{XTTS_V2.revision}/LICENSE.txt" in stage.err
    assert "--accept-licence" in stage.err
    assert (hub.asked, directory.exists()) == ([], False)


def test_the_licence_is_shown_to_who_accepts_it_too(stage):
    stage.run(*GET)

    assert "CPML" in stage.err


def test_what_is_there_is_not_fetched_again(stage, hub):
    stage.run(*GET)
    hub.asked.clear()

    code = stage.run(*GET, "--json")

    assert code == ExitCode.GOOD
    assert hub.asked == []
    facts = [json.loads(line) for line in stage.out.splitlines()]
    assert [(fact["file"], fact["fetched"]) for fact in facts] == [(n, False) for n in CONTENTS]


def test_only_what_is_missing_is_fetched_and_what_was_begun_goes_on(stage, directory, hub):
    stage.run(*GET)
    (directory / "vocab.json").unlink()
    (directory / "model.pth").rename(directory / "model.pth.part")
    with (directory / "model.pth.part").open("r+b") as part:
        part.truncate(10)
    hub.asked.clear()

    code = stage.run(*GET)

    assert code == ExitCode.GOOD
    assert contents(directory) == CONTENTS
    assert hub.ranges == [None, "bytes=10-"]


def test_a_file_of_ones_own_is_never_overwritten(stage, directory, hub):
    directory.mkdir(parents=True)
    (directory / "config.json").write_text("mine")

    code = stage.run(*GET)

    assert code == ExitCode.FAILED
    assert f"{directory / 'config.json'}: is another file" in stage.err
    assert (contents(directory), hub.asked) == ({"config.json": b"mine"}, [])


def test_a_disk_that_is_too_small_is_told_before_anything_is_fetched(
    stage, directory, hub, monkeypatch
):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(models.shutil, "disk_usage", lambda path: usage(models.SPARE_BYTES))

    code = stage.run(*GET)

    assert code == ExitCode.FAILED
    assert f"{directory}: " in stage.err
    assert "only 268 MB are free" in stage.err
    assert hub.asked == []


def test_without_a_hub_it_is_said_what_can_be_done(stage, directory, monkeypatch):
    monkeypatch.setenv("VOICEFARM_HUB_URL", "http://127.0.0.1:1")

    code = stage.run(*GET)

    assert code == ExitCode.FAILED
    for words in ("cannot be reached", "VOICEFARM_HUB_URL", f"into {directory} by hand"):
        assert words in stage.err
    for name, content in CONTENTS.items():
        assert f"{name} ({len(content):,} bytes)" in stage.err


def test_a_file_that_is_not_the_published_one_is_refused(stage, directory, hub):
    path = f"/coqui/XTTS-v2/resolve/{XTTS_V2.revision}/model.pth"
    hub.files[path] = hub.files[path].upper()

    code = stage.run(*GET)

    assert code == ExitCode.FAILED
    assert "model.pth: the server sends another file" in stage.err
    assert "model.pth" not in contents(directory)


def test_the_list_tells_what_is_there_of_each_file(stage, directory):
    stage.run(*GET)
    (directory / "config.json").write_text("mine")
    (directory / "vocab.json").unlink()
    (directory / "model.pth").rename(directory / "model.pth.part")
    with (directory / "model.pth.part").open("r+b") as part:
        part.truncate(450)

    code = stage.run("models", "ls", "--json")

    assert code == ExitCode.GOOD
    states = {fact["file"]: fact["state"] for fact in map(json.loads, stage.out.splitlines())}
    assert states == {
        "config.json": "another file",
        "vocab.json": "missing",
        "speakers_xtts.pth": "here",
        "model.pth": "50 %",
    }


@pytest.mark.parametrize(
    ("name", "value", "arguments"),
    [
        ("VOICEFARM_HUB_URL", "file:///etc", GET),
        ("VOICEFARM_HUB_URL", "", GET),
        ("VOICEFARM_HUB_URL", "https://name:secret@hub", GET),
        ("VOICEFARM_HOME", "/tmp/x", ("models", "get", "../../etc", "--accept-licence")),
    ],
)
def test_what_is_no_hub_or_no_model_is_a_mistake_of_usage(
    stage, monkeypatch, name, value, arguments, hub
):
    monkeypatch.setenv(name, value)

    assert stage.run(*arguments) == ExitCode.USAGE
    assert hub.asked == []


def test_a_home_that_cannot_be_written_is_told(stage, monkeypatch, tmp_path):
    (tmp_path / "file").touch()

    code = stage.run(*GET, "--home", str(tmp_path / "file"))

    assert code == ExitCode.FAILED
    assert "VOICEFARM_HOME" in stage.err


def test_a_bar_is_for_terminals_alone(stage):
    stage.run(*GET)

    assert "\x1b" not in stage.err
    assert "MB" not in stage.err
