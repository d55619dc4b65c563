"""What the exit codes of `voicefarm` mean: every one it can return, and the errors behind it."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, Self

from ..errors import (
    BrokerUnavailable,
    EmbeddedBrokerFailed,
    InvalidJob,
    NoWorker,
    SettingsError,
    VoicefarmError,
    WaitTimeout,
)


class ExitCode(IntEnum):
    """The outcome of a command; `meaning` is the sentence that `--help` shows."""

    meaning: str

    def __new__(cls, code: int, meaning: str) -> Self:
        """Make a member that knows its sentence."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    GOOD = 0, "All went well."
    FAILED = 1, "Something failed: a job, a check, or the command itself."
    USAGE = 2, "The command, a job's field or a setting is wrong; nothing was queued."
    BROKER = 3, "The broker cannot be reached, did not start, or refuses."
    NO_WORKER = 69, "No worker is listening, or there is no worker code to start."
    TIMED_OUT = 124, "The wait is over; the job goes on."
    INTERRUPTED = 130, "Stopped by Ctrl-C; a job that was waited for goes on."


#: The first entry whose errors match decides; every other error is `FAILED`.
_CODES: Final[tuple[tuple[ExitCode, tuple[type[VoicefarmError], ...]], ...]] = (
    (ExitCode.USAGE, (InvalidJob, SettingsError)),
    (ExitCode.BROKER, (BrokerUnavailable, EmbeddedBrokerFailed)),
    (ExitCode.NO_WORKER, (NoWorker,)),
    (ExitCode.TIMED_OUT, (WaitTimeout,)),
)


def code_of(error: VoicefarmError) -> ExitCode:
    """Return the exit code that tells of `error`."""
    return next((code for code, errors in _CODES if isinstance(error, errors)), ExitCode.FAILED)


def epilog() -> str:
    """Return the table of all exit codes, as `--help` shows it."""
    # \b keeps click from filling the lines into a paragraph.
    return "\b\nExit codes:\n" + "\n".join(f"  {code:>3}  {code.meaning}" for code in ExitCode)
