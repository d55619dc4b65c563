"""Solitude: who is to be alone is, nobody waits for ever, and what waits can be called off."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import eventually
from worker.engine.errors import TakeCancelled
from worker.solitude import Solitude


def always() -> bool:
    return True


def never() -> bool:
    return False


def test_many_are_in_company_at_the_same_time():
    solitude = Solitude()

    with solitude.company(never), solitude.company(never):
        assert not solitude.is_wanted


def test_who_is_alone_waits_for_the_company_to_end_and_keeps_others_out():
    solitude = Solitude()
    order: list[str] = []
    go = threading.Event()

    def suspect() -> None:
        with solitude.alone(always):
            order.append("alone")
            go.wait(10)
            order.append("end of alone")

    def latecomer() -> None:
        with solitude.company(always):
            order.append("company")

    with ThreadPoolExecutor() as threads:
        with solitude.company(always):
            threads.submit(suspect)
            eventually(lambda: solitude.is_wanted)
            threads.submit(latecomer)
            order.append("end of company")
        eventually(lambda: "alone" in order)
        go.set()

    assert order == ["end of company", "alone", "end of alone", "company"]


def test_never_two_are_alone():
    solitude = Solitude()
    inside: list[int] = []
    seen: list[int] = []

    def suspect(number: int) -> None:
        with solitude.alone(always):
            inside.append(number)
            seen.append(len(inside))
            inside.remove(number)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(suspect, range(50)))

    assert seen == [1] * 50


def test_its_end_is_told():
    told: list[bool] = []
    solitude = Solitude(lambda: told.append(solitude.is_wanted))

    with solitude.alone(always):
        assert told == []

    assert told == [False]


def test_what_is_wanted_no_more_stops_waiting_and_leaves_no_trace():
    solitude = Solitude()

    with solitude.company(always):
        with pytest.raises(TakeCancelled), solitude.alone(never):
            pass
        assert not solitude.is_wanted
    with solitude.alone(always), pytest.raises(TakeCancelled), solitude.company(never):
        pass
