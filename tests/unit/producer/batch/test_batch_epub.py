"""An EPUB is read in its order, chapter by chapter, and what nobody should open is refused."""

from __future__ import annotations

import sys

import pytest

from producer.batch import epub_archive
from producer.batch.reading import items_of, open_source
from producer.errors import InvalidItem
from tests.unit.producer.batch import epub_maker
from tests.unit.producer.batch.epub_maker import make_epub

BODIES = {
    "one.xhtml": "<h1>The Storm</h1><p>It rained&nbsp;all <em>night</em>.</p><p>Nobody slept.</p>",
    "two.xhtml": "<p>Still it rained.</p>",
    "three.xhtml": '<h2 id="c2">The Calm</h2><p>Then<br/>it stopped.</p><h2 id="c3">After</h2>'
    "<ul><li>One gull.</li><li>Two gulls.</li></ul>",
}
NAV = (
    '<li><a href="one.xhtml">The Storm</a></li><li><a href="three.xhtml#c2">The Calm</a></li>'
    '<li><a href="three.xhtml#c3">After all</a></li>'
)


@pytest.fixture
def book(tmp_path):
    return tmp_path / "book.epub"


def spoken(path) -> list[tuple[str, str]]:
    return [(item.chapter, item.job.text) for item in items_of(open_source(path), {})]


def test_chapters_begin_where_the_table_of_contents_says(book):
    make_epub(book, BODIES, NAV)

    assert spoken(book) == [
        ("The Storm", "The Storm"),
        ("", "It rained all night."),
        ("", "Nobody slept."),
        ("", "Still it rained."),
        ("The Calm", "The Calm"),
        ("", "Then it stopped."),
        ("After all", "After all"),
        ("", "After"),
        ("", "One gull."),
        ("", "Two gulls."),
    ]


def test_without_a_table_of_contents_each_document_is_a_chapter(book):
    make_epub(book, BODIES)

    names = [item.custom_id for item in items_of(open_source(book), {})]

    assert names[:4] == ["001-0001", "001-0002", "001-0003", "002-0001"]
    assert names[-1].startswith("003-")


def test_the_language_of_the_book_counts_unless_another_is_wanted(book):
    source = open_source(make_epub(book, BODIES))

    assert source.title == "The Lighthouse"
    assert next(items_of(source, {})).job.language == "en-gb"
    assert next(items_of(source, {"language": "de"})).job.language == "de"


def test_a_document_that_is_no_xml_is_read_as_html(book):
    make_epub(book, {"one.xhtml": "<p>An open <b>mark<p>and another paragraph"})

    assert [text for _, text in spoken(book)] == ["An open mark", "and another paragraph"]


@pytest.mark.parametrize(
    "body",
    [
        "<script>steal()</script><p>x</p>",
        '<p onclick="steal()">x</p>',
        '<p><a href=" JavaScript:steal()">x</a></p>',
    ],
)
def test_scripts_are_refused(book, body):
    make_epub(book, {"one.xhtml": body})

    with pytest.raises(InvalidItem, match=r"book\.epub: epub: holds scripts: OEBPS/one\.xhtml"):
        spoken(book)


def test_a_zip_bomb_is_refused_before_anything_of_it_is_unpacked(book):
    make_epub(book, BODIES, extra={"OEBPS/bomb.txt": bytes(3 * 2**20)})

    with pytest.raises(InvalidItem, match="zip bomb"):
        open_source(book)


def test_a_document_larger_than_any_book_is_refused(book, monkeypatch):
    monkeypatch.setattr(epub_archive, "MAX_DOCUMENT_BYTES", 2_000)
    make_epub(book, {"one.xhtml": "<p>" + "many words " * 400 + "</p>"})

    with pytest.raises(InvalidItem, match="too large to be a book"):
        spoken(book)


def test_many_documents_together_have_a_limit_too(book, monkeypatch):
    monkeypatch.setattr(epub_archive, "MAX_BOOK_BYTES", 4_000)
    make_epub(book, {f"{n}.xhtml": "<p>" + "some words " * 100 + "</p>" for n in range(5)})

    with pytest.raises(InvalidItem, match="too large to be a book"):
        spoken(book)


def test_entities_that_multiply_or_lead_to_a_file_are_refused(book, tmp_path):
    levels = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 9))
    for declared in (levels, f'<!ENTITY x SYSTEM "file://{tmp_path}/secret">'):
        make_with(book, "<p>&l8;&x;</p>", f'<!DOCTYPE html [<!ENTITY l0 "ha">{declared}]>')

        with pytest.raises(InvalidItem, match="declares entities"):
            spoken(book)


def make_with(book, body, doctype) -> None:
    """A book whose one document has another head than `make_epub` gives it."""
    page = epub_maker.PAGE.replace("<!DOCTYPE html>", doctype.replace("{", "{{"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(epub_maker, "PAGE", page)
        make_epub(book, {"one.xhtml": body})


def test_a_locked_book_is_refused(book):
    lock = (
        b'<encryption><EncryptedData><CipherData><CipherReference URI="OEBPS/one.xhtml"/>'
        b"</CipherData></EncryptedData></encryption>"
    )
    make_epub(book, BODIES, extra={"META-INF/encryption.xml": lock})

    with pytest.raises(InvalidItem, match="encrypted"):
        open_source(book)


def test_what_is_no_zip_is_no_epub(book):
    book.write_text("not a book")

    with pytest.raises(InvalidItem, match="no zip file"):
        open_source(book)


def test_without_lxml_the_missing_package_is_named(book, monkeypatch):
    monkeypatch.setitem(sys.modules, "lxml", None)

    with pytest.raises(InvalidItem, match=r"voicefarm\[books\]"):
        open_source(make_epub(book, BODIES))
