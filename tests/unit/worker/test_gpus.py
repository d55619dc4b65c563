"""GPUs: which are there, which are fit, and how the worker's own one is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from worker.config import WorkerSettings
from worker.described_gpus import DescribedGpus
from worker.errors import GpuUnavailable
from worker.farm_plan import FarmPlan, planned_gpus
from worker.gpus import Gpu, GpuReading, NoGpus, OwnGpu, chosen, gpu_source, own_gpu, refusal

GIB = 2**30


def gpu(index: int = 0, memory_gib: float = 24, capability: tuple[int, int] = (8, 6)) -> Gpu:
    return Gpu(index, f"GPU-{index}", "Card", int(memory_gib * GIB), capability)


class Source:
    """GPUs of a test; the first one's temperature can be changed."""

    def __init__(self, *gpus: Gpu) -> None:
        self._gpus = gpus
        self.temperature_c = 40

    def gpus(self):
        return self._gpus

    def reading(self, uuid: str):
        return GpuReading(used_bytes=3 * GIB, temperature_c=self.temperature_c)


@pytest.fixture
def settings(home) -> WorkerSettings:
    return WorkerSettings(home=home, engine="fake")


@pytest.fixture
def described(tmp_path) -> Path:
    file = tmp_path / "gpus.json"
    file.write_text(json.dumps([{"name": "A", "memory_gib": 12, "capability": "7.5"}]))
    return file


@pytest.mark.parametrize("memory_gib", [11.6, 11.76, 12, 80])
def test_a_card_that_is_sold_with_12_gb_is_fit_though_it_tells_of_less(memory_gib):
    assert refusal(gpu(memory_gib=memory_gib)) == ""


@pytest.mark.parametrize("memory_gib", [4, 8, 10.9, 11.2])
def test_a_card_with_less_memory_is_refused_with_the_number(memory_gib):
    assert f"{memory_gib:.1f} GiB" in refusal(gpu(memory_gib=memory_gib))


def test_an_old_card_is_refused_with_its_capability():
    assert "6.1" in refusal(gpu(capability=(6, 1)))
    assert refusal(gpu(capability=(7, 0))) == ""


def test_gpus_are_chosen_by_index_in_the_order_asked_for():
    cards = [gpu(0), gpu(1), gpu(2)]

    assert chosen(cards, "all") == cards
    assert chosen(cards, "2,0") == [cards[2], cards[0]]
    assert chosen(cards, "1,1") == [cards[1]]


@pytest.mark.parametrize("wanted", ["3", "0,3", "", "one", "-1", "0,"])
def test_what_names_no_gpu_is_refused_with_those_that_are_there(wanted):
    with pytest.raises(GpuUnavailable, match="these are: 0, 1"):
        chosen([gpu(0), gpu(1)], wanted)


def test_all_of_no_gpus_is_refused():
    with pytest.raises(GpuUnavailable, match="--gpus cpu"):
        chosen([], "all")


def test_by_itself_an_engine_that_needs_no_gpu_gets_none(settings):
    assert planned_gpus(FarmPlan(), settings, Source(gpu()), print) == []


def test_by_itself_xtts_gets_every_gpu_or_the_processor_where_there_is_none(settings):
    xtts = settings.model_copy(update={"engine": "xtts"})

    assert planned_gpus(FarmPlan(), xtts, Source(gpu(0), gpu(1)), print) == [gpu(0), gpu(1)]
    assert planned_gpus(FarmPlan(), xtts, NoGpus(), print) == []


def test_xtts_on_the_processor_gets_no_gpu(settings):
    xtts = settings.model_copy(update={"engine": "xtts", "device": "cpu"})

    assert planned_gpus(FarmPlan(), xtts, Source(gpu()), print) == []
    assert planned_gpus(FarmPlan(gpus="cpu"), xtts, Source(gpu()), print) == []


def test_an_unfit_gpu_is_left_out_and_told_unless_it_is_allowed(settings):
    told: list[str] = []
    source = Source(gpu(0), gpu(1, memory_gib=8))

    assert planned_gpus(FarmPlan(gpus="all"), settings, source, told.append) == [gpu(0)]
    assert "GPU 1" in told[0] and "--allow-small-gpu" in told[0]
    allowed = FarmPlan(gpus="all", allow_small_gpu=True)
    assert len(planned_gpus(allowed, settings, source, told.append)) == 2
    assert len(told) == 1


def test_a_machine_of_unfit_gpus_alone_is_refused_with_every_reason(settings):
    source = Source(gpu(0, memory_gib=8), gpu(1, capability=(6, 1)))

    with pytest.raises(GpuUnavailable, match=r"(?s)8\.0 GiB.*6\.1"):
        planned_gpus(FarmPlan(gpus="all"), settings, source, print)


def test_the_fewest_workers_are_as_many_as_the_most_unless_said():
    assert FarmPlan().bounds(4) == (4, 4)
    assert FarmPlan(most=2).bounds(4) == (2, 2)
    assert FarmPlan(least=0).bounds(4) == (0, 4)
    assert FarmPlan(least=8, most=8).bounds(4) == (4, 4)


def test_a_worker_knows_how_its_gpu_is_as_of_the_last_time_it_looked():
    source = Source(gpu(0), gpu(1))
    own = OwnGpu(source, "GPU-1")
    before = own.facts

    own.refresh()
    source.temperature_c = 90

    assert before is None
    assert own.facts["uuid"] == "GPU-1"
    assert own.facts["temperature_c"] == 40
    own.refresh()
    assert own.facts["temperature_c"] == 90
    assert json.loads(json.dumps(own.facts)) == own.facts


def test_a_worker_without_a_gpu_tells_of_none(settings):
    own = own_gpu(settings)
    own.refresh()

    assert own.facts is None


def test_a_gpu_that_is_gone_is_told_of_as_nothing():
    own = OwnGpu(Source(gpu(0)), "GPU-9")
    own.refresh()

    assert own.facts is None


def test_a_file_may_describe_gpus_that_change(described, settings):
    source = gpu_source(settings.model_copy(update={"fake_gpus": described}))

    [card] = source.gpus()
    assert (card.memory_bytes, card.capability) == (12 * GIB, (7, 5))
    assert source.reading(card.uuid).temperature_c is None
    entry = {"name": "A", "memory_gib": 12, "capability": "7.5", "temperature_c": 88}
    described.write_text(json.dumps([{**entry, "throttling": ["thermal_hardware"]}]))
    assert source.reading(card.uuid).temperature_c == 88
    assert source.reading(card.uuid).throttling == ("thermal_hardware",)
    assert source.reading("another") is None


@pytest.mark.parametrize(
    ("text", "says"), [("[", "JSON"), ('[{"name": "A"}]', "memory_gib"), ("{}", "array")]
)
def test_a_file_that_describes_no_gpus_is_refused_with_the_place(described, text, says):
    described.write_text(text)

    with pytest.raises(GpuUnavailable, match=says):
        DescribedGpus(described)


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path):
    with pytest.raises(GpuUnavailable, match=r"gone\.json"):
        DescribedGpus(tmp_path / "gone.json")
