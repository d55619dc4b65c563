"""Batches that a device works on: the engine goes on, and each outcome goes to who waits for it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from worker.engine.conversion import AHEAD, AHEAD_AWAITED, Conversion
from worker.engine.converter import Converted, Source
from worker.engine.errors import ChunkFailed, EngineOutOfMemory
from worker.engine.fake_converter import FakeConverter
from worker.engine.model import Outcome
from worker.engine.request import ChunkRequest, ConversionRequest, Sound
from worker.engine.under_way import UnderWay


class Device:
    """Has been told to convert, and is done when its test says so."""

    def __init__(self, found: Sequence[Outcome] = (), error: Exception | None = None) -> None:
        self._found = found
        self._error = error
        self.ready = False
        self.was_waited_for = False

    def is_done(self) -> bool:
        return self.ready

    def outcomes(self) -> Sequence[Outcome]:
        self.was_waited_for = not self.ready
        if self._error is not None:
            raise self._error
        return self._found


def source(name: str) -> Source:
    return Source(name, np.zeros(10, np.float32), 24000, ConversionRequest("robot", 0))


def sound(value: float = 0.0) -> Sound:
    return Sound(np.full(3, value, np.float32))


def test_what_is_done_comes_in_the_order_in_which_it_began():
    under_way = UnderWay()
    first, second = Device([sound(1)]), Device([sound(2)])
    under_way.add([source("a")], first)
    under_way.add([source("b")], second)

    second.ready = True
    assert under_way.ended(wait=False) == {}
    first.ready = True

    assert list(under_way.ended(wait=False)) == ["a", "b"]
    assert (under_way.batches, len(under_way)) == (0, 0)


def test_who_waits_waits_for_one_batch():
    under_way = UnderWay()
    devices = [Device([sound()]) for _ in range(2)]
    for name, device in zip("ab", devices, strict=True):
        under_way.add([source(name)], device)

    assert list(under_way.ended(wait=True)) == ["a"]
    assert [device.was_waited_for for device in devices] == [True, False]


def test_an_outcome_is_not_given_to_the_next_one_of_the_same_name():
    under_way = UnderWay()
    first, second = Device([sound(1)]), Device([sound(2)])
    under_way.add([source("a")], first)
    under_way.drop("a")
    under_way.add([source("a")], second)
    first.ready = second.ready = True

    ended = under_way.ended(wait=False)

    assert isinstance(ended["a"], Sound) and ended["a"].samples[0] == 2


@pytest.mark.parametrize(
    ("error", "kind"), [(RuntimeError("strange"), ChunkFailed), (MemoryError(), EngineOutOfMemory)]
)
def test_a_batch_that_fails_on_the_device_fails_its_own(error, kind):
    under_way = UnderWay()
    under_way.add([source("a"), source("b")], Device(error=error))

    ended = under_way.ended(wait=True)

    assert {name: type(outcome) for name, outcome in ended.items()} == {"a": kind, "b": kind}


def test_an_error_of_the_device_is_nobodys():
    under_way = UnderWay()
    under_way.add([source("a")], Device(error=RuntimeError("CUDA error: illegal address")))

    with pytest.raises(RuntimeError, match="illegal"):
        under_way.ended(wait=True)


class SlowConverter(FakeConverter):
    """Begins batches of one second, and leaves them to its device."""

    def __init__(self) -> None:
        super().__init__(portion_s=1.0)
        self.devices: list[Device] = []

    def convert(self, sources: Sequence[Source]) -> Device | Converted:  # type: ignore[override]
        self.devices.append(Device(super().convert(sources).outcomes()))
        return self.devices[-1]


def spoken_by(conversion: Conversion, *names: str) -> dict[str, Outcome]:
    """A second of sound for each, which is to be converted."""
    wanted = ConversionRequest("robot", 0)
    conversion.expect(ChunkRequest(name, "", "en", "x", 0, conversion=wanted) for name in names)
    return {name: Sound(np.zeros(24000, np.float32)) for name in names}


@pytest.mark.parametrize(("awaited", "ahead"), [(False, AHEAD), (True, AHEAD_AWAITED)])
def test_while_rows_are_decoded_nobody_waits_for_a_batch_and_few_are_ahead(awaited, ahead):
    converter = SlowConverter()
    conversion = Conversion(converter)
    conversion.open(24000)
    spoken = spoken_by(conversion, *"abcd")

    for _ in range(4):
        assert conversion.turn(spoken, busy=True, awaited=awaited) == {}
        spoken = {}

    assert len(converter.devices) == ahead
    assert not any(device.was_waited_for for device in converter.devices)
    assert conversion.facts()["converting"] == 4
    assert set(conversion.held) == set("abcd")  # type: ignore[call-overload]


def test_with_nothing_else_to_do_batches_are_waited_for_until_all_is_converted():
    converter = SlowConverter()
    conversion = Conversion(converter)
    conversion.open(24000)
    spoken = spoken_by(conversion, *"abcd")

    ended: list[str] = []
    for _ in range(2 * len("abcd")):
        ended += conversion.turn(spoken, busy=False, awaited=False)
        spoken = {}

    assert ended == list("abcd")
    assert conversion.facts()["converting"] == 0
