"""`batch` and what goes with it, as typed: against a real broker, most of it without a worker."""

from __future__ import annotations

import asyncio
import io
import json
import time

import pytest

from producer import AsyncVoiceFarm, BatchNotFound, JobState, WaitTimeout
from producer.batch.ledger import BatchLedger
from producer.batch.schedule import Schedule
from producer.queues import RATES_KEY

pytestmark = pytest.mark.service

LINES = [{"custom_id": f"line {n}", "text": f"This is line number {n}."} for n in range(1, 101)]


@pytest.fixture
def lines(tmp_path):
    """A file of a hundred good lines."""
    return write(tmp_path / "lines.jsonl", LINES)


def write(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def broken(tmp_path):
    """The same with a broken line 57."""
    return write(
        tmp_path / "broken.jsonl",
        [line | ({"speed": "fast"} if n == 57 else {}) for n, line in enumerate(LINES, 1)],
    )


def test_a_dry_run_tells_how_much_it_is_and_queues_nothing(command, lines, client):
    code, out, _ = command("batch", str(lines), "--dry-run", "--json")

    told = json.loads(out)
    chars = sum(len(line["text"]) for line in LINES)
    assert (code, told["items"], told["chars"], told["chunks"]) == (0, 100, chars, 100)
    assert told["expected_audio_s"] == pytest.approx(chars / 15, abs=0.01)
    assert told["finish_s"] is None
    assert told["cached"] is None
    assert client.keys("voicefarm:*") == []


def test_a_broken_line_57_is_named_and_nothing_is_queued(command, broken, client):
    code, out, err = command("batch", str(broken))

    assert (code, out) == (2, "")
    assert err.startswith("voicefarm: line 57: speed: ")
    assert "nothing was queued" in err
    assert client.keys("voicefarm:*") == []


def test_a_dry_run_of_broken_lines_tells_each_of_them(command, broken):
    code, _, err = command("batch", str(broken), "--dry-run")

    assert code == 2
    assert "line 57: speed" in err


def test_a_wrong_line_that_is_skipped_has_its_answer_in_its_place(command, broken, tmp_path):
    code, out, _ = command("batch", str(broken), "--skip-invalid")
    assert code == 0

    code, told, _ = command("results", out.strip(), "-o", str(tmp_path / "results.jsonl"))

    answers = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert (code, told) == (0, f"{tmp_path / 'results.jsonl'}\n")
    assert [answer["custom_id"] for answer in answers] == [line["custom_id"] for line in LINES]
    wrong = [answer for answer in answers if answer["state"] == "failed"]
    assert [answer["detail"][:14] for answer in wrong] == ["line 57: speed"]


def test_lines_may_come_on_stdin(command, lines, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines.read_bytes())))

    code, out, _ = command("batch", "-", "--json")

    assert (code, json.loads(out)["items"]) == (0, 100)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--window", "22:00-22:00"], "never opens"),
        (["--window", "late"], "22:00-07:00"),
        (["--window", "22:00-07:00", "--tz", "Mars"], "time zone"),
        (["--deadline", "2020-01-01T07:00", "--tz", "UTC"], "has passed already"),
        (["--not-before", "soon", "--tz", "UTC"], "not_before"),
        (["--priority", "batch"], "batch work"),
        (["--voice", "../../etc"], "voice"),
    ],
)
def test_what_could_never_run_is_refused_before_anything_is_queued(
    command, lines, client, flags, told
):
    code, out, err = command("batch", str(lines), *flags)

    assert (code, out) == (2, "")
    assert told in err
    assert client.keys("voicefarm:*") == []


def test_an_empty_file_is_no_batch(command, tmp_path, client):
    code, out, err = command("batch", str(write(tmp_path / "empty.jsonl", [])))

    assert (code, out) == (2, "")
    assert "there is none" in err
    assert client.keys("voicefarm:*") == []


def test_status_tells_the_window_the_counts_and_that_the_end_is_unknown(command, lines):
    _, out, err = command("batch", str(lines), "--window", "22:00-07:00", "--tz", "Europe/Berlin")
    assert "unknown" in err

    code, told, _ = command("status", out.strip())

    assert code == 0
    assert "0/100 ended: 100 waiting_window" in told
    assert "22:00-07:00 Europe/Berlin" in told
    assert "unknown: the farm has not measured" in told


def test_status_tells_of_the_book_that_was_asked_for(command, lines):
    _, out, _ = command("batch", str(lines), "--assemble", "m4b", "--loudness", "-16")

    _, told, _ = command("status", out.strip())
    _, facts, _ = command("status", out.strip(), "--json")

    book_id = out.strip() + "f" * 8
    assert f"book      {book_id} waiting_window" in told.splitlines()
    assert json.loads(facts)["book"] == {"id": book_id, "state": "waiting_window"}


def test_flags_of_a_book_without_a_book_are_refused(command, lines):
    code, out, err = command("batch", str(lines), "--subtitles", "vtt")

    assert (code, out) == (2, "")
    assert "--assemble" in err


