"""Every error of the worker outside its engine.

* WorkerError
  + ClaimLost         the work is somebody else's now; nothing may be published
  + PoisonJob         workers died with the job in them, too often
  + TimeLimitReached  the job ran longer than a job may
  + GpuUnavailable    a GPU that was asked for is not there, or is not fit
  + WorkersFail       no worker of this machine can be kept running
  + UploadMissing     the audio to convert is not on this machine's volume
  + UnfitRecordings   no voice should be made of these recordings
  + ItemsMissing      a book is not made: some of its items have no audio
  + NoEncoder         a book cannot be made here
  + BadAudio          the engine gave samples that are no audio
  + StoreFailed       the file could not be kept
    - VolumeMissing   the `processed` volume is not there
    - VolumeReadOnly  it may not be written
    - VolumeFull      it takes no more

`reason` is the word under which the ledger files the failure.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import ClassVar, Final

from producer.state import Reason


class WorkerError(Exception):
    """The root of what the worker raises on purpose."""

    reason: ClassVar[Reason] = Reason.INTERNAL


class GpuUnavailable(WorkerError):
    """A GPU that was asked for is not there or not fit for the models; the text says why."""


class WorkersFail(WorkerError):
    """No worker of this machine can be kept running; the text has the end of a log."""


class UnfitRecordings(WorkerError):
    """No voice should be made of these recordings; the text says why, one a line."""


class UploadMissing(WorkerError):
    """The audio to convert is not on this machine's volume."""

    reason = Reason.VOLUME_MISSING

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is not on this worker's volume: VOICEFARM_HOME must name the same volume here "
            "and where the file was sent from"
        )
        self.path = path


class ClaimLost(WorkerError):
    """Somebody else computes this content, or will: what was made here is not to be kept."""


class PoisonJob(WorkerError):
    """Workers died while they ran this job, at last with nothing else beside it."""

    reason = Reason.POISON


class TimeLimitReached(WorkerError):
    """The job ran longer than `VOICEFARM_TIME_LIMIT_S`, or than Celery was told, allows."""

    reason = Reason.TIME_LIMIT


class ItemsMissing(WorkerError):
    """Some items of a book have no audio; the text names them."""

    reason = Reason.ITEMS_MISSING

    def __init__(self, words: str) -> None:
        super().__init__(
            f"{words}. `voicefarm retry` queues failed items again, --allow-missing leaves them out"
        )


class NoEncoder(WorkerError):
    """What makes books is not installed on this worker, or it keeps no files."""

    reason = Reason.UNSUPPORTED_FEATURE


class BadAudio(WorkerError):
    """Samples that no file could hold honestly: none at all, not finite, of a second rate."""

    reason = Reason.ENGINE_FAILED


class StoreFailed(WorkerError):
    """The file could not be kept; what was staged of it is removed."""

    advice: ClassVar[str] = "The worker's log has the cause."

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}. {self.advice}")
        self.path = path
        self.problem = problem


class VolumeMissing(StoreFailed):
    """The directory is gone: not mounted, or removed."""

    reason = Reason.VOLUME_MISSING
    advice = "Is the volume mounted, and does VOICEFARM_HOME name it?"


class VolumeReadOnly(StoreFailed):
    """The worker's user may not write there."""

    reason = Reason.VOLUME_READ_ONLY
    advice = "The worker's user must be able to write to the whole of `processed`."


class VolumeFull(StoreFailed):
    """The disk, the quota or the largest allowed file is full."""

    reason = Reason.VOLUME_FULL
    advice = "Make room on the volume, then queue the job again."


_BY_ERRNO: Final[dict[int | None, type[StoreFailed]]] = {
    errno.ENOENT: VolumeMissing,
    errno.ENOTDIR: VolumeMissing,
    errno.ESTALE: VolumeMissing,
    errno.EROFS: VolumeReadOnly,
    errno.EACCES: VolumeReadOnly,
    errno.EPERM: VolumeReadOnly,
    errno.ENOSPC: VolumeFull,
    errno.EDQUOT: VolumeFull,
    errno.EFBIG: VolumeFull,
}


def store_error(error: OSError, path: Path) -> StoreFailed:
    """Return the error that tells a person what the system's error at `path` means."""
    return _BY_ERRNO.get(error.errno, StoreFailed)(path, error.strerror or str(error))
