"""What the client package exports is a promise: a change here is a change for its users."""

from __future__ import annotations

import producer


def test_exactly_these_names_are_exported():
    assert sorted(producer.__all__) == sorted(
        [
            *("VoiceFarm", "Job", "AsyncVoiceFarm", "AsyncJob", "as_completed"),
            *("Batch", "AsyncBatch", "Schedule"),
            *("SpeechJob", "ConvertJob", "AssembleJob", "OutputSpec", "RvcSettings", "Priority"),
            *("JobState", "Reason", "Progress", "SpeechResult"),
            *("VoicefarmError", "InvalidItem", "InvalidJob", "UnsupportedSchema", "SettingsError"),
            *("BrokerRefused", "BrokerUntrusted", "BrokerFull", "Unacknowledged"),
            *("BrokerUnavailable", "NoWorker", "JobNotFound", "JobFailed", "JobCancelled"),
            *(
                "BatchNotFound",
                "WaitTimeout",
                "VolumeUnavailable",
                "EmbeddedBrokerFailed",
                "__version__",
            ),
        ]
    )


def test_every_exported_name_exists():
    assert [name for name in producer.__all__ if not hasattr(producer, name)] == []


def test_every_error_is_a_voicefarm_error():
    errors = [
        value
        for value in vars(producer.errors).values()
        if isinstance(value, type) and issubclass(value, Exception)
    ]

    assert all(issubclass(error, producer.VoicefarmError) for error in errors)