def test_the_end_is_told_once_the_farm_knows_how_fast_it_is(command, lines, client):
    rates = {"at_s": time.time() + 60, "rates": {"speech": 10.0}}
    client.hset(RATES_KEY, "w@test", json.dumps(rates))
    _, out, _ = command("batch", str(lines), "--json")
    batch_id = json.loads(out)["id"]

    _, told, _ = command("estimate", batch_id, "--json")

    answer = json.loads(told)
    assert answer["rate"] == 10.0
    assert answer["in_time"] is True
    assert answer["finish_s"] == pytest.approx(time.time() + answer["backlog_s"] / 10, abs=30)


def test_a_deadline_that_cannot_be_met_is_told_at_once(command, lines, client):
    rates = {"at_s": time.time() + 60, "rates": {"speech": 0.01}}
    client.hset(RATES_KEY, "w@test", json.dumps(rates))
    soon = time.strftime("%Y-%m-%dT%H:%M", time.gmtime(time.time() + 600))

    code, out, err = command("batch", str(lines), "--deadline", soon, "--tz", "UTC")

    assert code == 0
    assert len(out.strip()) == 24
    assert "not in time" in err


def test_batches_are_paused_and_resumed_by_their_ids_and_all_together(command, farm):
    batch = farm.batch(["one"])

    assert command("pause", batch.id)[:2] == (0, f"{batch.id} paused\n")
    assert batch.row().paused
    assert command("resume", batch.id)[:2] == (0, f"{batch.id} resumed\n")
    assert not batch.row().paused
    command("pause")
    assert batch.ledger.all_paused
    command("resume")
    assert not batch.ledger.all_paused


def test_a_wait_that_is_over_says_how_far_it_is_and_the_batch_goes_on(command, farm):
    batch = farm.batch(["one", "two"])

    code, _, err = command("wait", batch.id, "--timeout", "0")

    assert code == 124
    assert "at 0 of 2 items" in err
    with pytest.raises(WaitTimeout):
        batch.wait(timeout_s=0)


def test_a_batch_may_be_waited_for_as_it_is_queued(command, lines, farm):
    code, out, err = command("batch", str(lines), "--wait", "--timeout", "0")

    assert (code, out) == (124, "")
    batch_id = err.partition("its id is ")[2].split()[0]
    assert farm.batch_of(batch_id).row().items == 100


@pytest.mark.parametrize("words", [["status"], ["wait"], ["results"], ["estimate"], ["pause"]])
def test_a_batch_that_nobody_knows_is_told(command, words):
    code, out, err = command(*words, "0" * 24)

    assert (code, out) == (1, "")
    assert err == f"voicefarm: batch {'0' * 24} is not known to this broker\n"


def test_a_book_is_spoken_in_its_order_and_a_client_may_come_back_for_it(
    command, tmp_path, start_worker, farm
):
    (tmp_path / "book.md").write_text("# One\n\nIt rained.\n\nStill.\n\n# Two\n\nIt stopped.\n")
    start_worker("w", slots=4)

    _, out, _ = command("batch", str(tmp_path / "book.md"), "--format", "flac")
    code, told, _ = command("wait", out.strip(), "--timeout", "60")
    _, answers, _ = command("results", out.strip())

    assert (code, told) == (0, f"{out.strip()} 5 done\n")
    lines = [json.loads(line) for line in answers.splitlines()]
    assert [(line["custom_id"], line["chapter"]) for line in lines] == [
        ("001-0001", "One"),
        ("001-0002", None),
        ("001-0003", None),
        ("002-0001", "Two"),
        ("002-0002", None),
    ]
    assert all(line["path"].endswith(".flac") and line["sha256"] for line in lines)
    for format, cached in (("flac", 5), ("wav", 0)):
        _, out, _ = command(
            "batch", f"{tmp_path}/book.md", "--format", format, "--dry-run", "--json"
        )
        assert json.loads(out)["cached"] == cached


def test_a_failed_item_makes_wait_fail_and_its_line_says_why(command, start_worker, farm):
    start_worker("w", fake_fail_on="BAD")
    batch = farm.batch(["A good one.", "A BAD one."])

    code, _, _ = command("wait", batch.id, "--timeout", "60")

    assert code == 1
    assert [line["state"] for line in batch.results()] == ["done", "failed"]


def test_the_asyncio_twin_says_the_same(redis_url, home, start_worker):
    start_worker("w")

    async def main() -> list[str]:
        async with AsyncVoiceFarm(redis_url, home=home) as farm:
            batch = await farm.batch(["one", "two"], schedule=Schedule())
            row = await batch.wait(timeout_s=60)
            assert row.counts[JobState.DONE] == 2
            assert not await farm.batch_of(batch.id).cancel()
            return [line["state"] async for line in batch.results()]

    assert asyncio.run(main()) == ["done", "done"]


def test_a_client_that_is_interrupted_on_the_way_in_leaves_nothing(farm, client, monkeypatch):
    write = BatchLedger.write

    def interrupted(ledger, batch_id, first, items, now_s):
        if first:
            raise KeyboardInterrupt
        write(ledger, batch_id, first, items, now_s)

    monkeypatch.setattr(BatchLedger, "write", interrupted)

    with pytest.raises(KeyboardInterrupt):
        farm.batch([f"line {n}" for n in range(700)])

    assert client.keys("voicefarm:batch*") == []
    assert client.keys("voicefarm:job:*") == []


def test_an_unknown_batch_is_an_error_of_its_own(farm):
    with pytest.raises(BatchNotFound):
        farm.batch_of("0" * 24).row()
