"""Gathering: chapters in their order, what is missing by name, and keys that follow from all."""

from __future__ import annotations

from producer.assemble_job import AssembleJob
from producer.batch.ledger import ItemRow
from producer.job import SpeechJob
from producer.job_row import JobRow
from producer.state import JobState
from worker.book.gathering import gather

JOB = AssembleJob(batch="0" * 24, title="Rain")


def item(number: int, chapter: str = "", state: JobState = JobState.DONE) -> ItemRow:
    text = SpeechJob(text=f"Item {number}.").encode()
    row = JobRow(f"{number:032x}", state, text, key=f"{number:064x}", file=f"processed/{number}")
    return ItemRow(number, f"i{number}", chapter, row)


def everything(_: str) -> bool:
    return True


def test_an_item_that_names_a_chapter_begins_one():
    gathered = gather([item(0, "One"), item(1), item(2, "Two")], everything)

    assert [(chapter.title, len(chapter.parts)) for chapter in gathered.chapters] == [
        ("One", 2),
        ("Two", 1),
    ]
    assert gathered.chapters[0].parts[1].text == "Item 1."
    assert (gathered.parts, gathered.missing_words) == (3, "")


def test_items_without_a_chapter_are_one():
    gathered = gather([item(0), item(1)], everything)

    assert [(chapter.title, len(chapter.parts)) for chapter in gathered.chapters] == [("", 2)]


def test_what_failed_is_forgotten_or_has_lost_its_file_is_missing_by_name():
    items = [
        item(0, "One", JobState.FAILED),
        item(1, state=JobState.SUSPICIOUS),
        ItemRow(2, "", "", None),
        item(3, "Two"),
        item(4, "Three", JobState.CANCELLED),
    ]

    gathered = gather(items, lambda file: file != "processed/3")

    assert [(c.title, [p.key[-1] for p in c.parts]) for c in gathered.chapters] == [("One", ["1"])]
    assert gathered.missing_words == "4 items are missing: i0, item 3, i3, i4"


def test_many_that_are_missing_are_counted():
    gathered = gather([item(n, state=JobState.FAILED) for n in range(9)], everything)

    assert gathered.missing_words == "9 items are missing: i0, i1, i2, i3, i4 and 4 more"


def test_a_book_has_another_key_for_another_item_order_setting_or_hole():
    whole = gather([item(0, "One"), item(1)], everything)
    others = [
        gather([item(1, "One"), item(0)], everything).key(JOB),
        gather([item(0, "Eins"), item(1)], everything).key(JOB),
        gather([item(0, "One"), item(1, state=JobState.FAILED)], everything).key(JOB),
        gather([item(0, "One"), item(1, "Two")], everything).key(JOB),
        whole.key(JOB.model_copy(update={"loudness": "acx"})),
        whole.key(JOB.model_copy(update={"title": "Snow"})),
    ]

    assert len({whole.key(JOB), *others}) == 7


def test_the_same_book_of_another_batch_is_the_same():
    whole = gather([item(0, "One"), item(1)], everything)
    elsewhere = JOB.model_copy(update={"batch": "1" * 24, "allow_missing": True})

    assert whole.key(JOB) == whole.key(elsewhere)
