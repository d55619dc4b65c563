"""An assembly: every format holds every sample, chapters and cover, and the book is levelled."""

from __future__ import annotations

import hashlib
import io
import json
from types import SimpleNamespace

import av
import numpy as np
import pytest

from producer.assemble_job import AssembleJob
from producer.content_key import content_key
from producer.errors import InvalidJob
from producer.uploads import put_bytes
from tests.unit.worker.pinned_thread import PROCESSORS, allowed, in_pinned_thread
from tests.unit.worker.shelf import FACTS, RATE_HZ, WAV, Shelf
from worker.attempt import Attempt
from worker.book.assembly import Assembly
from worker.book.gathering import BookChapter, Gathered, Part
from worker.book.timeline import Pauses
from worker.engine.errors import TakeCancelled
from worker.errors import StoreFailed, UploadMissing

#: Seconds of the parts of the two chapters.
CHAPTERS = ((1.0, 0.5), (0.75,))

JOB = AssembleJob(batch="0" * 24, title="Regen & Wind", author="Anna", subtitles="vtt")


def talk(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise with a swell, soft, and with a few high peaks."""
    rng = np.random.default_rng(seed)
    count = round(RATE_HZ * seconds)
    samples = 0.02 * rng.standard_normal(count) * (1 + np.sin(np.arange(count) / 2_000))
    samples[:: RATE_HZ // 8] = 0.25
    return samples.astype(np.float32)


@pytest.fixture
def shelf(tmp_path) -> Shelf:
    shelf = Shelf(tmp_path)
    shelf.volumes.make()
    return shelf


@pytest.fixture
def gathered(shelf) -> Gathered:
    """Three parts on the volume; the first one was spoken in two takes."""
    chapters = []
    for number, lengths in enumerate(CHAPTERS):
        parts = []
        for place, seconds in enumerate(lengths):
            key, samples = (
                content_key(chapter=number, part=place),
                talk(seconds, 10 * number + place),
            )
            takes = (len(samples) // 4, len(samples) - len(samples) // 4)
            facts = FACTS.model_copy(update={"take_samples": takes})
            with shelf.store.stage(key, WAV, RATE_HZ) as staged:
                staged.write(samples, RATE_HZ)
                entry = staged.commit(facts)
            # Two chunks: each of them is too long to have room for the other.
            text = "A" * 150 + ". " + "B" * 150 + "."
            parts.append(Part(key, entry.path, text, "en"))
        chapters.append(BookChapter(f"Chapter {'IJ'[number]}", parts))
    return Gathered(chapters, [])


@pytest.fixture
def assemble(shelf, gathered):
    """Make a book of the parts; returns its entry and where its files are."""

    def make(job: AssembleJob = JOB, progress=lambda of, done, audio_s: None, missing=()):
        whole = Gathered(gathered.chapters, list(missing))
        key = whole.key(job)
        with shelf.store.stage_files(key) as (directory, publish):
            entry = publish(Assembly(shelf.volumes, job, whole, progress).write(directory, key))
        return entry, shelf.volumes.entry(key)

    return make


def decoded(path) -> tuple[np.ndarray, int]:
    with av.open(str(path)) as file:
        rate_hz = file.streams.audio[0].codec_context.sample_rate
        frames = [frame.to_ndarray().reshape(-1) for frame in file.decode(audio=0)]
    samples = np.concatenate(frames)
    return (samples / 32768 if samples.dtype == np.int16 else samples), rate_hz


def expected_samples(rate_hz: int) -> int:
    pauses = Pauses.at(rate_hz)
    spoken = sum(round(seconds * rate_hz) for lengths in CHAPTERS for seconds in lengths)
    return spoken + 2 * (pauses.head + pauses.tail) + pauses.between


def jpeg() -> bytes:
    """A picture of eight grey pixels a side."""
    content = io.BytesIO()
    with av.open(content, "w", format="mjpeg") as file:
        stream = file.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt = 8, 8, "yuvj420p"
        for packet in (*stream.encode(av.VideoFrame(8, 8, "yuvj420p")), *stream.encode(None)):
            file.mux(packet)
    return content.getvalue()


def test_an_m4b_holds_all_samples_chapters_tags_and_the_cover_as_it_was(assemble, shelf):
    picture = jpeg()
    job = JOB.model_copy(update={"cover": put_bytes(shelf.volumes, picture)})

    entry, directory = assemble(job)

    samples, rate_hz = decoded(directory / "book.m4b")
    assert rate_hz == RATE_HZ
    assert 0 <= len(samples) - expected_samples(RATE_HZ) < 1024
    with av.open(str(directory / "book.m4b")) as file:
        assert (file.metadata["title"], file.metadata["artist"]) == ("Regen & Wind", "Anna")
        marks = [(c["metadata"]["title"], c["start"] / 1000) for c in file.chapters()]
        [packet] = [p for p in file.demux(file.streams.video[0]) if p.size]
        assert bytes(packet) == picture
    assert marks == [("Chapter I", 0.0), ("Chapter J", pytest.approx(4.1, abs=0.001))]
    assert entry.manifest.samples == expected_samples(RATE_HZ)


@pytest.mark.parametrize(("format", "rate_hz"), [("wav", 22_050), ("flac", 44_100), ("mp3", None),
                                                 ("opus", None)])  # fmt: skip
def test_other_formats_have_a_file_a_chapter_and_a_list_of_them(assemble, format, rate_hz):
    job = JOB.model_copy(update={"format": format, "sample_rate_hz": rate_hz})

    entry, directory = assemble(job)

    files = entry.manifest.files
    names = [f"chapter-001.{format}", f"chapter-002.{format}"]
    assert [file.name for file in files] == [*names, "chapter-001.vtt", "chapter-002.vtt"]
    assert sum(file.samples for file in files) == entry.manifest.samples
    assert entry.manifest.samples == expected_samples(entry.manifest.sample_rate_hz)
    for file in files:
        content = (directory / file.name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file.size_bytes, file.sha256)
    for name, file in zip(names, files, strict=False):
        samples, found_hz = decoded(directory / name)
        # Opus is always decoded at 48,000 Hz.
        assert len(samples) / found_hz == pytest.approx(
            file.samples / entry.manifest.sample_rate_hz, abs=0.03
        )
    listed = (directory / "book.m3u8").read_text().splitlines()
    assert listed == ["#EXTM3U", "#EXTINF:4,Chapter I", names[0], "#EXTINF:3,Chapter J", names[1]]
    assert (directory / "chapter-002.vtt").read_text().splitlines()[3].startswith("00:00:00.500")


def test_cues_stand_at_the_edges_of_the_takes(assemble):
    _, directory = assemble()

    lines = (directory / "book.vtt").read_text().splitlines()

    times = [line for line in lines if "-->" in line]
    assert times == [
        "00:00:00.500 --> 00:00:00.750",
        "00:00:00.750 --> 00:00:01.500",
        "00:00:02.100 --> 00:00:02.225",
        "00:00:02.225 --> 00:00:02.600",
        "00:00:04.600 --> 00:00:04.788",
        "00:00:04.788 --> 00:00:05.350",
    ]


@pytest.mark.parametrize("loudness", ["-16", "acx"])
def test_the_whole_book_is_brought_to_its_level_and_its_peaks_are_held_back(assemble, loudness):
    entry, directory = assemble(JOB.model_copy(update={"format": "wav", "loudness": loudness}))

    book = entry.manifest.book
    samples = np.concatenate([decoded(directory / f"chapter-00{n}.wav")[0] for n in (1, 2)])
    rms_db = 10 * np.log10(np.mean(np.square(samples)))
    assert book.doubt == ""
    assert book.limited_s > 0
    assert book.after.rms_db == pytest.approx(rms_db, abs=0.05)
    if loudness == "acx":
        assert -23 <= rms_db <= -18
        assert entry.manifest.sample_rate_hz == 44_100
    else:
        assert book.after.loudness_lufs == pytest.approx(-16, abs=0.5)
    assert 20 * np.log10(np.abs(samples).max()) <= (-3 if loudness == "acx" else -1)


def test_what_shall_stay_as_it_is_stays_to_the_bit(assemble):
    _, directory = assemble(JOB.model_copy(update={"format": "flac", "loudness": "off"}))

    samples, _ = decoded(directory / "chapter-001.flac")

    head = RATE_HZ // 2
    part = samples[head : head + RATE_HZ]
    assert np.array_equal(part, np.rint(talk(1.0, 0) * 32768).astype(np.int16) / 32768)


def test_what_is_missing_is_told_and_makes_the_book_doubtful(assemble):
    entry, _ = assemble(missing=["003-0001"])

    assert entry.manifest.doubt == "1 item is missing: 003-0001"


def test_a_book_is_found_again_until_one_of_its_files_is_broken(assemble, shelf):
    entry, directory = assemble(JOB.model_copy(update={"format": "wav"}))
    key = entry.manifest.content_key
    assert shelf.store.find(key, "m3u8") == entry

    (directory / "chapter-002.wav").write_bytes(b"short")

    assert shelf.store.find(key, "m3u8") is None


def test_an_end_between_two_parts_leaves_nothing_behind(assemble, shelf):
    def progress(of: int, done: int, audio_s: float) -> None:
        assert of == 9
        if done == 5:
            raise TakeCancelled("enough")

    with pytest.raises(TakeCancelled):
        assemble(progress=progress)

    assert list((shelf.volumes.processed / ".staging").iterdir()) == []


def test_a_part_or_a_cover_that_has_gone_is_told(assemble, shelf, gathered):
    with pytest.raises(UploadMissing):
        assemble(JOB.model_copy(update={"cover": "ab" * 32}))
    shelf.volumes.locate(gathered.chapters[1].parts[0].file).unlink()

    with pytest.raises(StoreFailed):
        assemble()


def test_a_cover_that_was_changed_or_is_no_picture_is_refused(assemble, shelf):
    playlist = put_bytes(shelf.volumes, b"#EXTM3U\nfile:///etc/passwd\n")
    changed = put_bytes(shelf.volumes, jpeg())
    shelf.volumes.upload(changed).write_bytes(jpeg() + b"more")

    for cover in (playlist, changed):
        with pytest.raises(InvalidJob, match="cover"):
            assemble(JOB.model_copy(update={"cover": cover}))


def test_the_manifest_is_read_by_its_own_reader(assemble, shelf):
    _, directory = assemble()

    told = json.loads((directory / "job.json").read_text())

    assert told["book"]["chapters"][1] == {
        "title": "Chapter J",
        "first": round(4.1 * RATE_HZ),
        "end": expected_samples(RATE_HZ),
        "items": 1,
    }
    assert told["job"]["kind"] == "assemble"


def test_an_attempt_is_told_how_many_parts_of_how_many_were_heard(assemble):
    ledger = SimpleNamespace(told=[])
    ledger.progress = lambda job_id, *told, **_: ledger.told.append(told)
    station = SimpleNamespace(ledger=ledger, leases=SimpleNamespace(holder="w@test"))

    assemble(progress=Attempt(station, "0" * 32, "tag").progress)

    assert [told[:2] for told in ledger.told] == [(9, done) for done in range(1, 10)]


def test_a_pinned_worker_puts_a_book_together_by_any_processor(assemble):
    found = set()

    in_pinned_thread(lambda: assemble(progress=lambda of, done, audio_s: found.add(allowed())))

    assert found == {PROCESSORS}
