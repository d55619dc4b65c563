"""A pinned worker: its threads share a processor, but sound is read and written by all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile
from pinned_thread import allowed, in_pinned_thread
from shelf import FACTS, KEY, RATE_HZ, WAV, Shelf, tone

from worker import boot, pressroom
from worker.audio import AudioWriter
from worker.config import WorkerSettings
from worker.engine.affinity import PROCESSORS
from worker.pressroom import Pressroom
from worker.recordings import judge


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


def test_a_recording_is_judged_by_any_processor(tmp_path: Path):
    file = tmp_path / "upload.wav"
    soundfile.write(file, tone(), RATE_HZ)
    found: set[frozenset[int]] = set()
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()

    in_pinned_thread(lambda: judge(file, sha256, lambda far: found.add(allowed())))

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

    Bare.settings = WorkerSettings(**settings)
    named: list[str] = []
    monkeypatch.setattr(boot.Station, "current", lambda: Bare)
    monkeypatch.setattr(boot, "pin", named.append)

    boot._pin("gpu0@host")

    assert named == (["gpu0@host"] if pins else [])
