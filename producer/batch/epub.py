"""EPUB: a zip with a package that names its documents in the order of reading.

Only what is read is unpacked, never to disk. Bombs, scripts and locked books are refused.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from ..errors import InvalidItem
from .chapters import Chapter
from .epub_archive import EpubArchive
from .xhtml import Block, blocks_of

if TYPE_CHECKING:
    from lxml.etree import _Element

_CONTAINER: Final = "META-INF/container.xml"
_LOCKS: Final = "META-INF/encryption.xml"

#: Media types of documents that can be read aloud.
_DOCUMENTS: Final = ("application/xhtml+xml", "text/html")

#: Where in the book something stands: the name of a document and an id in it, or none.
_Spot = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Entry:
    """One line of the package's manifest."""

    name: str
    media_type: str
    properties: tuple[str, ...]


class EpubBook:
    """An open EPUB. Raises `InvalidItem` for one that is refused, as soon as it is opened."""

    def __init__(self, path: Path) -> None:
        self._archive = EpubArchive(path)
        container = self._archive.xml(_CONTAINER)
        roots = container.xpath("//*[local-name()='rootfile']/@full-path")
        if not roots:
            raise self._archive.refused("names no package: it is no EPUB")
        self._folder = posixpath.dirname(roots[0])
        package = self._archive.xml(roots[0])
        self._entries = self._manifest(package)
        self._spine = [
            self._entries[name]
            for name in package.xpath(
                "//*[local-name()='itemref'][not(@linear='no')]/@idref",
            )
            if name in self._entries
        ]
        self.title = _first(package, "title")
        self.author = _first(package, "creator")
        self._cover = self._cover_entry(package)
        self.language = _first(package, "language")
        self._titles = self._contents(package)
        self._refuse_what_is_no_text()

    def chapters(self) -> Iterator[Chapter]:
        """Yield the chapters in the order of reading, one document in memory at a time.

        Where the table of contents names a place a chapter begins; a document that it does not
        know goes on with the chapter before. Without a table each document is a chapter.
        """
        title, paragraphs = "", list[str]()
        for entry in self._spine:
            if entry.media_type not in _DOCUMENTS or "nav" in entry.properties:
                continue
            for block in self._blocks(entry):
                found = self._title_at(entry.name, block)
                if found is not None:
                    yield Chapter(title, paragraphs)
                    title, paragraphs = found, []
                # The heading that the title repeats would be spoken twice.
                if block.text and block.text.casefold() != (
                    title.casefold() if not paragraphs else ""
                ):
                    paragraphs.append(block.text)
        yield Chapter(title, paragraphs)

    def cover(self) -> bytes:
        """Return the picture of the cover as it is; nothing if there is none to be had."""
        if self._cover is None:
            return b""
        try:
            return self._archive.content(self._cover.name)
        except InvalidItem:
            return b""

    def _cover_entry(self, package: _Element) -> _Entry | None:
        named = package.xpath("//*[local-name()='meta'][@name='cover']/@content")
        for entry in self._entries.values():
            if "cover-image" in entry.properties:
                return entry
        found = self._entries.get(str(named[0])) if named else None
        return found if found and found.media_type.startswith("image/") else None

    def _blocks(self, entry: _Entry) -> Iterator[Block]:
        yield Block(ids=("",), text="")
        yield from blocks_of(self._archive.document(entry.name))

    def _title_at(self, name: str, block: Block) -> str | None:
        if not self._titles:
            return "" if block.ids == ("",) else None
        spots = ((name, anchor) for anchor in block.ids)
        return next((self._titles[spot] for spot in spots if spot in self._titles), None)

    def _manifest(self, package: _Element) -> dict[str, _Entry]:
        return {
            item.get("id", ""): _Entry(
                name=self._resolved(self._folder, item.get("href", ""))[0],
                media_type=item.get("media-type", ""),
                properties=tuple(item.get("properties", "").split()),
            )
            for item in package.xpath("//*[local-name()='manifest']/*[local-name()='item']")
        }

    def _contents(self, package: _Element) -> Mapping[_Spot, str]:
        """Return the titles of the table of contents, by what they lead to."""
        for entry in self._entries.values():
            if "nav" in entry.properties:
                links = self._archive.document(entry.name).xpath(
                    "//*[local-name()='nav'][1]//*[local-name()='a'][@href]"
                )
                return self._spots(entry, [(link.get("href"), _text(link)) for link in links])
        for entry in self._entries.values():
            if entry.media_type == "application/x-dtbncx+xml":
                points = self._archive.xml(entry.name).xpath("//*[local-name()='navPoint']")
                return self._spots(entry, [(_target(point), _label(point)) for point in points])
        return {}

    def _spots(self, table: _Entry, links: list[tuple[str, str]]) -> Mapping[_Spot, str]:
        folder = posixpath.dirname(table.name)
        spots: dict[_Spot, str] = {}
        for target, title in links:
            spots.setdefault(self._resolved(folder, target), title)
        return spots

    def _refuse_what_is_no_text(self) -> None:
        locked = self._archive.locked_names(_LOCKS)
        for entry in self._spine:
            if entry.name in locked:
                raise self._archive.refused(f"is locked: {entry.name} is encrypted")
        for entry in self._entries.values():
            if "script" in entry.media_type or "scripted" in entry.properties:
                raise self._archive.refused(f"holds scripts: {entry.name}")
        if not self._spine:
            raise self._archive.refused("has no document to read")

    @staticmethod
    def _resolved(folder: str, target: str) -> _Spot:
        path, _, anchor = target.partition("#")
        return posixpath.normpath(posixpath.join(folder, unquote(path))), unquote(anchor)


def open_epub(path: Path) -> EpubBook:
    """Open a book, or raise `InvalidItem`: no EPUB, a bomb, scripted, locked, or lxml missing."""
    try:
        import lxml  # noqa: F401
    except ImportError as error:
        problem = "needs lxml to be read: `pip install 'voicefarm[books]'`"
        raise InvalidItem(path.name, "", "epub", problem) from error
    return EpubBook(path)


def _first(package: _Element, name: str) -> str:
    found = package.xpath(f"//*[local-name()='metadata']/*[local-name()='{name}']")
    return _text(found[0]) if found else ""


def _text(element: _Element) -> str:
    return " ".join("".join(map(str, element.itertext())).split())


def _label(point: _Element) -> str:
    found = point.xpath("./*[local-name()='navLabel']")
    return _text(found[0]) if found else ""


def _target(point: _Element) -> str:
    return next(iter(point.xpath("./*[local-name()='content']/@src")), "")
