"""What a source says of its book: title, author, and the cover, which goes onto the volume."""

from __future__ import annotations

import pytest

from producer.batch.book import book_job, cover_of, words_of
from producer.batch.reading import open_source
from producer.batch.record import Source
from producer.errors import InvalidJob
from producer.volumes import Volumes
from tests.unit.producer.batch.epub_maker import make_epub

PICTURE = b"\xff\xd8\xff and so on"
BODIES = {"one.xhtml": "<p>It was dark.</p>"}
AUTHOR = "<dc:creator>Anna  Ende</dc:creator>"
BY_PROPERTY = (
    '<item id="c" href="c.jpg" media-type="image/jpeg" properties="cover-image"/>',
    "",
)
BY_META = (
    '<item id="c" href="c.jpg" media-type="image/jpeg"/>',
    '<meta name="cover" content="c"/>',
)


@pytest.fixture
def volumes(tmp_path) -> Volumes:
    volumes = Volumes(tmp_path / "home")
    volumes.make()
    return volumes


@pytest.mark.parametrize(("entries", "meta"), [BY_PROPERTY, BY_META])
def test_an_epub_says_its_title_author_and_cover(tmp_path, volumes, entries, meta):
    extra = {"OEBPS/c.jpg": PICTURE}
    path = make_epub(
        tmp_path / "book.epub", BODIES, extra=extra, more=AUTHOR + meta, entries=entries
    )

    said = words_of(open_source(path), volumes)

    assert (said["title"], said["author"]) == ("The Lighthouse", "Anna Ende")
    assert volumes.upload(said["cover"]).read_bytes() == PICTURE


@pytest.mark.parametrize("content", [b"<svg/>", b"#EXTM3U\nfile:///etc/passwd", b""])
def test_what_is_no_jpeg_or_png_is_no_cover(tmp_path, volumes, content):
    path = make_epub(
        tmp_path / "book.epub", BODIES, extra={"OEBPS/c.jpg": content}, entries=BY_PROPERTY[0]
    )

    assert "cover" not in words_of(open_source(path), volumes)
    with pytest.raises(InvalidJob, match="JPEG"):
        cover_of(content, volumes)


def test_a_cover_that_is_not_there_costs_nothing_but_itself(tmp_path, volumes):
    path = make_epub(tmp_path / "book.epub", BODIES, entries=BY_PROPERTY[0])

    assert words_of(open_source(path), volumes) == {"title": "The Lighthouse"}


def test_a_client_that_does_not_see_the_volume_leaves_the_cover_out(tmp_path):
    source = Source(lambda: iter(()), title="Rain", cover=lambda: PICTURE)

    assert words_of(source, Volumes(tmp_path / "elsewhere")) == {"title": "Rain"}


def test_what_is_said_by_hand_wins():
    job = book_job("0" * 24, "file.md", {"author": "Anna"}, {"author": "Ben", "format": "mp3"})

    assert (job.title, job.author, job.format) == ("file.md", "Ben", "mp3")
