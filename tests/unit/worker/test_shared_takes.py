"""Takes that jobs share: computed by one of them, waited for by the others, and not for ever."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.content_key import content_key
from worker.claims import Claimant
from worker.engine.errors import TakeCancelled
from worker.engine.request import ChunkRequest, Take
from worker.guard import Guard
from worker.rendition import Rendition
from worker.shared_takes import LOOK_S, SharedTakes, Sharing

#: Looks until the time limit is over.
LOOKS = 4


class Engine:
    """Computes everything at once, and notes what."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def submit(self, request: ChunkRequest) -> Future[Take]:
        self.asked.append(request.text)
        future: Future[Take] = Future()
        future.set_result(take_of(request.text))
        return future

    def cancel(self, request_id: str) -> None:
        pass


class Shelf:
    """Takes in memory."""

    def __init__(self) -> None:
        self.takes: dict[str, Take] = {}
        self.kept: list[str] = []

    def has(self, key: str) -> bool:
        return key in self.takes

    def find(self, key: str) -> Take | None:
        return self.takes.get(key)

    def keep(self, key: str, take: Take) -> None:
        self.kept.append(key)
        self.takes[key] = take


class Claims:
    """Claims in memory, by key; who holds one is a text."""

    def __init__(self) -> None:
        self.held: dict[str, str] = {}
        self.trips = 0

    def take_some(self, keys, claimant: Claimant, limit_s: float) -> list[bool]:
        self.trips += 1
        return [self.held.setdefault(key, str(claimant)) == str(claimant) for key in keys]

    def release(self, keys, claimant: Claimant) -> None:
        for key in keys:
            if self.held.get(key) == str(claimant):
                del self.held[key]


class Place:
    """A farm of one engine, where something happens whenever a job waits."""

    def __init__(self) -> None:
        self.engine, self.shelf, self.claims = Engine(), Shelf(), Claims()
        self.on_wait = lambda: None
        self.waits = 0

    def sleep(self, seconds: float) -> None:
        self.waits += 1
        self.on_wait()

    def source(self, texts: str, name: str = "me") -> SharedTakes:
        sharing = Sharing(self.shelf, self.claims, LOOKS * LOOK_S, self.sleep)
        keys = {chunk.id: key_of(chunk.text) for chunk in chunks_of(texts)}
        claimant = Claimant(name, "w", name)
        return SharedTakes(Guard(self.engine, guarded=False), sharing, claimant, keys)

    def rendition(self, texts: str, ahead: int = 3) -> Rendition:
        self.latest = self.source(texts)
        return Rendition(self.latest, chunks_of(texts), len(texts), ahead)

    def render(self, texts: str, ahead: int = 3) -> str:
        return "".join(
            chr(int(judged.take.samples[0])) for judged in self.rendition(texts, ahead).takes()
        )

    def claim(self, texts: str, holder: str = "another") -> None:
        self.claims.held |= {key_of(text): holder for text in texts}

    def put(self, texts: str) -> None:
        self.shelf.takes |= {key_of(text): take_of(text) for text in texts}


@pytest.fixture
def place() -> Place:
    return Place()


def take_of(text: str) -> Take:
    return Take(np.full(1, float(ord(text)), np.float32), 24000)


def key_of(text: str) -> str:
    return content_key(text=text)


def chunks_of(texts: str) -> list[ChunkRequest]:
    return [ChunkRequest(f"job.{n}", text, "en", "default", 0) for n, text in enumerate(texts)]


def test_what_is_not_there_is_computed_kept_and_let_go_of(place):
    assert place.render("abcde") == "abcde"

    assert place.engine.asked == list("abcde")
    assert place.shelf.kept == [key_of(text) for text in "abcde"]
    assert place.claims.held == {}
    assert place.latest.found == 0


def test_what_is_there_is_neither_computed_nor_claimed_nor_kept_again(place):
    place.put("abcde")

    assert place.render("abcde") == "abcde"

    assert place.engine.asked == place.shelf.kept == []
    assert place.claims.trips == 0
    assert place.latest.found == 5


