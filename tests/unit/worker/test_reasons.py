"""Why a job failed is one of the words of `Reason`, whatever failed and wherever it did."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from producer.job import RvcSettings
from producer.state import Reason
from worker import watch
from worker.engine import errors as engine_errors
from worker.engine.model import ConversionOffer, ModelOffer, TargetVoice
from worker.engine.promises import Promises
from worker.errors import WorkerError
from worker.plan import Target

DOCUMENT = Path(__file__).parents[3] / "docs" / "python-client.md"


def kinds_of(root: type[Exception]) -> Iterator[type[Exception]]:
    for kind in root.__subclasses__():
        yield kind
        yield from kinds_of(kind)


#: A cancelled chunk is no failure.
ENGINE = sorted(
    {engine_errors.EngineError, *kinds_of(engine_errors.EngineError)}
    - {engine_errors.TakeCancelled},
    key=lambda kind: kind.__name__,
)


@pytest.mark.parametrize("kind", [*ENGINE, WorkerError, *kinds_of(WorkerError)])
def test_every_error_is_filed_under_a_reason(kind):
    assert Reason(kind.reason)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_in_the_document(reason):
    assert f"`{reason}`" in DOCUMENT.read_text()


@pytest.mark.parametrize("kind", ENGINE)
def test_an_error_crosses_from_the_engines_process_as_what_it_is(kind):
    # Given an error, and what its process tells of it
    error = kind("carl.pth", "is broken") if kind is engine_errors.CheckpointError else kind("no")

    # When the worker's side makes it again
    found = watch._ERRORS.get(kind.__name__, engine_errors.EngineError).saying(str(error))

    # Then it is filed and told as before, and once more for whoever else waits
    assert (found.reason, str(found)) == (error.reason, str(error))
    assert (type(found.again()), str(found.again())) == (type(found), str(error))


def test_a_broken_file_ends_all_that_wait_for_the_engine():
    promises = Promises(lambda: 0.0)
    waiting = [promises.make(name) for name in "ab"]

    promises.fail_all(engine_errors.CheckpointError(Path("model.pth"), "is no model"))

    assert [str(one.exception(0)) for one in waiting] == 2 * ["model.pth: is no model"]


def offer(**given: object) -> ModelOffer:
    conversion = ConversionOffer("1", (TargetVoice("carl", "c", 40000),), **given)  # type: ignore[arg-type]
    return ModelOffer("fake", "1", "cpu", 24000, 1, ("en",), (), conversion=conversion)


@pytest.mark.parametrize(
    ("given", "voice", "reason", "words"),
    [
        (
            {"faults": {"zoe": "zoe.safetensors: cannot be read"}},
            "zoe",
            "bad_checkpoint",
            "zoe.saf",
        ),
        ({"faults": {"zoe": "zoe.safetensors: cannot be read"}}, "bob", "unknown_voice", "'bob'"),
        ({"obstacle": "no rmvpe.pt"}, "carl", "unsupported_feature", "no rmvpe.pt"),
        ({"obstacle": "rmvpe.pt: x", "is_broken": True}, "carl", "bad_checkpoint", "rmvpe.pt: x"),
    ],
)
def test_a_broken_file_is_another_reason_than_one_that_is_not_there(given, voice, reason, words):
    with pytest.raises(engine_errors.EngineError, match=words) as told:
        Target.of(RvcSettings(voice=voice), offer(**given))

    assert told.value.reason == reason
