"""A pinned worker: its threads share a processor, but sound is read and written by all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile
from pinned_thread import PROCESSORS, allowed, in_pinned_thread
from shelf import FACTS, KEY, RATE_HZ, WAV, Shelf, tone

from producer.volumes import Volumes
from worker import boot, pressroom, take_shelf
from worker.audio import AudioWriter
from worker.config import WorkerSettings
from worker.engine.errors import UnfitAudio
from worker.engine.espeak import EspeakModel
from worker.engine.request import Take
from worker.plan import Script
from worker.pressroom import Pressroom
from worker.recordings import judge
from worker.rendition import LONG_CHUNKS, processors_for
from worker.take_shelf import TakeShelf


@pytest.fixture
def while_written(monkeypatch: pytest.MonkeyPatch) -> set[frozenset[int]]:
    """What the threads that encode and hash files may use meanwhile."""
    found: set[frozenset[int]] = set()
    for name in ("write", "seal"):
        genuine = getattr(AudioWriter, name)

        def watched(*arguments: Any, genuine: Callable[..., Any] = genuine) -> Any:
            found.add(allowed())
            return genuine(*arguments)

        monkeypatch.setattr(AudioWriter, name, watched)
    return found


@pytest.mark.parametrize("seconds", [1.0, 5.0])
def test_a_file_is_encoded_by_any_processor(while_written, tmp_path, monkeypatch, seconds):
    monkeypatch.setattr(pressroom, "SHORT_BYTES", 4 * RATE_HZ * 3)
    shelf = Shelf(tmp_path / "home")
    room = Pressroom(shelf.store, shelf.volumes.home, most=0)

    def put() -> None:
        with room.stage(KEY, WAV, RATE_HZ) as draft:
            for _ in range(2):
                draft.write(tone(seconds / 2), RATE_HZ)
            draft.commit(FACTS)

    in_pinned_thread(put)

    assert shelf.store.find(KEY, "wav") is not None
    assert while_written == {PROCESSORS}


@pytest.mark.parametrize(("chunks", "is_free"), [(1, False), (LONG_CHUNKS, True)])
def test_the_thread_of_a_long_job_has_all_processors_until_its_end(chunks, is_free):
    found: set[frozenset[int]] = set()

    def render() -> None:
        with processors_for(Script(iter(()), chunks)):
            found.add(allowed())

    in_pinned_thread(render)

    assert (found == {PROCESSORS}) is is_free


def test_a_recording_is_judged_by_any_processor(tmp_path: Path):
    file = tmp_path / "upload.wav"
    soundfile.write(file, tone(), RATE_HZ)
    found: set[frozenset[int]] = set()
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()

    in_pinned_thread(lambda: judge(file, sha256, lambda far: found.add(allowed())))

    assert found == {PROCESSORS}


def test_a_recording_that_is_refused_leaves_its_thread_pinned(tmp_path: Path):
    file = tmp_path / "upload.wav"
    file.write_bytes(b"no audio")

    def refused() -> None:
        with pytest.raises(UnfitAudio):
            judge(file, hashlib.sha256(b"no audio").hexdigest(), lambda far: None)

    in_pinned_thread(refused)


def test_a_take_is_kept_and_found_by_any_processor(tmp_path: Path, monkeypatch):
    volumes = Volumes(tmp_path)
    volumes.make()
    shelf = TakeShelf(volumes, budget_bytes=10**6)
    found: set[frozenset[int]] = set()
    genuine = hashlib.sha256

    def watched(content: Any) -> Any:
        found.add(allowed())
        return genuine(content)

    monkeypatch.setattr(take_shelf.hashlib, "sha256", watched)
    take = Take(tone(), RATE_HZ, waited_s=0.0, computed_s=0.0, trimmed_s=0.0, truncated=False)

    def keep_and_find() -> None:
        shelf.keep(KEY, take)
        assert shelf.find(KEY) is not None

    in_pinned_thread(keep_and_find)

    assert found == {PROCESSORS}


def test_espeak_speaks_by_any_processor():
    model = EspeakModel(slots=1)
    found: set[frozenset[int]] = set()

    def load() -> None:
        model.load()
        found.add(allowed(model._loaded()._process.pid))
        model.close()

    in_pinned_thread(load)

    assert found == {PROCESSORS}


@pytest.mark.parametrize(
    ("settings", "pins"),
    [
        ({"engine": "fake"}, True),
        ({"engine": "xtts"}, True),
        ({"engine": "xtts", "engine_process": "own"}, True),
        # Its networks would all compute on that one processor.
        ({"engine": "xtts", "engine_process": "inline"}, False),
        ({"engine": "fake", "pinned": False}, False),
    ],
)
def test_a_worker_is_pinned_unless_networks_compute_in_it(
    monkeypatch, settings: dict[str, Any], pins: bool
):
    class Bare:
        """All of a station that counts here."""

        settings: WorkerSettings
        volumes = Volumes(Path("nowhere"))

    Bare.settings = WorkerSettings(**settings)
    named: list[str] = []
    monkeypatch.setattr(boot.Station, "current", lambda: Bare)
    monkeypatch.setattr(boot, "pin", lambda name, directory: named.append(name))

    boot._pin("gpu0@host")

    assert named == (["gpu0@host"] if pins else [])
