"""A master, its replica, and three Sentinels that watch them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import redis

from tests.conftest import eventually
from tests.valkey_server import ValkeyServer

#: The master's name, and everybody's password.
MASTER = "farm"
PASSWORD = "between-servers"

#: How long a master may be silent until the Sentinels replace it.
DOWN_AFTER_MS = 1500

_DURABLE = ("appendonly yes", "appendfsync everysec", 'save ""')
_LOGIN = (f"requirepass {PASSWORD}", f"masterauth {PASSWORD}")


class SentinelGroup:
    """Five servers, of which one is the master."""

    def __init__(self, directory: Path) -> None:
        first = ValkeyServer(directory / "first", *_DURABLE, *_LOGIN)
        follows = f"replicaof 127.0.0.1 {first.port}"
        second = ValkeyServer(directory / "second", *_DURABLE, *_LOGIN, follows)
        watches = (
            f"sentinel monitor {MASTER} 127.0.0.1 {first.port} 2",
            f"sentinel auth-pass {MASTER} {PASSWORD}",
            f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MS}",
            f"sentinel failover-timeout {MASTER} 6000",
        )
        self.servers = [first, second]
        self.sentinels = [
            ValkeyServer(directory / f"sentinel{n}", *watches, sentinel=True) for n in range(3)
        ]

    @property
    def url(self) -> str:
        hosts = ";".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"sentinel://:{PASSWORD}@{hosts}/{MASTER}/0"

    def start(self) -> None:
        """Start all, and wait until they know each other and the replica follows."""
        for server in (*self.servers, *self.sentinels):
            server.start()
        eventually(self.is_whole, 60)

    def stop(self) -> None:
        for server in (*self.sentinels, *self.servers):
            server.kill()

    def master(self) -> ValkeyServer:
        """The master, as the Sentinels see it."""
        _, port = self._asked("get-master-addr-by-name")
        return next(server for server in self.servers if server.port == int(port))

    def is_whole(self) -> bool:
        """True once a failover could be decided, and the replica has all that the master has."""
        seen = [self._state(sentinel) for sentinel in self.sentinels]
        with self.client(self.master()) as client:
            try:
                replicas = client.info("replication")
            except redis.RedisError:
                return False
        linked = replicas.get("slave0", {}).get("state") == "online"
        return linked and all(
            (state["num-other-sentinels"], state["num-slaves"]) == (2, 1) for state in seen
        )

    def client(self, server: ValkeyServer) -> redis.Redis:
        return server.client(password=PASSWORD)

    def _asked(self, question: str) -> Any:
        with self.sentinels[0].client() as client:
            return client.execute_command("SENTINEL", question, MASTER)

    @staticmethod
    def _state(sentinel: ValkeyServer) -> dict[str, Any]:
        with sentinel.client() as client:
            return dict(client.sentinel_master(MASTER))
