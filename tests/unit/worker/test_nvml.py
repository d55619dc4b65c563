"""NVML: what a card tells, what it does not tell, and machines that have none."""

from __future__ import annotations

import builtins
import sys
from types import SimpleNamespace

import pytest

from worker.gpus import NoGpus
from worker.nvml import Nvml, nvml_source


class NVMLError(Exception):
    """As the library raises it."""


class Api:
    """Stands in for `pynvml`, by the names that are asked; `silent` ones are not supported."""

    NVMLError = NVMLError
    NVML_TEMPERATURE_GPU = 0

    def __init__(self, *silent: str, bits: int = 0) -> None:
        self._silent = silent
        self._answers = {
            "nvmlDeviceGetCount": lambda: 2,
            "nvmlDeviceGetHandleByIndex": lambda index: index,
            "nvmlDeviceGetHandleByUUID": lambda uuid: self._by_uuid(uuid),
            "nvmlDeviceGetUUID": lambda card: f"GPU-{card}",
            "nvmlDeviceGetName": lambda card: b"Card",
            "nvmlDeviceGetMemoryInfo": lambda card: SimpleNamespace(total=24 << 30, used=5 << 30),
            "nvmlDeviceGetCudaComputeCapability": lambda card: (9, 0),
            "nvmlDeviceGetTemperature": lambda card, sensor: 71,
            "nvmlDeviceGetCurrentClocksThrottleReasons": lambda card: bits,
        }

    def __getattr__(self, name: str):
        def answer(*arguments):
            if name in self._silent:
                raise NVMLError("Not Supported")
            return self._answers[name](*arguments)

        return answer

    @staticmethod
    def _by_uuid(uuid: str) -> int:
        if uuid not in ("GPU-0", "GPU-1"):
            raise NVMLError("Not Found")
        return int(uuid[-1])


def test_a_card_tells_what_it_is():
    first, second = Nvml(Api()).gpus()

    assert (first.index, first.uuid, first.name) == (0, "GPU-0", "Card")
    assert (second.memory_bytes, second.capability) == (24 << 30, (9, 0))


def test_a_card_tells_how_it_is():
    reading = Nvml(Api(bits=0x01 | 0x04 | 0x40)).reading("GPU-1")

    assert (reading.used_bytes, reading.temperature_c) == (5 << 30, 71)
    assert reading.throttling == ("power_cap", "thermal_hardware")


def test_an_idle_card_is_not_throttled():
    assert Nvml(Api(bits=0x01)).reading("GPU-0").throttling == ()


def test_a_question_without_an_answer_costs_its_answer_alone():
    reading = Nvml(Api("nvmlDeviceGetTemperature")).reading("GPU-0")

    assert (reading.used_bytes, reading.temperature_c) == (5 << 30, None)


def test_a_card_that_cannot_say_what_it_is_is_left_out():
    assert Nvml(Api("nvmlDeviceGetCudaComputeCapability")).gpus() == []


def test_a_card_that_has_gone_has_no_reading():
    assert Nvml(Api()).reading("GPU-7") is None


def test_a_driver_that_answers_nothing_has_no_cards():
    assert Nvml(Api("nvmlDeviceGetCount")).gpus() == []


def test_without_the_library_there_are_no_gpus(monkeypatch):
    whole_import = builtins.__import__

    def without(name, *rest):
        if name == "pynvml":
            raise ImportError(name)
        return whole_import(name, *rest)

    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)

    assert isinstance(nvml_source(), NoGpus)


@pytest.mark.parametrize("silent", [(), ("nvmlInit",)])
def test_without_a_driver_there_are_no_gpus(monkeypatch, silent):
    api = Api(*silent)
    api._answers["nvmlInit"] = lambda: None
    monkeypatch.setitem(sys.modules, "pynvml", api)

    assert isinstance(nvml_source(), NoGpus if silent else Nvml)
