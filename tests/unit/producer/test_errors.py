"""Errors carry facts, and survive the way through another process."""

from __future__ import annotations

import pickle

import pytest

from producer import errors

EXAMPLES = [
    errors.InvalidJob("text", "is empty"),
    errors.UnsupportedSchema(9, 1),
    errors.InvalidItem("line 57", "a", "speed", "is too fast"),
    errors.SettingsError("VOICEFARM_X", "y", "wanted z"),
    errors.BrokerUnavailable("redis://***@host", "refused"),
    errors.BrokerRefused("redis://***@host", "WRONGPASS"),
    errors.BrokerUntrusted("rediss://***@host", "self-signed certificate"),
    errors.BrokerFull("redis://***@host", "OOM"),
    errors.Unacknowledged("sentinel://***@host", "0 of 1 replicas", ("a" * 32,)),
    errors.NoWorker("speech.batch"),
    errors.JobNotFound("a" * 32),
    errors.BatchNotFound("a" * 24),
    errors.JobFailed("a" * 32, "volume_full", "no space left"),
    errors.JobCancelled("a" * 32),
    errors.WaitTimeout("a" * 32, 1.5, "queued"),
    errors.VolumeUnavailable("/farm", "is not mounted"),
    errors.EmbeddedBrokerFailed("no server"),
    errors.DownloadFailed("model.pth", "the server has none"),
]


def test_every_error_has_an_example_here():
    named = [value for value in vars(errors).values() if isinstance(value, type)]
    kinds = {kind for kind in named if issubclass(kind, Exception)}

    assert {type(error) for error in EXAMPLES} | {errors.VoicefarmError} == kinds


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_arrives_in_another_process_with_its_message_and_facts(error):
    arrived = pickle.loads(pickle.dumps(error))  # noqa: S301 - what a host's process pool does

    assert type(arrived) is type(error)
    assert (str(arrived), vars(arrived)) == (str(error), vars(error))
