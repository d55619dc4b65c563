"""Make the passwords of a farm once, into one directory a role: `python docker/keys.py /keys`.

    redis/users.acl         the users of the server; of their passwords the hashes alone
    redis/health            the monitor's password, for the server's own health check
    worker/broker_url       producer/broker_url       monitor/broker_url
    monitor/flower          user and password of Flower
    scaler/broker_url       for KEDA, if there is a directory for it
    grafana/password        of Grafana's user `farm`

Each container gets its own role's directory. `users.acl` is written last: where it is, all of the
broker is there, and nothing is made anew. Grafana's is on its own, as older farms have none.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

from producer.access import Role, user_line

#: Nobody gets all rights: whoever runs the engine can write `users.acl`.
ROLES = (Role.WORKER, Role.PRODUCER, Role.MONITOR)

#: Those that not every farm has.
OPTIONAL = (Role.SCALER,)

#: Random bytes of a password.
PASSWORD_BYTES = 32

#: The server's name in the compose file's network.
SERVER = "redis:6379/0"

#: Everyone in the one container that has the directory may read.
SHARED = 0o444
#: Only the user that made it.
OWN = 0o400


def write(path: Path, text: str, mode: int) -> None:
    """Write a file that is either whole or not there."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    fresh.rename(path)


def make(directory: Path) -> bool:
    """Make all files that are missing; False if none is."""
    return any([make_users(directory), make_grafana(directory)])


def make_grafana(directory: Path) -> bool:
    """Make Grafana's password; False if it was there."""
    password = directory / "grafana" / "password"
    if password.exists():
        return False
    write(password, secrets.token_urlsafe(16), SHARED)
    return True


def make_users(directory: Path) -> bool:
    """Make what belongs to the broker and Flower; False if it was there."""
    users = directory / "redis" / "users.acl"
    if users.exists():
        return False
    roles = [*ROLES, *(role for role in OPTIONAL if (directory / role).is_dir())]
    passwords = {role: secrets.token_urlsafe(PASSWORD_BYTES) for role in roles}
    for role in roles:
        url = f"redis://{role}:{passwords[role]}@{SERVER}"
        write(directory / role / "broker_url", url, OWN)
    write(directory / "monitor" / "flower", f"farm:{secrets.token_urlsafe(16)}", OWN)
    write(directory / "redis" / "health", passwords[Role.MONITOR], SHARED)
    lines = ["user default off", *(user_line(role, passwords[role]) for role in roles)]
    write(users, "\n".join(lines), SHARED)
    return True


if __name__ == "__main__":
    made = make(Path(sys.argv[1]))
    sys.stdout.write("the farm's passwords are made\n" if made else "the passwords are there\n")
