"""A batch that has ended lies on the volume, and is read from there as from the ledger."""

from __future__ import annotations

import json

import pytest

from producer.batch.account import job_id_of
from producer.batch.archive import Archive, completed
from producer.batch.ledger import ItemRow, item_row
from producer.batch.report import report
from producer.errors import VolumeUnavailable
from producer.job import speech_job
from producer.state import JobState
from producer.volumes import Volumes
from worker.batch_archive import BatchArchive
from worker.durability import Volatile

BATCH = "a" * 24


def row_of(number: int, **more: str) -> dict[str, str]:
    return {
        "state": "done",
        "spec": speech_job(f"Text number {number}, größer.").encode(),
        "at:running": "5",
        "at:done": "7.5",
        "item": f"name {number}",
        "file": f"processed/aa/{number}/audio.wav",
        "duration_s": "2.5",
        **more,
    }


class Rows:
    """A ledger with one batch."""

    def __init__(self, *rows: dict[str, str]) -> None:
        self.rows = list(rows)
        self.failure: Exception | None = None

    def raw(self, batch_id: str) -> tuple[dict[str, str], dict[str, str]]:
        if self.failure:
            raise self.failure
        fields = {"name": "A book", "client": "me", "created_s": "1", "whole": "1"}
        states = [row.get("state") for row in self.rows]
        return {**fields, "items": str(len(self.rows))}, {
            state: str(states.count(state)) for state in set(states) if state
        }

    def raw_items(self, batch_id: str):
        yield from enumerate(self.rows)

    def items(self) -> list[ItemRow]:
        return [item_row(n, job_id_of(BATCH, n), row) for n, row in enumerate(self.rows)]


@pytest.fixture
def volumes(tmp_path) -> Volumes:
    volumes = Volumes(tmp_path)
    volumes.make()
    (volumes.processed / ".staging").mkdir()
    return volumes


@pytest.fixture
def rows() -> Rows:
    return Rows(row_of(0), row_of(1, state="failed", detail="no\nvoice"), row_of(2))


@pytest.fixture
def writer(rows, volumes) -> BatchArchive:
    return BatchArchive(rows, volumes, Volatile())


@pytest.fixture
def archive(volumes) -> Archive:
    return Archive(volumes, BATCH)


def test_what_is_read_is_what_the_ledger_had(writer, archive, rows):
    writer.write(BATCH)

    row = archive.row()
    assert list(archive.items()) == rows.items()
    assert (row.name, row.items, row.has_ended) == ("A book", 3, True)
    assert report(row, archive.items()).adds_up


def test_the_results_are_there_for_people_with_paths_below_home(writer, volumes):
    writer.write(BATCH)

    file = volumes.batch(BATCH) / "results.jsonl"
    lines = list(map(json.loads, file.read_text().splitlines()))
    assert [line["custom_id"] for line in lines] == ["name 0", "name 1", "name 2"]
    assert lines[0]["path"] == "processed/aa/0/audio.wav"
    assert list((volumes.processed / ".staging").iterdir()) == []


def test_a_batch_that_is_written_again_stands_in_the_place_of_the_first(writer, archive, rows):
    writer.write(BATCH)
    rows.rows[1] = row_of(1)

    writer.write(BATCH)

    assert archive.row().counts[JobState.DONE] == 3
    assert list(archive.items()) == rows.items()


def test_what_was_changed_behind_its_hash_is_not_believed(writer, archive, volumes):
    writer.write(BATCH)
    file = volumes.batch(BATCH) / "ledger.jsonl"
    file.write_text(file.read_text().replace("2.5", "9.5"))

    with pytest.raises(VolumeUnavailable, match="not what was written"):
        list(archive.items())


@pytest.mark.parametrize("batch_id", ["b" * 24, "../../etc", ""])
def test_what_was_never_written_is_nothing(volumes, batch_id):
    archive = Archive(volumes, batch_id)

    assert archive.row() is None
    assert list(archive.items()) == []


def test_items_that_the_ledger_has_forgotten_are_taken_from_the_volume(writer, archive, rows):
    writer.write(BATCH)
    before = rows.items()
    rows.rows[0] = rows.rows[2] = {}

    assert list(completed(iter(rows.items()), archive)) == before


def test_a_batch_that_cannot_be_written_is_not_filed_and_tried_again_later(writer, rows):
    rows.failure = OSError("no space left on device")

    assert not writer.has_filed(BATCH)
    rows.failure = None
    assert not writer.has_filed(BATCH)
    writer._again_s.clear()
    assert writer.has_filed(BATCH)
