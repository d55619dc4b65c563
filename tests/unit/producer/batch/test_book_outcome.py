"""The book of a batch: what became of it, and whether all of its files are what they were."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from producer.batch.book_outcome import book_facts, prove_book
from producer.batch.proof import Proof
from producer.job_row import JobRow
from producer.state import JobState
from producer.volumes import Volumes

FILES = {"book.m3u8": b"#EXTM3U", "chapter-001.flac": b"one", "chapter-001.vtt": b"WEBVTT"}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def volumes(tmp_path) -> Volumes:
    volumes = Volumes(tmp_path)
    volumes.make()
    return volumes


@pytest.fixture
def entry(volumes) -> Path:
    """A finished book of one chapter."""
    main, *others = FILES
    directory = volumes.processed / "aa" / "book"
    directory.mkdir(parents=True)
    for name, content in FILES.items():
        (directory / name).write_bytes(content)
    told = {
        "chapters": [{"title": "One"}],
        "files": [
            {"name": n, "size_bytes": len(FILES[n]), "sha256": sha256(FILES[n])} for n in others
        ],
        "after": {"loudness_lufs": -16.1, "true_peak_db": -1.2},
        "gain_db": 3.0,
        "missing": [],
    }
    manifest = {"sha256": sha256(FILES[main]), "samples": 5, "book": told}
    (directory / "job.json").write_text(json.dumps(manifest))
    return directory


@pytest.fixture
def row() -> JobRow:
    return JobRow(
        id="b" * 32,
        state=JobState.DONE,
        encoded="",
        file="processed/aa/book/book.m3u8",
        sha256=sha256(FILES["book.m3u8"]),
        size_bytes=len(FILES["book.m3u8"]),
        samples=5,
        duration_s=7200.0,
    )


def test_a_book_that_is_all_there_is_proven_with_every_file(entry, row, volumes):
    proof = Proof()

    assert list(prove_book(row, volumes, proof)) == []
    assert (proof.files, proof.bytes, proof.flaws) == (3, sum(map(len, FILES.values())), 0)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("harm", [Path.unlink, lambda file: file.write_bytes(b"other")])
def test_a_file_of_a_book_that_is_gone_or_another_is_told_by_its_name(
    entry, row, volumes, name, harm
):
    harm(entry / name)

    [flaw] = prove_book(row, volumes, Proof())

    assert flaw.path == f"processed/aa/book/{name}"


def test_a_manifest_leads_nowhere_else(entry, row, volumes):
    said = json.loads((entry / "job.json").read_text())
    said["book"]["files"][0]["name"] = "../../../../etc/passwd"
    (entry / "job.json").write_text(json.dumps(said))

    [flaw] = prove_book(row, volumes, Proof())

    assert (flaw.path, flaw.problem) == ("processed/aa/book/passwd", "passwd is missing")


def test_a_book_that_is_not_there_yet_or_never_will_be_is_no_flaw(row, volumes):
    waits, failed = Proof(), Proof()

    assert list(prove_book(replace(row, state=JobState.QUEUED), volumes, waits)) == []
    assert list(prove_book(replace(row, state=JobState.FAILED), volumes, failed)) == []
    assert (waits.unended, failed.without) == (1, 1)


def test_its_loudness_is_told_where_the_volume_can_be_seen(entry, row, volumes, tmp_path):
    told = book_facts(row, volumes)
    blind = book_facts(row, Volumes(tmp_path / "elsewhere"))

    assert (told["loudness_lufs"], told["true_peak_db"], told["chapters"]) == (-16.1, -1.2, 1)
    assert (blind["loudness_lufs"], blind["state"]) == (None, "done")
