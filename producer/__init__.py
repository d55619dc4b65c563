"""Voicefarm's client: queue speech jobs, follow them, get their files. Needs no torch.

from producer import VoiceFarm

farm = VoiceFarm()
job = farm.submit("Hello from the farm")
print(job.path)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import (
    BatchNotFound,
    BrokerFull,
    BrokerRefused,
    BrokerUnavailable,
    BrokerUntrusted,
    EmbeddedBrokerFailed,
    InvalidItem,
    InvalidJob,
    JobCancelled,
    JobFailed,
    JobNotFound,
    NoWorker,
    SettingsError,
    Unacknowledged,
    UnsupportedSchema,
    VoicefarmError,
    VolumeUnavailable,
    WaitTimeout,
)
from .queues import Priority
from .state import JobState, Reason
from .version import VERSION

if TYPE_CHECKING:
    from .aio import AsyncJob, AsyncVoiceFarm
    from .assemble_job import AssembleJob
    from .batch.aio import AsyncBatch
    from .batch.handle import Batch
    from .batch.schedule import Schedule
    from .client import VoiceFarm, as_completed
    from .job import ConvertJob, OutputSpec, RvcSettings, SpeechJob
    from .job_handle import Job, Progress, SpeechResult

__version__ = VERSION

__all__ = [
    "AssembleJob",
    "AsyncBatch",
    "AsyncJob",
    "AsyncVoiceFarm",
    "Batch",
    "BatchNotFound",
    "BrokerFull",
    "BrokerRefused",
    "BrokerUnavailable",
    "BrokerUntrusted",
    "ConvertJob",
    "EmbeddedBrokerFailed",
    "InvalidItem",
    "InvalidJob",
    "Job",
    "JobCancelled",
    "JobFailed",
    "JobNotFound",
    "JobState",
    "NoWorker",
    "OutputSpec",
    "Priority",
    "Progress",
    "Reason",
    "RvcSettings",
    "Schedule",
    "SettingsError",
    "SpeechJob",
    "SpeechResult",
    "Unacknowledged",
    "UnsupportedSchema",
    "VoiceFarm",
    "VoicefarmError",
    "VolumeUnavailable",
    "WaitTimeout",
    "__version__",
    "as_completed",
]

#: What brings Celery, Redis or pydantic along is imported when it is first used, so that
#: `voicefarm --help`, and a host that only names our errors, do not wait for them.
_LATE = {
    "AssembleJob": "assemble_job",
    "AsyncBatch": "batch.aio",
    "AsyncJob": "aio",
    "AsyncVoiceFarm": "aio",
    "Batch": "batch.handle",
    "ConvertJob": "job",
    "Job": "job_handle",
    "OutputSpec": "job",
    "Progress": "job_handle",
    "RvcSettings": "job",
    "Schedule": "batch.schedule",
    "SpeechJob": "job",
    "SpeechResult": "job_handle",
    "VoiceFarm": "client",
    "as_completed": "client",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{_LATE[name]}", __name__), name)
    return value
