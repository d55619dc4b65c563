"""Voicefarm's client: queue speech jobs, follow them, get their files. Needs no torch.

from producer import VoiceFarm

farm = VoiceFarm()
job = farm.submit("Hello from the farm")
print(job.path)
"""

from __future__ import annotations

from .aio import AsyncJob, AsyncVoiceFarm
from .client import Job, Progress, SpeechResult, VoiceFarm, as_completed
from .errors import (
    BrokerUnavailable,
    EmbeddedBrokerFailed,
    InvalidJob,
    JobCancelled,
    JobFailed,
    JobNotFound,
    NoWorker,
    SettingsError,
    UnsupportedSchema,
    VoicefarmError,
    VolumeUnavailable,
    WaitTimeout,
)
from .job import ConvertJob, OutputSpec, RvcSettings, SpeechJob
from .queues import Priority
from .state import JobState, Reason
from .version import VERSION

__version__ = VERSION

__all__ = [
    "AsyncJob",
    "AsyncVoiceFarm",
    "BrokerUnavailable",
    "ConvertJob",
    "EmbeddedBrokerFailed",
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
    "SettingsError",
    "SpeechJob",
    "SpeechResult",
    "UnsupportedSchema",
    "VoiceFarm",
    "VoicefarmError",
    "VolumeUnavailable",
    "WaitTimeout",
    "__version__",
    "as_completed",
]
