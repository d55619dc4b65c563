"""Items of JSON lines, tables, folders and books: read in order, or told what is wrong."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from producer.batch.jsonl import MAX_LINE_BYTES
from producer.batch.reading import Item, items_of, open_source
from producer.errors import InvalidItem, InvalidJob
from producer.queues import Priority


def written(path, *lines: str | bytes):
    path.write_bytes(b"\n".join(x if isinstance(x, bytes) else x.encode() for x in lines))
    return path


def read(path, **fields) -> list[Item | InvalidItem]:
    return list(items_of(open_source(path), fields))


def said(path, **fields) -> list[str]:
    """Each item in one word: its text, or what is wrong with it."""
    return [item.job.text if isinstance(item, Item) else str(item) for item in read(path, **fields)]


@pytest.fixture
def jsonl(tmp_path):
    return tmp_path / "items.jsonl"


@pytest.fixture
def table(tmp_path):
    return tmp_path / "items.csv"


def test_flat_lines_and_lines_of_openai_are_the_same_items(jsonl):
    body = {"model": "tts-1", "input": "Hi", "voice": "anna", "response_format": "mp3"}
    envelope = {"method": "POST", "url": "/v1/audio/speech", "body": body}
    written(
        jsonl,
        json.dumps({"custom_id": "a", "text": "Hi", "voice": "anna", "format": "mp3"}),
        "",
        json.dumps({"custom_id": "b", **envelope}),
    )

    one, two = read(jsonl, format="flac", language="de")

    assert one.job == two.job
    assert (one.job.output.format, one.job.language) == ("mp3", "de")
    assert one.job.priority is Priority.BATCH
    assert (two.place, two.custom_id) == ("line 3", "b")


def test_a_broken_line_57_names_the_line_and_the_field(jsonl):
    lines = [json.dumps({"custom_id": f"i{n}", "text": "Hi"}) for n in range(1, 101)]
    lines[56] = json.dumps({"custom_id": "i57", "text": "Hi", "speed": "fast"})
    written(jsonl, *lines)

    items = read(jsonl)

    assert [n for n, item in enumerate(items, 1) if isinstance(item, InvalidItem)] == [57]
    assert str(items[56]).startswith("line 57: speed: ")
    assert (items[56].custom_id, items[56].field) == ("i57", "speed")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"text": "Hi"}', "line 1: custom_id: is missing"),
        ('{"custom_id": 7, "text": "Hi"}', "line 1: custom_id: is no text: 7"),
        ('{"custom_id": "", "text": "Hi"}', "line 1: custom_id: '' is no name"),
        ('{"custom_id": "a\\nb", "text": "Hi"}', "line 1: custom_id: 'a\\nb' is no name"),
        ('["Hi"]', "line 1: line: is not a JSON object"),
        ('{"custom_id": "a", "text": ', "line 1: line: is not JSON"),
        ("[" * 100_000, "line 1: line: is not JSON"),
        (b'{"custom_id": "a\xff"}', "line 1: line: is not UTF-8 at byte 16"),
        ('{"custom_id": "a", "text": "x", "text": "y"}', "line 1: line: is not JSON: 'text' is gi"),
        ('{"custom_id": "a", "text": " "}', "line 1: text: is empty"),
        ('{"custom_id": "a", "text": "Hi", "a b": 1}', "line 1: a b: is not a parameter"),
        ('{"custom_id": "a", "text": "x", "priority": "interactive"}', "line 1: priority: an i"),
        ('{"custom_id": "a", "body": "Hi"}', "line 1: body: is not a JSON object"),
        ('{"custom_id": "a", "body": {"input": "Hi"}, "voice": "x"}', "line 1: voice: stands besi"),
        ('{"custom_id": "a", "url": "/v1/chat", "body": {}}', "line 1: url: '/v1/chat' is not"),
        ('{"custom_id": "a", "text": "' + "x" * MAX_LINE_BYTES + '"}', "line 1: line: is longer"),
    ],
    ids=range(16),
)
def test_what_is_wrong_with_a_line_is_told_and_the_next_one_is_read(jsonl, line, told):
    written(jsonl, line, '{"custom_id": "next", "text": "Hello"}')

    first, second = said(jsonl)

    assert first.startswith(told)
    assert second == "Hello"


def test_a_name_that_is_given_twice_is_refused_the_second_time(jsonl):
    written(jsonl, *['{"custom_id": "a", "text": "Hi"}'] * 2)

    assert said(jsonl) == ["Hi", "line 2: custom_id: 'a' names an item before this one too"]


def test_what_the_farm_cannot_speak_is_told_with_its_line(jsonl):
    def check(job):
        raise InvalidJob("voice", "there is none")

    written(jsonl, '{"custom_id": "a", "text": "Hi"}')

    (item,) = items_of(open_source(jsonl), {}, check)

    assert str(item) == "line 1: voice: there is none"


def test_the_lines_of_a_file_are_never_all_in_memory(jsonl):
    text = "word " * 100
    with jsonl.open("w") as file:
        for number in range(20_000):
            file.write(json.dumps({"custom_id": f"item {number}", "text": text}) + "\n")

    tracemalloc.start()
    count = sum(1 for _ in items_of(open_source(jsonl), {}))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert count == 20_000
    # The names are kept, so that none comes twice; 10 MB of text are not.
    assert peak_bytes < 5 * 2**20


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_table_has_an_item_a_row_whatever_stands_between_its_cells(table, mark):
    written(table, mark.join(["custom_id", "text", "speed"]), mark.join(["a", '"Hi, you"', "1.5"]))

    (item,) = read(table)

    assert (item.custom_id, item.job.text, item.job.speed) == ("a", "Hi, you", 1.5)


def test_an_empty_cell_says_nothing_and_an_item_without_a_name_is_called_by_its_line(table):
    written(table, "text,speed", '"two\nlines",', "", "Hello,2")

    one, two = read(table, speed=0.5)

    assert (one.custom_id, one.job.speed, one.job.text) == ("line-2", 0.5, "two\nlines")
    assert (two.custom_id, two.place, two.job.speed) == ("line-5", "line 5", 2.0)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("Hi,fast", "line 2: speed: "),
        ("Hi,1,2", "line 2: row: has 3 cells, the heading has 2"),
        (b"H\xe9,1", "line 2: text: is not UTF-8"),
        ('"Hi" you,1', "line 2: row: is no CSV"),
    ],
)
def test_what_is_wrong_with_a_row_is_told_and_the_next_one_is_read(table, row, told):
    written(table, "text,speed", row, "Hello,2")

    first, second = said(table)

    assert first.startswith(told)
    assert second == "Hello"


@pytest.mark.parametrize("heading", ["name,speed", "", "text,text"])
def test_a_table_without_its_text_is_refused(table, heading):
    written(table, heading, "a,b")

    assert [item.field for item in read(table)] == ["heading"]


def test_a_folder_is_an_item_a_file_in_the_order_of_its_numbers(tmp_path):
    for name in ("part 10.txt", "part 9.md", "Part 1.txt", "notes.pdf"):
        (tmp_path / name).write_text("# The *ninth*" if name.endswith("md") else f"This is {name}")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")

    items = read(tmp_path)

    assert [item.custom_id for item in items] == [
        "latin.txt", "Part 1.txt", "part 9.md", "part 10.txt",
    ]  # fmt: skip
    assert str(items[0]) == "latin.txt: text: is not UTF-8 at byte 3"
    assert items[2].job.text == "The ninth"


def test_an_empty_file_of_a_folder_is_told(tmp_path):
    (tmp_path / "empty.txt").write_text("\n")

    assert said(tmp_path) == ["empty.txt: text: is empty; give at least one word"]


MARKDOWN = """---
author: nobody
---
Before it *begins*.

