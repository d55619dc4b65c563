"""The courier: each reply goes to who asked, none is lost, and one command's error is its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from worker import courier as courier_module
from worker.courier import MOST, Courier

#: Longer than any of these waits can honestly take.
LIMIT_S = 30


class FakeRedis:
    """Echoes each command, and writes down every round trip.

    `faults` are raised by the trips, one after the other, None being a good one; with
    `too_late` Redis has heard all commands before that. `gate` holds trips up.
    """

    def __init__(self, faults: Sequence[Exception | None] = (), *, too_late: bool = False) -> None:
        self.connection_pool = redis.ConnectionPool()
        self.trips: list[list[tuple]] = []
        self.heard: list[tuple] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self._faults = iter(faults)
        self._too_late = too_late

    @contextmanager
    def pipeline(self, *, transaction: bool) -> Iterator[FakePipeline]:
        assert not transaction
        yield FakePipeline(self)

    def execute(self, commands: list[tuple]) -> list[Any]:
        self.trips.append(commands)
        self.entered.release()
        assert self.gate.wait(LIMIT_S)
        if ("UNSENDABLE",) in commands:
            raise redis.DataError("Invalid input of type: 'object'")
        fault = next(self._faults, None)
        if fault is None or self._too_late:
            self.heard += commands
        if fault is not None:
            raise fault
        return [
            redis.ResponseError(f"refused {command}") if command[0] == "REFUSED" else command
            for command in commands
        ]


class FakePipeline:
    """Collects the commands of one round trip."""

    def __init__(self, server: FakeRedis) -> None:
        self._server = server
        self._commands: list[tuple] = []

    def execute_command(self, *command: Any, **options: Any) -> None:
        self._commands.append(command)

    def execute(self, *, raise_on_error: bool) -> list[Any]:
        assert not raise_on_error
        return self._server.execute(self._commands)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that are too short to be noticed."""
    monkeypatch.setattr(courier_module, "PAUSE_S", 0.0001)
    monkeypatch.setattr(courier_module, "LONGEST_PAUSE_S", 0.001)
    monkeypatch.setattr(courier_module, "GATHER_S", 0.0001)
    monkeypatch.setattr(courier_module, "REFUSED_S", 0.0001)


@pytest.fixture
def server() -> FakeRedis:
    return FakeRedis()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """Task threads."""
    with ThreadPoolExecutor(32) as threads:
        yield threads


@contextmanager
def serving(server: FakeRedis, retries: int = 1) -> Iterator[Courier]:
    courier = Courier(server, retries)
    yield courier
    server.gate.set()
    courier.close(LIMIT_S)


@pytest.fixture
def courier(server: FakeRedis) -> Iterator[Courier]:
    """A courier of that server."""
    with serving(server) as courier:
        yield courier


def while_it_travels(server: FakeRedis, courier: Courier, threads: ThreadPoolExecutor) -> Callable:
    """Hold a first trip up; what the caller returns lets it go and gives its reply."""
    server.gate.clear()
    first = threads.submit(courier.ask, "FIRST")
    assert server.entered.acquire(timeout=LIMIT_S)

    def go_on() -> Any:
        server.gate.set()
        return first.result(LIMIT_S)

    return go_on


def test_a_lone_command_travels_alone_and_its_reply_comes_back(courier, server):
    assert courier.ask("GET", "a") == ("GET", "a")
    assert server.trips == [[("GET", "a")]]


def test_who_comes_during_a_round_trip_shares_the_next_one(courier, server, threads):
    go_on = while_it_travels(server, courier, threads)

    asked = [threads.submit(courier.ask, "GET", n) for n in range(20)]
    while courier.waiting < 20:
        pass
    go_on()

    assert [each.result(LIMIT_S) for each in asked] == [("GET", n) for n in range(20)]
    assert [len(trip) for trip in server.trips] == [1, 20]


def test_what_is_too_much_for_one_trip_goes_with_the_next(courier, server, threads):
    go_on = while_it_travels(server, courier, threads)
    for n in range(MOST + 1):
        courier.send("SET", n)

    go_on()
    courier.close(LIMIT_S)

    assert [len(trip) for trip in server.trips] == [1, MOST, 1]


def test_what_redis_refuses_concerns_only_who_asked_for_it(courier, server, threads):
    go_on = while_it_travels(server, courier, threads)
    refused = threads.submit(courier.ask, "REFUSED")
    good = threads.submit(courier.ask, "GET", "a")
    go_on()

    with pytest.raises(redis.ResponseError, match="refused"):
        refused.result(LIMIT_S)
    assert good.result(LIMIT_S) == ("GET", "a")


def test_a_command_that_cannot_be_sent_keeps_nobody_else_from_it(courier, server, threads):
    go_on = while_it_travels(server, courier, threads)
    unsendable = threads.submit(courier.ask, "UNSENDABLE")
    good = [threads.submit(courier.ask, "GET", n) for n in range(5)]
    go_on()

    with pytest.raises(redis.DataError):
        unsendable.result(LIMIT_S)
    assert [each.result(LIMIT_S) for each in good] == [("GET", n) for n in range(5)]


