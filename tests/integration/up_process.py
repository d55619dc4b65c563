"""A real `voicefarm up`, and all that runs for its home."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import CHECKOUT, eventually

VOICEFARM = (sys.executable, "-m", "producer")

#: Generous: machines are shared.
LIMIT_S = 60.0


class Up:
    """One `voicefarm up`, in a session of its own as in a terminal."""

    def __init__(self, home: Path, directory: Path, *arguments: str, **settings: str) -> None:
        self.home = home
        self.stderr = directory / f"up{len(list(directory.glob('up*')))}.err"
        given = filter(None, [os.environ.get("PYTHONPATH")])
        self.environment = {
            **os.environ,
            # Packages may lie on a path that was given from outside.
            "PYTHONPATH": os.pathsep.join([str(CHECKOUT), *given]),
            "VOICEFARM_HOME": str(home),
            "VOICEFARM_ENGINE": "fake",
            **settings,
        }
        with self.stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                [*VOICEFARM, "up", *arguments],
                cwd=directory,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                start_new_session=True,
            )

    @property
    def told(self) -> str:
        return self.stderr.read_text()

    def ready(self) -> Up:
        """Wait until the farm says that it is ready."""
        eventually(
            lambda: "the farm is ready" in self.told or self.process.poll() is not None, LIMIT_S
        )
        assert self.process.poll() is None, self.told
        return self

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command against the same farm."""
        return subprocess.run(
            [*VOICEFARM, *arguments], env=self.environment, capture_output=True, text=True,
            check=False, timeout=LIMIT_S,
        )  # fmt: skip

    def end(self) -> tuple[int, str]:
        """Wait for the end; return the exit code and what was written to stdout."""
        out, _ = self.process.communicate(timeout=LIMIT_S)
        return self.process.returncode, out


def processes_of(home: Path) -> dict[int, str]:
    """Return the command lines of all processes that run for this home, by pid."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            directory = (entry / "cwd").readlink()
        except (OSError, UnicodeDecodeError):  # no process, or one that has just ended
            continue
        # The broker overwrites its environment with its title, but it works in its directory.
        if f"VOICEFARM_HOME={home}".encode() in environment or directory == home / "broker":
            found[int(entry.name)] = command
    return found


def pid_of(home: Path, part: str) -> int:
    """Return the pid of the one process whose command line has `part` in it."""
    (pid,) = [pid for pid, command in processes_of(home).items() if part in command]
    return pid
