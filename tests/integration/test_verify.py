"""`verify` reads every file again, and `report` tells what became of a batch."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from producer.queues import job_key
from tests.conftest import eventually

pytestmark = pytest.mark.service

#: The commands that read every item.
WORDS = ("report", "verify")


@pytest.fixture
def batch(farm, start_worker):
    """Three items that were spoken, and one that could not be."""
    start_worker("w", fake_fail_on="BAD")
    batch = farm.batch(["One.", "Two.", "Three.", "A BAD one."])
    batch.wait(timeout_s=60)
    return batch


def file_of(batch, number: int) -> Path:
    return Path(list(batch.results())[number]["path"])


def test_a_batch_whose_files_are_all_there_is_proven(batch, command):
    code, out, _ = command("verify", batch.id, "--json")

    told = json.loads(out)
    assert (code, told["files"], told["flaws"], told["without"]) == (0, 3, 0, 1)
    assert told["bytes"] == sum(line["size_bytes"] or 0 for line in batch.results())
    assert batch.verify() == []


def swap_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-2])


def swap_manifest(file: Path) -> None:
    manifest = file.with_name("job.json")
    facts = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(facts | {"samples": facts["samples"] + 1}))


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (Path.unlink, "audio.wav is missing"),
        (swap_a_bit, "another sha256"),
        (cut, "another sha256"),
        (swap_manifest, "samples"),
        (lambda file: file.with_name("job.json").unlink(), "job.json is missing"),
    ],
)
def test_a_file_that_is_missing_or_different_is_named(batch, command, harm, told):
    harm(file_of(batch, 1))

    code, _, err = command("verify", batch.id)

    assert code == 1
    assert err.startswith("voicefarm: item-2: ")
    assert told in err
    assert err.count("\n") == 1


def test_a_report_tells_the_sum_and_names_what_failed(batch, command, tmp_path):
    code, out, _ = command("report", batch.id, "--html", str(tmp_path / "night.html"))

    assert code == 1
    assert out.startswith("4 asked = 3 done + 1 failed\n")
    assert "item-4" in out
    assert "A BAD one." in (tmp_path / "night.html").read_text()


def test_a_report_in_json_is_one_object(batch, command):
    _, out, _ = command("report", batch.id, "--json")

    told = json.loads(out)
    assert (told["asked"], told["adds_up"], told["counts"]) == (4, True, {"done": 3, "failed": 1})
    assert told["audio_s"] == pytest.approx(
        sum(line["duration_s"] or 0 for line in batch.results()), abs=0.01
    )


def test_a_batch_that_the_ledger_has_forgotten_is_told_from_the_volume(batch, command, farm):
    told = [list(batch.results()), *(command(word, batch.id, "--json") for word in WORDS)]
    eventually(lambda: batch.archive.row())

    farm.broker.redis.flushall()

    assert [list(batch.results()), *(command(word, batch.id, "--json") for word in WORDS)] == told
    assert command("wait", batch.id)[0] == 1
    assert "not known" in command("report", "b" * 24)[2]


def test_items_that_were_forgotten_before_their_batch_are_told_from_the_volume(batch, farm):
    told = list(batch.results())
    eventually(lambda: batch.archive.row())

    farm.broker.redis.delete(*(job_key(line["id"]) for line in told[1:3]))

    assert list(batch.results()) == told