# The [Storm](http://x)

It **rained** all `night`,
and more.

> - a gull <!-- not spoken -->

## The Calm ##

![a gull](gull.png) at rest.

### Deeper

```
# no heading
```

Setext
------

***
"""


def test_a_markdown_book_is_its_chapters_without_their_marks(tmp_path):
    (tmp_path / "book.md").write_text(MARKDOWN)

    items = read(tmp_path / "book.md")

    assert [(item.custom_id, item.chapter, item.job.text) for item in items] == [
        ("001-0001", "Chapter 1", "Before it begins."),
        ("002-0001", "The Storm", "The Storm"),
        ("002-0002", "", "It rained all night, and more."),
        ("002-0003", "", "a gull"),
        ("003-0001", "The Calm", "The Calm"),
        ("003-0002", "", "a gull at rest."),
        ("003-0003", "", "Deeper"),
        ("003-0004", "", "# no heading"),
        ("004-0001", "Setext", "Setext"),
    ]


def test_an_edited_paragraph_leaves_every_other_item_as_it_was(tmp_path):
    paragraphs = [f"Paragraph {n} says a few words." for n in range(50)]
    book = tmp_path / "book.txt"
    book.write_text("\n\n".join(paragraphs))
    before = {item.custom_id: item.job for item in read(book)}
    paragraphs[20] += " And one word more. " * 40
    book.write_text("\n\n".join(paragraphs))

    after = {item.custom_id: item.job for item in read(book)}

    assert [name for name in after if after[name] != before[name]] == ["001-0021"]


@pytest.mark.parametrize("name", ["missing.jsonl", "picture.png"])
def test_what_cannot_be_read_is_refused_by_its_name(tmp_path, name):
    (tmp_path / "picture.png").write_bytes(b"")

    with pytest.raises(InvalidItem, match=name):
        open_source(tmp_path / name)
