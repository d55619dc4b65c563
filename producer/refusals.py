"""What went wrong between us and the broker, in the farm's own errors."""

from __future__ import annotations

from collections.abc import Iterator
from ssl import SSLCertVerificationError

from redis.exceptions import AuthenticationError, NoPermissionError, OutOfMemoryError

from .errors import BrokerFull, BrokerRefused, BrokerUnavailable, BrokerUntrusted

#: What the broker says of a connection that has not told who it is.
_NOBODY = "NOAUTH"


def broker_error(masked_url: str, error: BaseException) -> BrokerUnavailable:
    """Return the error that tells a person what `error`, of redis or of kombu, means."""
    for cause in _causes(error):
        if isinstance(cause, SSLCertVerificationError):
            return BrokerUntrusted(masked_url, cause.verify_message.rstrip("."))
        if isinstance(cause, OutOfMemoryError):
            return BrokerFull(masked_url, "maxmemory is used up")
        refused = isinstance(cause, (AuthenticationError, NoPermissionError))
        if refused or _NOBODY in str(cause):
            return BrokerRefused(masked_url, _first_line(cause))
    return BrokerUnavailable(masked_url, _first_line(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and what it came from: kombu wraps what redis raised."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
