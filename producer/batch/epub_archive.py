"""What lies in an EPUB's zip, unpacked within limits and parsed without following anything."""

from __future__ import annotations

import re
import zipfile
import zlib
from html.entities import html5
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from ..errors import InvalidItem

if TYPE_CHECKING:
    from lxml.etree import _Element

#: Largest document, and all documents of a book together. The Bible has 5 MB.
MAX_DOCUMENT_BYTES: Final = 16 * 2**20
MAX_BOOK_BYTES: Final = 256 * 2**20

#: Most files of a book.
MAX_FILES: Final = 20_000

#: A file that becomes so many times larger is no text, unless it is small.
MAX_RATIO: Final = 200
SMALL_BYTES: Final = 2**20

#: An entity with a name. XML knows five of them; the rest is HTML's, and a parser that loads
#: nothing from elsewhere would drop them.
_ENTITY: Final = re.compile(rb"&([A-Za-z][A-Za-z0-9]*);")
_OF_XML: Final = (b"amp", b"lt", b"gt", b"quot", b"apos")

#: Attributes that run a script.
_EVENT: Final = re.compile(r"on[a-z]+")


class EpubArchive:
    """The zip of one book."""

    def __init__(self, path: Path) -> None:
        """Raise `InvalidItem` for what is no zip, or one that nobody should unpack."""
        self._name = path.name
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise self.refused("is no EPUB: it is no zip file") from error
        files = self._zip.infolist()
        if len(files) > MAX_FILES:
            raise self.refused(f"has {len(files):,} files, at most {MAX_FILES:,} are taken")
        self._left_bytes = MAX_BOOK_BYTES
        for file in files:
            inflated = file.file_size > MAX_RATIO * max(1, file.compress_size)
            if inflated and file.file_size > SMALL_BYTES:
                raise self.refused(
                    f"looks like a zip bomb: {file.filename} grows {MAX_RATIO} times and more"
                )

    def refused(self, problem: str) -> InvalidItem:
        """Return the error that says what is wrong with this book."""
        return InvalidItem(self._name, "", "epub", problem)

    def xml(self, name: str) -> _Element:
        """Return the root of an XML file: no entity, no DTD and no address is followed."""
        try:
            return self._as_xml(self._read(name))
        except ValueError as error:
            raise self.refused(f"{name} is no XML: {error}") from error

    def document(self, name: str) -> _Element:
        """Return the root of a document, read as HTML where it is no XML; no scripts are in it."""
        content = self._read(name)
        try:
            root = self._as_xml(content)
        except ValueError:
            root = self._as_html(name, content)
        for element in root.iter():
            tag = str(element.tag).rpartition("}")[2].lower()
            if tag == "script" or any(_runs(*pair) for pair in element.items()):
                raise self.refused(f"holds scripts: {name}")
        return root

    def locked_names(self, name: str) -> set[str]:
        """Return the names of the files that are encrypted, as `name` lists them."""
        if name not in self._zip.namelist():
            return set()
        found = self.xml(name).xpath("//*[local-name()='CipherReference']/@URI")
        return {unquote(str(uri)) for uri in found}

    @staticmethod
    def _as_xml(content: bytes) -> _Element:
        from lxml import etree

        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
        try:
            return etree.fromstring(_without_names(content), parser)
        except etree.XMLSyntaxError as error:
            raise ValueError(str(error)) from error

    def _as_html(self, name: str, content: bytes) -> _Element:
        from lxml import etree

        root: Any = etree.fromstring(content, etree.HTMLParser(no_network=True))
        if root is None:
            raise self.refused(f"{name} is no document")
        return root

    def content(self, name: str) -> bytes:
        """Return a file as it is."""
        try:
            file = self._zip.getinfo(name)
        except KeyError as error:
            raise self.refused(f"has no {name}") from error
        limit = min(MAX_DOCUMENT_BYTES, self._left_bytes)
        try:
            with self._zip.open(file) as opened:
                content = opened.read(limit + 1)
        except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:
            raise self.refused(f"{name} cannot be unpacked: {error}") from error
        if len(content) > limit:
            raise self.refused(f"is too large to be a book: {name}")
        self._left_bytes -= len(content)
        return content

    def _read(self, name: str) -> bytes:
        content = self.content(name)
        if b"<!ENTITY" in content:
            raise self.refused(f"declares entities, which may multiply or lead outside: {name}")
        return content


def _runs(name: object, value: object) -> bool:
    """True for an attribute that runs a script."""
    is_link = str(value).strip().lower().startswith("javascript:")
    return is_link or _EVENT.fullmatch(str(name).lower()) is not None


def _without_names(content: bytes) -> bytes:
    """Write HTML's named entities as numbers, which every XML parser reads."""

    def numbered(match: re.Match[bytes]) -> bytes:
        letters = html5.get(match[1].decode() + ";")
        if match[1] in _OF_XML or letters is None:
            return match[0]
        return b"".join(b"&#%d;" % ord(letter) for letter in letters)

    return _ENTITY.sub(numbered, content)
