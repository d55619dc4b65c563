"""Makes EPUBs for tests: a zip with the three files that every one has, and documents."""

from __future__ import annotations

import zipfile
from pathlib import Path

CONTAINER = """<?xml version="1.0"?>
<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0"><rootfiles>
<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/>
</rootfiles></container>"""

PACKAGE = """<package xmlns="http://www.idpf.org/2007/opf" version="3.0">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:title>The Lighthouse</dc:title><dc:language>en-GB</dc:language>{more}</metadata>
<manifest>{items}</manifest><spine>{spine}</spine></package>"""

PAGE = """<?xml version="1.0" encoding="utf-8"?><!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops">
<head><title>not spoken</title></head><body>{body}</body></html>"""


def make_epub(
    path: Path,
    bodies: dict[str, str],
    nav: str = "",
    extra: dict[str, bytes] | None = None,
    more: str = "",
    entries: str = "",
) -> Path:
    """Write a book of these bodies, by file name in the order of reading; `nav` is its contents.

    `more` stands among its metadata, `entries` in its manifest.
    """
    documents = {name: PAGE.format(body=body) for name, body in bodies.items()}
    items = [_item(f"d{n}", name) for n, name in enumerate(documents)]
    spine = [f'<itemref idref="d{n}"/>' for n in range(len(documents))]
    if nav:
        documents["nav.xhtml"] = PAGE.format(body=f'<nav epub:type="toc"><ol>{nav}</ol></nav>')
        items.append(_item("nav", "nav.xhtml", 'properties="nav"'))
        spine.insert(0, '<itemref idref="nav"/>')
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("META-INF/container.xml", CONTAINER)
        listed = "".join(items) + entries
        package = PACKAGE.format(items=listed, spine="".join(spine), more=more)
        book.writestr("OEBPS/book.opf", package)
        for name, text in documents.items():
            book.writestr(f"OEBPS/{name}", text)
        for name, content in (extra or {}).items():
            book.writestr(name, content)
    return path


def _item(name: str, href: str, more: str = "") -> str:
    return f'<item id="{name}" href="{href}" media-type="application/xhtml+xml" {more}/>'
