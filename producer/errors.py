"""Every error that the client raises.

* VoicefarmError
  + InvalidJob            (also a ValueError)   a field is wrong; nothing was queued
    - UnsupportedSchema                         a job written by another version
    - InvalidItem                               one item of a batch, and where it stands
  + SettingsError         (also a ValueError)   a `VOICEFARM_*` variable is wrong
  + BrokerUnavailable     (also a ConnectionError)
    - BrokerRefused                             it answers, and does not let this user in
    - BrokerUntrusted                           its certificate does not prove who it is
    - BrokerFull                                it has no memory left
    - Unacknowledged                            no replica has the job yet, it may get lost
  + NoWorker                                    nobody is listening
  + JobNotFound           (also a LookupError)
  + BatchNotFound         (also a LookupError)
  + JobFailed                                   the job ended as `failed`
  + JobCancelled                                the job ended as `cancelled`
  + WaitTimeout           (also a TimeoutError) the wait ended, the job goes on
  + VolumeUnavailable     (also an OSError)     the files cannot be seen from here
  + EmbeddedBrokerFailed                        the farm's own Valkey did not start
  + DownloadFailed                              a file of a model could not be fetched

Each carries its facts as attributes, and its message says what to do next.
"""

from __future__ import annotations

from typing import Any, ClassVar


class VoicefarmError(Exception):
    """The root: catch this to catch all that voicefarm raises on purpose.

    All can be pickled: a host's process pool hands them on, and so does Celery.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), str(self), vars(self))


class InvalidJob(VoicefarmError, ValueError):
    """One field of a job is wrong. Raised before anything is queued."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class UnsupportedSchema(InvalidJob):
    """The job was written by a newer, or a much older, voicefarm."""

    def __init__(self, found: object, supported: int) -> None:
        super().__init__(
            "schema_version",
            f"this side reads version {supported}, the job says {found!r}: "
            "run the same voicefarm version on the client and on the workers",
        )
        self.found = found
        self.supported = supported


class InvalidItem(InvalidJob):
    """One item of a batch is wrong, or cannot be read at all."""

    def __init__(self, place: str, custom_id: str, field: str, problem: str) -> None:
        super().__init__(field, problem)
        self.args = (f"{place}: {self}",)
        #: Where it stands, such as `line 57`.
        self.place = place
        #: What its file calls it; empty if that is what cannot be read.
        self.custom_id = custom_id


class SettingsError(VoicefarmError, ValueError):
    """A `VOICEFARM_*` variable has a value of the wrong form."""

    def __init__(self, variable: str, value: object, wanted: str) -> None:
        super().__init__(f"{variable}={value!r}: {wanted}")
        self.variable = variable
        self.value = value
        self.wanted = wanted


class BrokerUnavailable(VoicefarmError, ConnectionError):
    """The broker does not answer. The URL in the message has no password."""

    _sentence: ClassVar[str] = (
        "no broker answers at {url} ({cause}). Start the farm with `voicefarm up`, "
        "or point VOICEFARM_BROKER_URL at a running Redis or Valkey."
    )

    def __init__(self, masked_url: str, cause: str) -> None:
        super().__init__(self._sentence.format(url=masked_url, cause=cause))
        self.masked_url = masked_url
        self.cause = cause


class BrokerRefused(BrokerUnavailable):
    """The broker does not know this user or password, or does not let the user do this."""

    _sentence = (
        "the broker at {url} refuses: {cause}. The user and the password stand in "
        "VOICEFARM_BROKER_URL; `voicefarm broker acl` shows what each kind of user may do."
    )


class BrokerUntrusted(BrokerUnavailable):
    """The certificate of a `rediss` broker does not prove that it is the one of the URL."""

    _sentence = (
        "the broker at {url} does not prove who it is: {cause}. Name the CA of its certificate in "
        "ssl_ca_certs, and the host by a name that the certificate has; or somebody else answers."
    )


class BrokerFull(BrokerUnavailable):
    """The broker takes nothing new, as its memory is full. What it has is safe, and runs."""

    _sentence = (
        "the broker at {url} has no memory left ({cause}); nothing of this was queued. Submit "
        "again when jobs have ended, or raise its maxmemory."
    )


class Unacknowledged(BrokerUnavailable):
    """Jobs were queued, and may be lost if the master is: no replica has confirmed them."""

    _sentence = (
        "the broker at {url} did not make sure of the job ({cause}): it may run, or get lost. "
        "Submitting again with the same idempotency key is safe. VOICEFARM_MIN_REPLICAS=0 waits "
        "for no replica."
    )

    def __init__(self, masked_url: str, cause: str, job_ids: tuple[str, ...]) -> None:
        super().__init__(masked_url, cause)
        self.job_ids = job_ids


class NoWorker(VoicefarmError):
    """No worker answered, so nothing would pick the job up now."""

    def __init__(self, queue: str) -> None:
        super().__init__(
            f"no worker is listening on {queue}. Start one with `voicefarm up`, or with "
            "`celery -A tasks worker` in a checkout."
        )
        self.queue = queue


class JobNotFound(VoicefarmError, LookupError):
    """No job of this id is known to this broker (rows of ended jobs expire)."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job {job_id} is not known to this broker")
        self.job_id = job_id


class BatchNotFound(VoicefarmError, LookupError):
    """No batch of this id is known to this broker (those that have ended expire)."""

    def __init__(self, batch_id: str) -> None:
        super().__init__(f"batch {batch_id} is not known to this broker")
        self.batch_id = batch_id


class JobFailed(VoicefarmError):
    """The job ended as `failed`; `reason` is one of `producer.state.Reason`."""

    def __init__(self, job_id: str, reason: str, detail: str) -> None:
        super().__init__(f"job {job_id} failed ({reason}): {detail}")
        self.job_id = job_id
        self.reason = reason
        self.detail = detail


class JobCancelled(VoicefarmError):
    """The job was cancelled before it had an output."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job {job_id} was cancelled")
        self.job_id = job_id


class WaitTimeout(VoicefarmError, TimeoutError):
    """The wait is over; the job goes on and can be waited for again."""

    def __init__(self, job_id: str, timeout_s: float, state: str) -> None:
        super().__init__(
            f"job {job_id} is still {state} after {timeout_s:g} s; it goes on: "
            f"`voicefarm wait {job_id}` waits again"
        )
        self.job_id = job_id
        self.timeout_s = timeout_s
        self.state = state


class VolumeUnavailable(VoicefarmError, OSError):
    """A file of the farm cannot be seen from this machine."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(
            f"{path}: {problem}. VOICEFARM_HOME must name the same volume as on the workers."
        )
        self.path = path
        self.problem = problem


class EmbeddedBrokerFailed(VoicefarmError):
    """The farm's own Valkey could not be found or did not start."""


class DownloadFailed(VoicefarmError):
    """A file of a model could not be fetched; what has arrived of it is kept."""

    def __init__(self, file: str, problem: str) -> None:
        super().__init__(f"{file}: {problem}")
        self.file = file
        self.problem = problem


def _restored(kind: type[VoicefarmError], message: str, facts: dict[str, Any]) -> VoicefarmError:
    error = kind.__new__(kind)
    error.args = (message,)
    vars(error).update(facts)
    return error
