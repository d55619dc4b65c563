"""The take shelf: what was kept comes back to the bit, or not at all."""

from __future__ import annotations

import errno
import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from producer.content_key import content_key
from producer.volumes import Volumes
from worker.engine.request import Take
from worker.take_shelf import TakeShelf

KEY, OTHER = content_key(n=1), content_key(n=2)


@pytest.fixture
def volumes(tmp_path) -> Volumes:
    volumes = Volumes(tmp_path)
    volumes.make()
    return volumes


@pytest.fixture
def shelf(volumes) -> TakeShelf:
    return TakeShelf(volumes, budget_bytes=10**6)


@pytest.fixture
def take() -> Take:
    samples = np.random.default_rng(1).normal(0, 1, 500).astype(np.float32)
    return Take(samples, 24000, waited_s=1.0, computed_s=2.0, trimmed_s=0.5, truncated=True)


def test_a_take_comes_back_as_it_was_and_costs_no_time_again(shelf, take):
    shelf.keep(KEY, take)

    found = shelf.find(KEY)

    assert shelf.has(KEY)
    assert found.samples.tobytes() == take.samples.tobytes()
    assert (found.sample_rate_hz, found.trimmed_s, found.truncated) == (24000, 0.5, True)
    assert (found.waited_s, found.computed_s) == (0.0, 0.0)


@pytest.mark.parametrize("samples", [0, 1, 500])
def test_a_disk_that_takes_a_little_at_a_time_gets_it_all(shelf, take, monkeypatch, samples):
    whole = os.pwritev
    monkeypatch.setattr(os, "pwritev", lambda fd, pieces, at: whole(fd, [pieces[0][:37]], at))
    short = replace(take, samples=take.samples[:samples])

    shelf.keep(KEY, short)

    assert shelf.find(KEY).samples.tobytes() == short.samples.tobytes()


def test_nothing_half_is_left_of_a_take_that_the_disk_refused(shelf, take, monkeypatch):
    shelf.keep(OTHER, take)

    def full(fd: int, pieces: object, place: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwritev", full)
    shelf.keep(KEY, take)

    assert [thing.name for thing in shelf.things()] == [OTHER]


halves = arrays(np.float16, st.integers(0, 40)).map(lambda half: half.astype(np.float32))
wholes = arrays(np.float32, st.integers(0, 40))


@given(samples=halves | wholes, tail=halves | wholes)
def test_a_take_comes_back_to_the_bit_whatever_its_samples(tmp_path_factory, samples, tail):
    home = Volumes(tmp_path_factory.mktemp("home"))
    home.make()
    samples = np.concatenate([samples, np.zeros(1000, np.float32), tail])

    TakeShelf(home, 10**6).keep(KEY, Take(samples, 24000))

    assert TakeShelf(home, 10**6).find(KEY).samples.tobytes() == samples.tobytes()


def test_what_was_computed_in_half_precision_takes_half_the_room(shelf, volumes, take):
    shelf.keep(KEY, take)
    shelf.keep(OTHER, replace(take, samples=take.samples.astype(np.float16).astype(np.float32)))

    sizes = [volumes.take(key).stat().st_size for key in (KEY, OTHER)]

    assert sizes[0] - sizes[1] == pytest.approx(take.samples.nbytes / 2, abs=20)


def test_a_take_of_an_unknown_form_is_none(shelf, volumes, take):
    shelf.keep(KEY, replace(take, samples=take.samples * 0))
    file = volumes.take(KEY)
    file.write_bytes(file.read_bytes().replace(b"<f2", b"<i2"))

    assert shelf.find(KEY) is None


def test_what_is_not_there_is_not_found(shelf):
    assert not shelf.has(KEY)
    assert shelf.find(KEY) is None


@pytest.mark.parametrize(
    "harm", [lambda c: c[:-1], lambda c: b"", lambda c: b"{}\n", lambda c: c + c]
)
def test_a_broken_take_is_not_found_and_is_kept_again(shelf, volumes, take, harm):
    shelf.keep(KEY, take)
    file = volumes.take(KEY)
    file.write_bytes(harm(file.read_bytes()))

    assert shelf.find(KEY) is None
    shelf.keep(KEY, take)
    assert shelf.find(KEY) is not None


def test_a_volume_that_takes_nothing_stops_nobody(shelf, volumes, take):
    volumes.processed.rmdir()

    shelf.keep(KEY, take)

    assert shelf.find(KEY) is None
    assert not volumes.processed.exists()


def test_the_shelf_tells_its_takes_and_what_dead_workers_left_and_removes_both(
    shelf, volumes, take
):
    shelf.keep(KEY, take)
    left = volumes.take(OTHER).with_name(f"{OTHER}.0123.part")
    left.parent.mkdir()
    left.write_bytes(b"half")

    things = {thing.name: thing for thing in shelf.things()}

    assert set(things) == {KEY, left.name}
    assert [shelf.remove(thing) for thing in things.values()] == [True, True]
    assert [shelf.remove(thing) for thing in things.values()] == [False, False]
    assert list(shelf.things()) == []


def test_who_keeps_more_than_the_budget_makes_room_and_the_oldest_go_first(volumes, take):
    one_bytes = 500 * 4
    shelf = TakeShelf(volumes, budget_bytes=10 * one_bytes)
    keys = [content_key(n=n) for n in range(30)]

    for age, key in enumerate(keys):
        shelf.keep(key, take)
        if shelf.has(key):
            os.utime(volumes.take(key), (age, age))

    kept = [key for key in keys if shelf.has(key)]
    assert kept == keys[-len(kept) :]
    # Each is a little longer than its samples, and room is made at every tenth of the budget.
    assert 8 <= len(kept) <= 11
