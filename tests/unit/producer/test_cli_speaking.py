"""`say` and `submit`: text in, a path or an id out, nothing else on stdout."""

from __future__ import annotations

import json

import pytest

from producer.queues import Priority
from producer.state import JobState
from tests.unit.producer.cli_stage import AUDIO


def test_say_prints_the_path_of_the_audio_and_nothing_else(stage):
    code = stage.run("say", "Hello")

    (row,) = stage.farm.rows.values()
    assert (code, stage.out, stage.err) == (0, f"{stage.farm.volumes.locate(row.file)}\n", "")


def test_say_copies_the_audio_where_it_is_told(stage, tmp_path):
    target = tmp_path / "hello.wav"

    code = stage.run("say", "Hello", "-o", str(target))

    assert (code, stage.out) == (0, f"{target}\n")
    assert target.read_bytes() == AUDIO


def test_say_names_the_copy_by_the_job_in_a_directory(stage, tmp_path):
    stage.run("say", "Hello", "-o", str(tmp_path))

    (job_id,) = stage.farm.rows
    assert (tmp_path / f"{job_id}.wav").read_bytes() == AUDIO


@pytest.mark.parametrize(
    ("name", "flags", "wanted"),
    [
        ("a.mp3", [], "mp3"),
        ("a.OPUS", [], "opus"),
        ("a.audio", [], "wav"),
        ("a.mp3", ["-f", "flac"], "flac"),
    ],
)
def test_the_name_of_the_copy_asks_for_a_format(stage, tmp_path, name, flags, wanted):
    stage.run("say", "Hello", "-o", str(tmp_path / name), *flags)

    assert stage.farm.jobs[0].output.format == wanted


def test_say_refuses_a_copy_into_nowhere_before_anything_is_queued(stage, tmp_path):
    code = stage.run("say", "Hello", "-o", str(tmp_path / "no" / "a.wav"))

    assert (code, stage.farm.jobs) == (2, [])


def test_text_comes_from_stdin_or_from_a_file_too(stage, tmp_path):
    book = tmp_path / "book.txt"
    book.write_bytes("\ufeffOlá, mundo".encode())

    stage.run("say", "-", stdin=b"From a pipe")
    stage.run("say", "--text-file", str(book))

    assert [job.text for job in stage.farm.jobs] == ["From a pipe", "Olá, mundo"]


@pytest.mark.parametrize("arguments", [[], ["Hello", "--text-file", __file__]])
def test_exactly_one_text_is_wanted(stage, arguments):
    code = stage.run("say", *arguments)

    assert code == 2
    assert "--text-file" in stage.err
    assert stage.farm.jobs == []


def test_a_text_that_is_not_utf8_is_refused_where_it_breaks(stage):
    code = stage.run("say", "-", stdin=b"abc\xff")

    assert (code, stage.err) == (2, "voicefarm: text: is not UTF-8 at byte 3\n")


def test_every_flag_reaches_its_field(stage):
    stage.run(
        *("submit", "Olá", "--voice", "anna", "-l", "pt-br", "--speed", "1.5", "-f", "flac"),
        *("--sample-rate", "44100", "--seed", "7", "--temperature", "0.5", "--top-k", "40"),
        *("--top-p", "0.9", "--repetition-penalty", "4", "--length-penalty", "2"),
        *("--priority", "batch"),
    )

    (job,) = stage.farm.jobs
    assert (job.voice, job.language, job.speed, job.seed) == ("anna", "pt-br", 1.5, 7)
    assert (job.output.format, job.output.sample_rate_hz) == ("flac", 44100)
    assert (job.temperature, job.top_k, job.top_p) == (0.5, 40, 0.9)
    assert (job.repetition_penalty, job.length_penalty) == (4, 2)
    assert job.priority is Priority.BATCH