def test_what_a_text_says_twice_is_computed_once(place):
    assert place.render("abacada", ahead=4) == "abacada"

    assert sorted(place.engine.asked) == list("abcd")
    assert place.claims.held == {}


@given(
    texts=st.text("abcdef", min_size=1, max_size=20),
    ahead=st.integers(1, 6),
    there=st.sets(st.sampled_from("abcdef")),
    elsewhere=st.sets(st.sampled_from("abcdef")),
    events=st.lists(st.sampled_from(["nothing", "the other has done one", "the other is gone"])),
)
def test_a_text_is_whole_and_in_order_whatever_the_others_do(
    texts, ahead, there, elsewhere, events
):
    place = Place()
    place.put("".join(there))
    place.claim("".join(sorted(elsewhere - there)))
    others = sorted(elsewhere - there)

    def happen() -> None:
        what = events.pop() if events else "nothing"
        if what == "the other has done one" and others:
            place.put(others.pop())
        elif what == "the other is gone":
            others.clear()
            place.claims.held = {k: v for k, v in place.claims.held.items() if v != "another"}

    place.on_wait = happen

    assert place.render(texts, ahead) == texts
    assert len(place.engine.asked) == len(set(place.engine.asked))
    assert there.isdisjoint(place.engine.asked)
    assert set(place.claims.held.values()) <= {"another"}


def test_of_an_edited_text_only_what_is_new_is_computed(place):
    place.put("abcde")

    assert place.render("abXde", ahead=2) == "abXde"

    assert place.engine.asked == ["X"]


def test_the_first_claims_are_one_round_trip(place):
    place.rendition("abcdefgh", ahead=6)

    assert place.claims.trips == 1


def test_a_take_of_another_job_is_waited_for_outside_of_the_engine(place):
    place.claim("ab")
    place.on_wait = lambda: place.put("ab") if place.waits == 2 else None

    assert place.render("abc") == "abc"

    assert place.engine.asked == ["c"]
    assert place.waits == 2
    assert place.shelf.kept == [key_of("c")]


def test_when_the_other_is_gone_all_of_its_takes_are_computed_at_once(place):
    place.claim("abc")
    place.on_wait = place.claims.held.clear

    assert place.render("abcd", ahead=4) == "abcd"

    assert place.engine.asked == ["d", "a", "b", "c"]
    assert place.waits == 1
    assert set(place.shelf.kept) == {key_of(text) for text in "abcd"}


def test_after_the_time_limit_a_take_is_computed_though_it_is_claimed(place):
    place.claim("a")

    assert place.render("ab") == "ab"

    assert "a" in place.engine.asked
    assert LOOKS <= place.waits <= LOOKS + 1
    assert place.claims.held == {key_of("a"): "another"}


def test_a_broken_take_is_computed_again(place):
    place.put("a")
    place.shelf.find = lambda key: None

    assert place.render("ab") == "ab"

    assert sorted(place.engine.asked) == ["a", "b"]
    assert key_of("a") in place.shelf.kept


def test_what_somebody_waits_for_is_not_left_to_another_job(place):
    place.claim("ab")
    chunks = [replace(chunk, interactive=True) for chunk in chunks_of("abc")]
    rendition = Rendition(place.source("abc"), chunks, 3, ahead=3)

    assert len(list(rendition.takes())) == 3

    assert place.engine.asked == list("abc")
    assert place.waits == 0
    assert place.claims.held == {key_of(text): "another" for text in "ab"}


def test_who_is_cancelled_waits_no_longer(place):
    place.claim("a")
    rendition = place.rendition("ab")
    place.on_wait = rendition.cancel

    with pytest.raises(TakeCancelled):
        list(rendition.takes())

    assert place.waits == 1
    assert place.claims.held == {key_of("a"): "another"}


def test_what_fails_lets_go_of_its_claims(place):
    rendition = place.rendition("ab")
    rendition.cancel()

    with pytest.raises(TakeCancelled):
        list(rendition.takes())

    assert place.claims.held == {}
