"""What is done with a job whose workers died while it ran. Pure.

A worker that is killed says nothing, so all that is known is how often a job was running
when its worker vanished. Twice may be bad luck, or the company it was in. From then on it
runs alone in its worker, where nobody else can be to blame nor be harmed; a job that is
lost there three times more is poison.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

#: A job that was lost so often runs alone.
LOSSES_IN_COMPANY: Final = 2

#: A job that was lost so often once it ran alone is given up.
LOSSES_ALONE: Final = 3


class Treatment(StrEnum):
    """How a job is run."""

    COMPANY = "company"
    ALONE = "alone"
    QUARANTINE = "quarantine"


def treatment(losses: int) -> Treatment:
    """Return how to treat a job that was lost with its worker `losses` times."""
    if losses < LOSSES_IN_COMPANY:
        return Treatment.COMPANY
    if losses < LOSSES_IN_COMPANY + LOSSES_ALONE:
        return Treatment.ALONE
    return Treatment.QUARANTINE