@pytest.mark.parametrize("fault", [redis.ConnectionError("away"), redis.TimeoutError("silent")])
def test_a_command_goes_again_while_the_broker_is_away(fault):
    server = FakeRedis([fault] * 3)
    with serving(server, retries=3) as courier:
        assert courier.ask("GET", "a") == ("GET", "a")
    assert len(server.trips) == 4


def test_a_command_fails_when_it_has_travelled_in_vain_too_often():
    server = FakeRedis([redis.ConnectionError("away")] * 4)
    with serving(server, retries=3) as courier:
        with pytest.raises(redis.ConnectionError, match="away"):
            courier.ask("GET", "a")
        assert courier.ask("GET", "b") == ("GET", "b")


def test_each_who_travelled_in_vain_has_an_error_of_its_own(threads):
    server = FakeRedis([None, redis.TimeoutError("silent")])
    with serving(server, retries=0) as courier:
        go_on = while_it_travels(server, courier, threads)
        asked = [threads.submit(courier.ask, "GET", n) for n in range(5)]
        while courier.waiting < 5:
            pass
        go_on()
        errors = [each.exception(LIMIT_S) for each in asked]

    assert {type(error) for error in errors} == {redis.TimeoutError}
    assert len(set(map(id, errors))) == 5


def test_what_nobody_waits_for_goes_until_it_succeeds():
    server = FakeRedis([redis.ConnectionError("away")] * 50)
    with serving(server, retries=3) as courier:
        courier.send("DEL", "a")
        while ("DEL", "a") not in server.heard:
            pass
    assert len(server.trips) == 51


def test_what_redis_goes_on_to_refuse_is_given_up(courier, server):
    courier.send("REFUSED")

    while server.heard.count(("REFUSED",)) < courier_module.REFUSALS:
        pass
    for n in range(100):
        courier.ask("GET", n)

    assert server.heard.count(("REFUSED",)) == courier_module.REFUSALS


def test_what_redis_refuses_goes_again_later_and_holds_up_nobody(courier, server, monkeypatch):
    monkeypatch.setattr(courier_module, "REFUSED_S", 3600)
    courier.send("REFUSED")

    assert [courier.ask("GET", n) for n in range(100)] == [("GET", n) for n in range(100)]
    assert server.heard.count(("REFUSED",)) == 1


def test_what_was_sent_before_a_close_is_carried(server, threads):
    courier = Courier(server)
    go_on = while_it_travels(server, courier, threads)
    courier.send("DEL", "a")
    closed = threads.submit(courier.close, LIMIT_S)
    go_on()
    closed.result(LIMIT_S)

    assert server.trips[-1] == [("DEL", "a")]


def test_a_courier_that_has_stopped_says_so(server):
    courier = Courier(server)
    courier.close()

    with pytest.raises(redis.ConnectionError, match="stopped"):
        courier.ask("GET", "a")
    courier.send("DEL", "a")
    assert server.trips == []


def test_a_close_while_the_broker_is_away_keeps_nobody_waiting(threads):
    server = FakeRedis([redis.ConnectionError("away")] * 10**6)
    courier = Courier(server, retries=10**6)
    asked = threads.submit(courier.ask, "GET", "a")
    assert server.entered.acquire(timeout=LIMIT_S)

    courier.close(LIMIT_S)

    with pytest.raises(redis.ConnectionError, match="stopped"):
        asked.result(LIMIT_S)


def test_a_client_asks_by_the_courier(courier, server):
    courier.client.hget("job", "state")

    assert server.trips[0][0][:3] == ("HGET", "job", "state")


commands = st.sampled_from(["GET", "REFUSED", "SEND"])
faults = st.sampled_from([None, redis.ConnectionError("away"), redis.TimeoutError("silent")])


@settings(max_examples=100, deadline=None)
@given(
    callers=st.lists(st.lists(commands, max_size=6), min_size=1, max_size=8),
    trips=st.lists(faults, max_size=12),
    too_late=st.booleans(),
)
def test_every_caller_gets_its_own_replies_in_its_own_order(callers, trips, too_late):
    server = FakeRedis(trips, too_late=too_late)

    def call(courier: Courier, caller: int, wanted: list[str]) -> None:
        for place, name in enumerate(wanted):
            if name == "SEND":
                courier.send("SEND", caller, place)
            elif name == "GET":
                assert courier.ask("GET", caller, place) == ("GET", caller, place)
            else:
                with pytest.raises(redis.ResponseError, match=rf"'REFUSED', {caller}, {place}\)"):
                    courier.ask("REFUSED", caller, place)

    with serving(server, retries=len(trips)) as courier, ThreadPoolExecutor(8) as threads:
        called = [threads.submit(call, courier, *each) for each in enumerate(callers)]
        for each in called:
            each.result(LIMIT_S)
        # Behind what nobody waits for.
        courier.ask("GET", "last")

    for caller, wanted in enumerate(callers):
        heard = [command[2] for command in server.heard if command[1] == caller]
        # Who was heard without an answer comes again, and nobody overtakes oneself.
        assert list(dict.fromkeys(heard)) == list(range(len(wanted)))
        if not too_late:
            assert heard == list(range(len(wanted)))
