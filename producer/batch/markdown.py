"""Markdown as speech: chapters by headings, and text without its marks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

from .chapters import Chapter

#: Headings that begin a chapter; deeper ones are paragraphs of it.
_CHAPTER_TAGS: Final = ("h1", "h2")

#: Facts about the text for programs, before the text.
_FRONT_MATTER: Final = re.compile(r"\A---\n.*?\n(?:---|\.\.\.)\n", re.DOTALL)


def chapters_of(text: str) -> Iterator[Chapter]:
    """Yield the chapters of a book: each heading of the first two levels begins one."""
    title, paragraphs = "", list[str]()
    for tag, paragraph in _blocks(text):
        if tag in _CHAPTER_TAGS:
            yield Chapter(title, paragraphs)
            title, paragraphs = paragraph, []
        else:
            paragraphs.append(paragraph)
    yield Chapter(title, paragraphs)


def speech_of(text: str) -> str:
    """Return a text without its marks, its paragraphs parted by empty lines."""
    return "\n\n".join(paragraph for _, paragraph in _blocks(text))


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """Yield each paragraph with the tag of the block around it; HTML and comments are left out."""
    plain = _FRONT_MATTER.sub("", text.replace("\r\n", "\n"))
    tag = ""
    for token in MarkdownIt("commonmark").enable("table").parse(plain):
        if token.nesting == 1:
            tag = token.tag
        elif token.type == "inline":
            yield tag, _plain(token.children or ())
        elif token.type in ("fence", "code_block"):
            yield "code", token.content.strip()


def _plain(children: Sequence[Token]) -> str:
    words = []
    for token in children:
        match token.type:
            case "text" | "code_inline":
                words.append(token.content)
            case "softbreak" | "hardbreak":
                words.append("\n" if token.type == "hardbreak" else " ")
            case "image":
                words.append(token.content)
    return "".join(words).strip()
