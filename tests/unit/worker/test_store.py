"""The store: what it keeps is found again, whole, and once for each key."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from shelf import FACTS, KEY, RATE_HZ, WAV, Shelf, tone

from producer.content_key import content_key
from producer.errors import VolumeUnavailable
from producer.job import AudioFormat, OutputSpec
from worker.manifest import Manifest
from worker.store import Entry

FORMATS: tuple[AudioFormat, ...] = get_args(AudioFormat)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """An empty one."""
    return Shelf(tmp_path / "home")


# What is stored is found again


@pytest.mark.parametrize("format", FORMATS)
def test_an_entry_is_the_file_and_the_truth_about_it(shelf: Shelf, format: AudioFormat) -> None:
    output = OutputSpec(format=format, sample_rate_hz=48_000)

    entry = shelf.put(tone(1.0), output=output)

    audio = shelf.volumes.locate(entry.path)
    assert entry.path == f"processed/{KEY[:2]}/{KEY}/audio.{format}"
    assert entry.manifest == Manifest(
        **FACTS.model_dump(),
        content_key=KEY,
        format=format,
        sha256=hashlib.sha256(audio.read_bytes()).hexdigest(),
        size_bytes=audio.stat().st_size,
        samples=48_000,
        sample_rate_hz=48_000,
        # Of a sine at half the full scale.
        rms_db=-9.03,
        peak_db=-6.02,
    )
    heard, rate_hz = soundfile.read(audio)
    assert (len(heard), rate_hz) == (48_000, 48_000)
    assert np.sqrt(np.mean(heard**2)) > 0.3
    assert shelf.store.find(KEY, format) == entry
    assert shelf.store.verify(entry)
    assert sorted(path.name for path in audio.parent.iterdir()) == [audio.name, "job.json"]
    assert shelf.staged == []


def test_what_was_never_stored_is_not_found(shelf: Shelf) -> None:
    shelf.put()

    assert shelf.store.find(content_key(text="other"), "wav") is None
    assert shelf.store.find(KEY, "flac") is None


@settings(max_examples=30, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 4800), max_size=6).map(sorted),
    rate_hz=st.sampled_from([None, 16_000, 44_100]),
)
def test_any_partition_into_chunks_gives_the_same_wav_file(
    cuts: list[int], rate_hz: int | None
) -> None:
    samples = tone(0.2)
    output = OutputSpec(sample_rate_hz=rate_hz)

    with tempfile.TemporaryDirectory() as home:
        shelf = Shelf(Path(home))
        whole = shelf.put(samples, output=output)
        with shelf.store.stage(content_key(text="in chunks"), output, RATE_HZ) as staged:
            for start, end in pairwise([0, *cuts, len(samples)]):
                staged.write(samples[start:end], RATE_HZ)
            joined = staged.commit(FACTS)

    assert joined.manifest.sha256 == whole.manifest.sha256
    assert joined.manifest.duration_s == pytest.approx(0.2, abs=1 / RATE_HZ)


def test_files_are_durable_before_their_name_and_the_name_before_the_answer(shelf: Shelf) -> None:
    seen_early: list[Entry | None] = []
    shelf.disk.at_the_first = lambda: seen_early.append(shelf.store.find(KEY, "wav"))

    shelf.put()

    (staged, staged_files), (published, published_files) = shelf.disk.flushed
    assert staged.parent == shelf.staging
    assert published == shelf.volumes.entry(KEY)
    assert staged_files == published_files == ["audio.wav", "job.json"]
    assert seen_early == [None]


def test_a_changed_byte_is_found_by_verify_alone(shelf: Shelf) -> None:
    entry = shelf.put()
    with shelf.volumes.locate(entry.path).open("r+b") as audio:
        audio.seek(1000)
        audio.write(b"\x55\xaa")

    assert shelf.store.find(KEY, "wav") == entry
    assert not shelf.store.verify(entry)


def test_verify_is_false_where_the_file_is_gone(shelf: Shelf) -> None:
    entry = shelf.put()
    shelf.volumes.locate(entry.path).unlink()

    assert not shelf.store.verify(entry)


# Only one entry for each key


def test_the_second_writer_of_a_key_gets_the_first_ones_entry(shelf: Shelf) -> None:
    first = shelf.put(tone(0.5))

    second = shelf.put(tone(0.25))

    assert second == first
    assert shelf.store.find(KEY, "wav") == first
    assert shelf.staged == []
    # The first writer may not have come as far as its own last flush.
    assert [path for path, _ in shelf.disk.flushed[2:]][-1] == shelf.volumes.entry(KEY)


@pytest.mark.parametrize("broken_before", [False, True])
def test_threads_that_write_one_key_agree_on_one_entry(shelf: Shelf, broken_before: bool) -> None:
    if broken_before:
        shelf.put()
        no_audio(shelf.volumes.entry(KEY))
    at_once = threading.Barrier(8)

    def write(number: int) -> Entry:
        with shelf.store.stage(KEY, WAV, RATE_HZ) as staged:
            staged.write(tone(0.1 + number / 100), RATE_HZ)
            at_once.wait(30)
            return staged.commit(FACTS)

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(write, range(8)))

    assert len({entry.manifest.sha256 for entry in found}) == 1
    assert shelf.store.find(KEY, "wav") == found[0]
    assert shelf.store.verify(found[0])
    assert shelf.entries == [shelf.volumes.entry(KEY)]
    assert shelf.staged == []


def corrupt_manifest(entry: Path) -> None:
    (entry / "job.json").write_text("{")


def binary_manifest(entry: Path) -> None:
    (entry / "job.json").write_bytes(b"\xff\xfe")


def foreign_manifest(entry: Path) -> None:
    manifest = Manifest.decode((entry / "job.json").read_bytes())
    other = manifest.model_copy(update={"content_key": content_key(text="other")})
    (entry / "job.json").write_text(other.encode())


def empty_audio(entry: Path) -> None:
    (entry / "audio.wav").write_bytes(b"")


def empty_audio_as_told(entry: Path) -> None:
    empty_audio(entry)
    manifest = Manifest.decode((entry / "job.json").read_bytes())
    (entry / "job.json").write_text(manifest.model_copy(update={"size_bytes": 0}).encode())


def short_audio(entry: Path) -> None:
    os.truncate(entry / "audio.wav", 1000)


def long_audio(entry: Path) -> None:
    with (entry / "audio.wav").open("ab") as audio:
        audio.write(b"\0")


def no_audio(entry: Path) -> None:
    (entry / "audio.wav").unlink()


def no_manifest(entry: Path) -> None:
    (entry / "job.json").unlink()


def no_files(entry: Path) -> None:
    shutil.rmtree(entry)
    entry.mkdir()


BREAKS = [
    corrupt_manifest, binary_manifest, foreign_manifest, empty_audio, empty_audio_as_told,
    short_audio, long_audio, no_audio, no_manifest, no_files,
]  # fmt: skip


@pytest.mark.parametrize("breaks", BREAKS)
def test_a_broken_entry_counts_as_absent_and_is_replaced(
    shelf: Shelf, breaks: Callable[[Path], None]
) -> None:
    shelf.put(tone(0.5))
    breaks(shelf.volumes.entry(KEY))
    assert shelf.store.find(KEY, "wav") is None

    entry = shelf.put(tone(0.25))

    assert entry.manifest.duration_s == 0.25
    assert shelf.store.find(KEY, "wav") == entry
    assert shelf.store.verify(entry)
    assert shelf.staged == []


def test_who_replaces_a_broken_entry_never_throws_out_a_whole_one(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.put()
    no_audio(shelf.volumes.entry(KEY))
    first_saw_it_broken, second_is_done = threading.Event(), threading.Event()
    find = shelf.store.find

    def find_and_dawdle(key: str, format: AudioFormat) -> Entry | None:
        found = find(key, format)
        if not first_saw_it_broken.is_set():
            first_saw_it_broken.set()
            # In vain where the second has to wait for the first, as it should.
            second_is_done.wait(0.3)
        return found

    monkeypatch.setattr(shelf.store, "find", find_and_dawdle)

    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(shelf.put, tone(0.1))
        assert first_saw_it_broken.wait(30)
        second = shelf.put(tone(0.2))
        second_is_done.set()

    assert first.result() == second == find(KEY, "wav")


# Names


@pytest.mark.parametrize(
    "key", ["", "abc", KEY.upper(), KEY + "\n", f"../{KEY[3:]}", "/etc/passwd", KEY[:-1] + "/"]
)
def test_what_is_no_key_is_refused(shelf: Shelf, key: str) -> None:
    with pytest.raises(ValueError, match="no content key"):
        shelf.store.find(key, "wav")
    with pytest.raises(ValueError, match="no content key"), shelf.store.stage(key, WAV, RATE_HZ):
        pytest.fail("was staged")

    assert shelf.staged == []


@pytest.mark.parametrize("format", ["../../x", "/etc/passwd", "exe", ""])
def test_what_is_no_format_is_refused(shelf: Shelf, format: AudioFormat) -> None:
    shelf.put()

    with pytest.raises(ValueError, match="no audio format"):
        shelf.store.find(KEY, format)


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "etc/passwd", ""])
def test_no_path_outside_the_volumes_can_be_verified(shelf: Shelf, path: str) -> None:
    outside = Entry(path, shelf.put().manifest)

    with pytest.raises(VolumeUnavailable):
        shelf.store.verify(outside)
