"""Books: a Markdown book goes in, one file with chapters and cues comes out; real workers."""

from __future__ import annotations

import json
import re

import av
import numpy as np
import pytest
import soundfile

from producer import JobFailed, JobState, NoWorker

pytestmark = pytest.mark.service

BOOK = """# One

It rained all day, and nobody went out.

Still raining.

# Two & more

It stopped.
"""

#: What cues may be off by.
TOLERANCE_S = 0.020


@pytest.fixture
def book(tmp_path):
    path = tmp_path / "rain.md"
    path.write_text(BOOK)
    return path


def decoded(path) -> tuple[np.ndarray, int]:
    """The samples of a file and their rate."""
    with av.open(str(path)) as file:
        rate_hz = file.streams.audio[0].codec_context.sample_rate
        frames = [frame.to_ndarray().reshape(-1) for frame in file.decode(audio=0)]
    return np.concatenate(frames), rate_hz


def cues(text: str) -> list[tuple[float, float, str]]:
    """The cues of a WebVTT file, in seconds."""
    found = re.findall(r"(\S+) --> (\S+)\n(.*)\n", text)
    return [(seconds(first), seconds(end), words) for first, end, words in found]


def seconds(clock: str) -> float:
    hours, minutes, rest = clock.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


def sounding(samples: np.ndarray, rate_hz: int) -> list[tuple[float, float]]:
    """From where to where there is sound, with half a second of silence in between."""
    at = np.flatnonzero(np.abs(samples) > 0.02)
    gaps = np.flatnonzero(np.diff(at) > 0.4 * rate_hz)
    firsts = [at[0], *at[gaps + 1]]
    ends = [*at[gaps], at[-1]]
    return [(first / rate_hz, end / rate_hz) for first, end in zip(firsts, ends, strict=True)]


def test_a_book_is_one_file_with_chapters_and_its_cues_match_what_is_heard(
    command, book, start_worker, home, tmp_path
):
    start_worker("w", slots=4)

    _, out, _ = command("batch", str(book), "--assemble", "m4b", "--subtitles", "vtt")
    code, told, _ = command("wait", out.strip(), "--timeout", "60")
    _, path, _ = command("fetch", out.strip(), "-o", str(tmp_path / "out.m4b"))

    assert code == 0, told
    items = [json.loads(line) for line in command("results", out.strip())[1].splitlines()]
    samples, rate_hz = decoded(path.strip())
    with av.open(path.strip()) as file:
        assert file.metadata["title"] == "rain"
        titles = [chapter["metadata"]["title"] for chapter in file.chapters()]
    assert titles == ["One", "Two & more"]
    told = cues((tmp_path / "out.vtt").read_text())
    assert [words for _, _, words in told] == [
        "One",
        "It rained all day, and nobody went out.",
        "Still raining.",
        "Two &amp; more",
        "It stopped.",
    ]
    heard = sounding(samples, rate_hz)
    assert len(heard) == len(told)
    for (first, _), (cue_first, cue_end, _), item in zip(heard, told, items, strict=True):
        assert first == pytest.approx(cue_first, abs=TOLERANCE_S)
        # The fake voice ends its sentences with silence.
        assert cue_end - cue_first == pytest.approx(item["duration_s"], abs=0.001)
    told = json.loads(command("report", out.strip(), "--json")[1])["book"]
    assert (told["state"], told["chapters"]) == ("done", 2)
    assert told["loudness_lufs"] == pytest.approx(-16, abs=0.5)
    assert command("verify", out.strip())[0] == 0
    (home / told["path"]).with_name("book.vtt").write_text("WEBVTT\n")
    code, _, err = command("verify", out.strip())
    assert (code, "the book" in err, "book.vtt" in err) == (1, True, True)


def test_a_book_with_a_hole_is_not_made_unless_it_may_have_one_and_then_only_once(
    command, start_worker, farm, tmp_path
):
    start_worker("w", fake_fail_on="BAD")
    batch = farm.batch(["A good one.", "A BAD one."], assemble={"format": "flac"})

    with pytest.raises(JobFailed) as failed:
        batch.book.wait(60)
        batch.book.result()
    assert (failed.value.reason, "item-2" in failed.value.detail) == ("items_missing", True)

    asked = ("assemble", batch.id, "-f", "flac", "--allow-missing", "--timeout", "60")
    code, out, err = command(*asked, "-o", str(tmp_path))
    assert (code, out.strip()) == (0, str(tmp_path / "book.m3u8"))
    assert "1 item is missing: item-2" in err
    assert soundfile.info(tmp_path / "chapter-001.flac").frames > 0

    first, second = (json.loads(command(*asked, "--json")[1]) for _ in range(2))
    assert first["path"] == second["path"]
    assert first["id"] != second["id"]
    assert second["state"] == JobState.SUSPICIOUS


def test_a_worker_for_books_alone_makes_them_and_offers_no_voice(start_worker, farm):
    start_worker("books", "-Q", "speech.assemble")
    assert farm.voices().offers == ()
    with pytest.raises(NoWorker):
        farm.submit("Hello", require_worker=True)
    start_worker("w", books=0)

    batch = farm.batch(["A good one.", "Another."], assemble={"format": "flac"})

    assert batch.book.wait(60) is JobState.DONE
    assert farm.job(batch.book.id).row().node == "books@test"
