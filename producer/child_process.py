"""Child processes: the environment they get, and the leash that ends them with their parent.

Run as a script, this file is the leash: it asks the kernel for a signal at the death of its
parent, and then becomes the command. A `preexec_fn` would do the same inside a fork of a
process that has threads, where almost nothing is safe. Where the kernel is not Linux there
is no leash, and an orderly stop alone ends the children.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import NoReturn

#: From `<sys/prctl.h>`: the signal this process gets when its parent dies.
_PR_SET_PDEATHSIG = 1

#: What a shell says of a command that cannot be run.
_NOT_FOUND = 127


def child_environment(**changes: str | None) -> dict[str, str]:
    """Return this process's environment with `changes` made; None removes a variable.

    Everything else here reads settings objects. A child, though, must get the whole
    environment (`PATH`, proxies, drivers), so this is the one place that may touch it.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in changes}
    return inherited | {name: value for name, value in changes.items() if value is not None}


def leashed(*command: str, at_death: signal.Signals = signal.SIGKILL) -> list[str]:
    """Return a command line that runs `command` until it ends or its parent dies.

    Start it from a thread that lives as long as the parent, such as the main thread: the
    kernel takes the death of the starting thread for the death of the parent.
    """
    leash = [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(at_death.value)]
    return [*leash, *command]


def _become(parent_pid: int, at_death: int, command: list[str]) -> NoReturn:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, at_death)
        if os.getppid() != parent_pid:  # it died before the kernel was asked
            sys.exit(-at_death)
    try:
        os.execvp(command[0], command)  # noqa: S606  the command line is the caller's own
    except OSError as error:
        sys.stderr.write(f"voicefarm: {command[0]}: {error.strerror}\n")
        sys.exit(_NOT_FOUND)


if __name__ == "__main__":
    _become(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
