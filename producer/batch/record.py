"""A record: one item as its file has it, not checked yet, and the file as a source of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ..errors import InvalidItem

#: Largest file that is read as a whole: a text, a Markdown book. The longest novels have 10 MB.
MAX_TEXT_FILE_BYTES: Final = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Record:
    """One item: where it stands, what it is called, and the fields of its job."""

    #: What a person looks for: `line 57`, `chapter 3, paragraph 12`, `intro.txt`.
    place: str
    custom_id: str
    fields: Mapping[str, Any]
    #: The title of the chapter that begins with this item; empty if none does.
    chapter: str = ""


#: In the place of a record that cannot be read stands what is wrong with it.
Found = Record | InvalidItem


@dataclass(frozen=True)
class Source:
    """A file of items. `records` reads it from the start, one record at a time."""

    records: Callable[[], Iterator[Found]]
    title: str = ""
    #: What holds for every item that does not say otherwise, such as a book's language.
    defaults: Mapping[str, Any] = field(default_factory=dict)
    author: str = ""
    #: Reads the picture of the cover; no bytes if there is none.
    cover: Callable[[], bytes] = bytes
