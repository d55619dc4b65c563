"""From a path to items: which reader reads it, and whether each item can be spoken."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import InvalidItem, InvalidJob
from ..job import ALIASES, SpeechJob, speech_job
from ..languages import LANGUAGES
from ..queues import Priority
from .chapters import records_of
from .csv_table import read_csv
from .epub import open_epub
from .jsonl import read_jsonl
from .record import Found, Record, Source
from .text_file import SUFFIXES, read_book, read_folder

#: Longest name of an item.
MAX_CUSTOM_ID_CHARS: Final = 128

#: What can be read, for messages.
READABLE: Final = ".jsonl, .csv, .epub, .md, .txt, or a folder of .txt and .md"


@dataclass(frozen=True, slots=True)
class Item:
    """One item that can be spoken."""

    place: str
    custom_id: str
    job: SpeechJob
    #: The title of the chapter that begins here; empty if none does.
    chapter: str = ""


def open_source(path: Path) -> Source:
    """Return the items of a file or a folder; nothing but an EPUB is opened yet."""
    if path.is_dir():
        return Source(lambda: read_folder(path))
    if not path.is_file():
        raise InvalidItem(str(path), "", "items", "there is no such file or folder")
    suffix = path.suffix.lower()
    if suffix in (".jsonl", ".ndjson"):
        return Source(lambda: read_jsonl(path))
    if suffix == ".csv":
        return Source(lambda: read_csv(path))
    if suffix in SUFFIXES:
        return Source(lambda: records_of(read_book(path)), title=path.stem)
    if suffix != ".epub":
        raise InvalidItem(path.name, "", "items", f"is none of {READABLE}")
    book = open_epub(path)
    return Source(
        lambda: records_of(open_epub(path).chapters()),
        title=book.title,
        defaults=_language(book.language),
        author=book.author,
        cover=book.cover,
    )


def items_of(
    source: Source,
    fields: Mapping[str, Any],
    check: Callable[[SpeechJob], None] = lambda job: None,
) -> Iterator[Item | InvalidItem]:
    """Yield each item, or what is wrong with it, in order; `fields` hold for all of them.

    What an item says of itself wins. `check` raises `InvalidJob` for what the farm cannot speak.
    """
    common = {"priority": Priority.BATCH, **source.defaults, **fields}
    known: set[str] = set()
    for found in source.records():
        item = _item(found, common, check)
        if item.custom_id and item.custom_id in known:
            problem = f"{item.custom_id!r} names an item before this one too"
            item = InvalidItem(item.place, "", "custom_id", problem)
        known.add(item.custom_id)
        yield item


def _item(
    found: Found, common: Mapping[str, Any], check: Callable[[SpeechJob], None]
) -> Item | InvalidItem:
    if isinstance(found, InvalidItem):
        return found
    name = found.custom_id
    if not 0 < len(name) <= MAX_CUSTOM_ID_CHARS or not name.isprintable():
        problem = f"{name[:40]!r} is no name: 1 to {MAX_CUSTOM_ID_CHARS} characters that show"
        return InvalidItem(found.place, "", "custom_id", problem)
    try:
        job = speech_job(**_merged(common, found))
        if job.priority is not Priority.BATCH:
            raise InvalidJob("priority", "an item of a batch is batch work; leave it out")
        check(job)
    except InvalidJob as error:
        return InvalidItem(found.place, name, error.field, error.problem)
    return Item(found.place, name, job, found.chapter)


def _merged(common: Mapping[str, Any], found: Record) -> dict[str, Any]:
    stranger = next((name for name in found.fields if not name.isidentifier()), None)
    if stranger is not None:
        raise InvalidJob(stranger, "is not a parameter of this job")
    said = {ALIASES.get(name, name) for name in found.fields}
    return {name: value for name, value in common.items() if name not in said} | dict(found.fields)


def _language(said: str) -> dict[str, Any]:
    """Return a book's language as a default, if the farm has a name for it."""
    code = said.strip().lower().replace("_", "-")
    known = next((name for name in (code, code.partition("-")[0]) if name in LANGUAGES), None)
    return {} if known is None else {"language": known}