def test_a_wrong_field_is_a_usage_error_of_one_line(stage):
    code = stage.run("submit", "Hello", "--speed", "9")

    assert (code, stage.out, stage.farm.jobs) == (2, "", [])
    assert stage.err.startswith("voicefarm: speed: ")
    assert stage.err.count("\n") == 1


def test_say_with_json_tells_all_that_is_known(stage):
    stage.run("say", "Hello", "--json")

    told = json.loads(stage.out)
    assert told["state"] == "done"
    assert told["job"]["text"] == "Hello"
    assert told["duration_s"] == 1.5


def test_a_failed_job_is_an_error_that_says_why(stage):
    stage.farm.ending = JobState.FAILED

    code = stage.run("say", "Hello")

    (job_id,) = stage.farm.rows
    assert (code, stage.out) == (1, "")
    assert stage.err == f"voicefarm: job {job_id} failed (internal): it broke\n"


def test_a_suspicious_job_has_audio_all_the_same_and_the_doubt_is_told(stage):
    stage.farm.ending = JobState.SUSPICIOUS

    assert stage.run("say", "Hello") == 0
    assert stage.out
    (job_id,) = stage.farm.rows
    assert stage.err == f"voicefarm: job {job_id} is suspicious: too long\n"


def test_a_wait_that_times_out_names_the_job_that_goes_on(stage):
    stage.farm.ending = None

    code = stage.run("say", "Hello", "--timeout", "0")

    (job_id,) = stage.farm.rows
    assert (code, stage.out) == (124, "")
    assert f"voicefarm wait {job_id}" in stage.err


def test_ctrl_c_leaves_the_job_alone_and_names_it(stage):
    stage.farm.interrupted = True

    code = stage.run("say", "Hello")

    (row,) = stage.farm.rows.values()
    assert (code, row.state) == (130, JobState.QUEUED)
    assert f"voicefarm wait {row.id}" in stage.err


def test_ctrl_c_cancels_the_job_if_so_asked(stage):
    stage.farm.interrupted = True

    code = stage.run("say", "Hello", "--cancel-on-interrupt")

    (row,) = stage.farm.rows.values()
    assert (code, row.state) == (130, JobState.CANCELLED)


def test_say_can_insist_on_a_worker(stage):
    assert stage.run("say", "Hello", "--require-worker") == 69
    assert stage.farm.jobs == []


def test_a_broker_that_is_away_has_a_code_of_its_own(stage):
    stage.farm.unreachable = True

    code = stage.run("say", "Hello")

    assert code == 3
    assert "voicefarm up" in stage.err
    assert "Traceback" not in stage.err


def test_stdout_cannot_hold_audio_and_json(stage):
    assert stage.run("say", "Hello", "-o", "-", "--json") == 2
    assert stage.farm.jobs == []


def test_submit_prints_the_id(stage):
    code = stage.run("submit", "Hello")

    assert code == 0
    assert stage.out.split() == list(stage.farm.rows)


def test_pieces_of_a_book_are_queued_in_order_and_told_in_order(stage, tmp_path):
    book = tmp_path / "book.txt"
    chapters = [f"Chapter {number}. " + "word " * 8000 for number in range(3)]
    book.write_text("\n\n".join(chapters))

    code = stage.run("submit", "--pieces", "--text-file", str(book))

    assert code == 0
    assert [job.text[:9] for job in stage.farm.jobs] == ["Chapter 0", "Chapter 1", "Chapter 2"]
    assert stage.out.split() == list(stage.farm.rows)


def test_one_key_cannot_stand_for_many_pieces(stage):
    assert stage.run("submit", "--pieces", "Hello", "--idempotency-key", "k") == 2
    assert stage.farm.jobs == []


@pytest.mark.parametrize(
    "workers", [{}, {"books@host": {"state": "ready", "queues": ["speech.assemble"]}}]
)
def test_pieces_can_insist_on_a_worker_that_speaks(stage, workers):
    stage.farm.workers_there = workers

    assert stage.run("submit", "--pieces", "Hello", "--require-worker") == 69
    assert stage.farm.jobs == []
