"""The morning report adds up what it reads, and says when the sum is not right."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from producer.batch.batch_row import BatchRow
from producer.batch.ledger import ItemRow
from producer.batch.report import BARS, report
from producer.batch.report_page import page_of, verdict_of
from producer.batch.schedule import Schedule
from producer.job import speech_job
from producer.job_row import JobRow
from producer.state import JobState


def item(number: int, state: JobState = JobState.DONE, **facts) -> ItemRow:
    """An item that ran from second `number` on, for two seconds."""
    row = JobRow(
        id=f"{number:032x}",
        state=state,
        encoded=speech_job(f"Text of <b>{number}</b>.").encode(),
        times={JobState.RUNNING: float(number), state: number + 2.0},
        duration_s=10.0,
        size_bytes=100,
    )
    return ItemRow(number, f"name {number}", "", replace(row, **facts))


def batch_of(items: list[ItemRow]) -> BatchRow:
    """The batch that has these items, by its own account."""
    states = [entry.job.state for entry in items if entry.job]
    return BatchRow(
        id="a" * 24,
        name="A <night> & more",
        client="me",
        created_s=0.0,
        items=len(items),
        is_whole=True,
        schedule=Schedule(),
        paused=False,
        cancelled=False,
        next=0,
        written_s=0.0,
        counts={state: states.count(state) for state in JobState},
    )


@pytest.fixture
def items() -> list[ItemRow]:
    return [
        item(0, retakes=2, attempts=2, losses=1),
        item(1),
        item(50, JobState.FAILED, reason="engine_failed", detail="no <voice>"),
        item(51, JobState.SUSPICIOUS, detail="too long", trimmed_s=0.5),
        item(70, JobState.CANCELLED),
    ]


def test_every_item_is_counted_and_the_sum_is_checked(items):
    told = report(batch_of(items), items)

    assert told.adds_up
    assert verdict_of(told) == "5 asked = 1 cancelled + 2 done + 1 failed + 1 suspicious"
    assert (told.audio_s, told.size_bytes, told.retakes, told.losses) == (30.0, 300, 2, 1)
    assert told.repeated == 1


def test_an_item_that_is_missing_or_counted_twice_is_told(items):
    forgotten = [*items[:-1], ItemRow(4, "gone", "", None)]
    for read in (items[:-1], [*items, items[0]], forgotten):
        told = report(batch_of(items), read)

        assert not told.adds_up
        assert "does not add up" in verdict_of(told)


def test_only_the_time_in_which_something_ran_counts_for_the_speed(items):
    told = report(batch_of(items), items)

    # From 0 to 3, from 50 to 53, from 70 to 72.
    assert told.working_s == 8.0
    assert told.speed == 30 / 8


def test_the_time_of_a_worker_counts_once_however_many_items_it_ran(items):
    nodes = ("gpu0@a", "gpu0@a", "gpu1@a", "gpu1@a", "gpu0@a")
    placed = [
        replace(one, job=replace(one.job, node=node))
        for one, node in zip(items, nodes, strict=True)
    ]

    told = report(batch_of(placed), placed)

    # The first from 0 to 3 and 70 to 72, the second from 50 to 53.
    assert (told.worker_s, told.facts()["workers"]) == (8.0, 2)
    assert report(batch_of(items + items), items + items).worker_s == 8.0


def test_each_item_has_its_speed_and_its_level(items):
    leveled = [
        replace(one, job=replace(one.job, rms_db=-20.0 - one.number, peak_db=-1.0 - one.number))
        for one in items[:2]
    ]

    facts = report(batch_of(leveled), leveled).facts()

    assert facts["real_time_factor"] == {"least": 5.0, "median": 5.0, "greatest": 5.0}
    assert facts["rms_db"] == {"least": -21.0, "median": -20.5, "greatest": -20.0}
    assert facts["peak_db"] == -1.0
    assert "-21.0 to -20.0 dB of full scale, median -20.5, peak -1.0 dB" in page_of(
        report(batch_of(leveled), leveled)
    )


def test_the_book_is_told_with_its_loudness_or_with_why_there_is_none(items):
    told = report(batch_of(items), items)
    book = {
        "state": "done", "reason": None, "detail": None, "duration_s": 7200.0,
        "loudness_lufs": -16.04, "true_peak_db": -1.3,
    }  # fmt: skip

    told.book = book
    assert "done, 2.00 h, -16.0 LUFS, true peak -1.3 dB" in page_of(told)
    told.book = book | {"state": "failed", "reason": "items_missing", "duration_s": None}
    assert "failed: items_missing" in page_of(told)


def test_what_an_older_worker_wrote_has_no_level(items):
    assert report(batch_of(items), items).facts()["rms_db"] is None


def test_nothing_that_has_run_is_no_speed():
    told = report(batch_of([]), [])

    assert told.speed is None
    assert sum(told.bars()) == 0
    assert "0 asked = 0" in page_of(told)


def test_what_did_not_go_well_is_told_with_its_text_and_its_reason(items):
    told = report(batch_of(items), items)

    assert [entry["custom_id"] for entry in told.failures] == ["name 50", "name 51", "name 70"]
    assert told.failures[0]["reason"] == "engine_failed"
    assert told.failures[0]["text"] == "Text of <b>50</b>."


def test_the_slowest_are_told_first(items):
    slow = item(80)
    slow = replace(slow, job=replace(slow.job, times={**slow.job.times, JobState.DONE: 99.0}))
    many = [*items, slow, *(item(n) for n in range(100, 150))]

    told = report(batch_of(many), many)

    assert told.slowest[0] == (19.0, "name 80", 0.53)
    assert len(told.slowest) == 10


def test_the_facts_are_plain_json(items):
    told = report(batch_of(items), items)

    assert json.loads(json.dumps(told.facts()))["counts"]["done"] == 2


class Page(HTMLParser):
    """Counts the tags of a page and what it would load or run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.leads_out: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.leads_out += [pair for pair in attrs if pair[0] in ("src", "href", "onload")]


def test_the_page_stands_alone_and_no_text_becomes_a_part_of_it(items):
    told = report(batch_of(items), items)

    page = Page(page_of(told))

    assert page.leads_out == []
    assert {"script", "link", "img", "b", "night", "voice"}.isdisjoint(page.tags)
    assert page.tags.count("rect") == len([bar for bar in told.bars() if bar])
    assert sum(told.bars()) == len(items)
    assert len(told.bars()) == BARS
