"""Vitals: is each worker of this machine alive? Asked at its own `/livez`, without a broker."""

from __future__ import annotations

import http.client
import json
import threading
from dataclasses import dataclass
from typing import Final

from .http_door import LOOPBACK

#: How often a worker is asked.
ASK_S: Final = 2.0

#: How long an answer may take.
ANSWER_S: Final = 3.0

#: A worker that answers nothing so often in a row is taken for dead, after 20 to 50 s. Its door
#: has a thread of its own, so that even a busy one answers sooner. Counted, not timed: who
#: was stopped himself meanwhile has asked nobody.
SILENT_ASKS: Final = 10


@dataclass(slots=True)
class _Patient:
    port: int
    ailment: str = ""
    unanswered: int = 0


class Vitals:
    """Asks on a thread of its own; `ailment` never waits. Workers are known by pid."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._patients: dict[int, _Patient] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vitals", daemon=True)

    def start(self) -> None:
        """Ask from now on."""
        self._thread.start()

    def close(self) -> None:
        """Ask no more."""
        self._closing.set()

    def admit(self, pid: int, port: int) -> None:
        """Ask this worker too; one that is known already stays as it is."""
        with self._lock:
            self._patients.setdefault(pid, _Patient(port))

    def discharge(self, pid: int) -> None:
        """Ask it no more."""
        with self._lock:
            self._patients.pop(pid, None)

    def ailment(self, pid: int) -> str:
        """Return what is wrong with a worker, "" if nothing is or nobody knows."""
        with self._lock:
            patient = self._patients.get(pid)
        if patient is None:
            return ""
        if patient.unanswered >= SILENT_ASKS:
            return f"it has not answered {patient.unanswered} times in a row"
        return patient.ailment

    def ask(self) -> None:
        """Ask every worker once."""
        with self._lock:
            patients = list(self._patients.values())
        for patient in patients:
            answer = _asked(patient.port)
            if answer is None:
                patient.unanswered += 1
            else:
                patient.ailment, patient.unanswered = answer, 0

    def _run(self) -> None:
        while not self._closing.wait(ASK_S):
            self.ask()


def _asked(port: int) -> str | None:
    """Return what a worker says is wrong with it, "" if nothing; None if it says nothing."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=ANSWER_S)
    try:
        connection.request("GET", "/livez")
        return str(json.loads(connection.getresponse().read())["detail"])
    except (OSError, http.client.HTTPException, ValueError, KeyError):
        return None
    finally:
        connection.close()
