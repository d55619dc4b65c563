"""CSV: a heading with the names of the fields, then one item a row. An empty cell says nothing."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ..errors import InvalidItem
from .record import Found, Record

#: Longest cell in characters; a lost quotation mark would swallow the file.
MAX_CELL_CHARS: Final = 200_000

#: What may stand between cells. Spreadsheets write a semicolon where the comma is decimal.
_DELIMITERS: Final = ",;\t"

#: Names of the column that must be there.
_TEXT: Final = ("text", "input")


def read_csv(path: Path) -> Iterator[Found]:
    """Yield the records of a table, or what is wrong with a row.

    Without a column `custom_id` an item is called by its line: `line-57`.
    """
    csv.field_size_limit(MAX_CELL_CHARS)
    # Bytes that are no UTF-8 become lone surrogates, which are told where they stand.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        heading = file.readline(MAX_CELL_CHARS)
        delimiter = max(_DELIMITERS, key=heading.count)
        names = [name.strip() for name in next(csv.reader([heading], delimiter=delimiter), [])]
        if problem := _problem_of(names):
            yield InvalidItem("line 1", "", "heading", problem)
            return
        rows = csv.reader(file, delimiter=delimiter, strict=True)
        while True:
            place = f"line {rows.line_num + 2}"
            try:
                cells = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield InvalidItem(place, "", "row", f"is no CSV: {error}")
                continue
            if any(map(str.strip, cells)):
                yield _record(place, names, cells)


def _problem_of(names: list[str]) -> str:
    if not any(name in _TEXT for name in names):
        return f"has no column 'text': {', '.join(filter(None, names)) or 'nothing'}"
    twice = next((name for name in names if names.count(name) > 1), None)
    return "" if twice is None else f"has the column {twice!r} twice"


def _record(place: str, names: list[str], cells: list[str]) -> Found:
    if len(cells) > len(names):
        problem = f"has {len(cells)} cells, the heading has {len(names)}"
        return InvalidItem(place, "", "row", problem)
    fields = {name: cell for name, cell in zip(names, cells, strict=False) if cell.strip()}
    custom_id = fields.pop("custom_id", place.replace(" ", "-"))
    for name, cell in fields.items():
        if any("\udc80" <= char <= "\udcff" for char in cell):
            return InvalidItem(place, custom_id, name, "is not UTF-8; save the table as UTF-8")
    return Record(place, custom_id, fields)
