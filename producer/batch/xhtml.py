"""The text of a document, paragraph by paragraph, with the ids that others may point to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from lxml.etree import _Element

#: What stands in a line with its neighbours; everything else is a paragraph of its own.
_INLINE: Final = frozenset(
    (
        *(
            "a",
            "abbr",
            "acronym",
            "b",
            "bdi",
            "bdo",
            "big",
            "br",
            "cite",
            "code",
            "data",
            "del",
            "dfn",
        ),
        *("em", "font", "i", "img", "ins", "kbd", "label", "mark", "q", "ruby", "rb", "s", "samp"),
        *("small", "span", "strike", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr"),
    )
)

#: What is not read out: how it looks, how characters sound, pictures, formulas.
_SILENT: Final = frozenset(
    ("head", "style", "script", "rt", "rp", "svg", "math", "template", "object", "iframe", "form")
)

_EPUB_TYPE: Final = "{http://www.idpf.org/2007/ops}type"


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph and the ids that stand in it, or between it and the one before."""

    ids: tuple[str, ...]
    text: str


def blocks_of(root: _Element) -> Iterator[Block]:
    """Yield the paragraphs of a document in their order."""
    ids: list[str] = []
    words: list[str] = []

    def block() -> Iterator[Block]:
        text = " ".join("".join(words).split())
        words.clear()
        if text:
            yield Block(tuple(ids), text)
            ids.clear()

    for ends, part in _parts(root):
        if ends:
            yield from block()
        elif isinstance(part, str):
            words.append(part)
        else:
            ids.extend(part)
    yield from block()


def _parts(element: _Element) -> Iterator[tuple[bool, str | tuple[str, ...]]]:
    """Yield what a document is made of: an end of a paragraph, a piece of text, or ids."""
    tag = str(element.tag).rpartition("}")[2].lower()
    # Comments and references to entities have functions for tags.
    if callable(element.tag) or tag in _SILENT or element.get(_EPUB_TYPE) == "pagebreak":
        return
    inline = tag in _INLINE
    if not inline:
        yield True, ""
    names = tuple(filter(None, (element.get("id"), element.get("name") if tag == "a" else None)))
    if names:
        yield False, names
    if tag in ("br", "img"):
        yield False, f" {element.get('alt', '')} "
    yield False, str(element.text or "")
    for child in element:
        yield from _parts(child)
        yield False, str(child.tail or "")
    if not inline:
        yield True, ""
