"""Where the broker is: one server, or whichever one the Sentinels say is the master."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, quote, unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from .errors import SettingsError

if TYPE_CHECKING:
    import redis.asyncio

#: What a URL of Sentinels begins with.
SCHEME: Final = "sentinel"

#: Where a Sentinel listens if the URL does not say.
SENTINEL_PORT: Final = 26379

#: How long one Sentinel may take to answer before the next one is asked.
SENTINEL_ANSWER_S: Final = 1.0

_WANTED: Final = "sentinel://[USER:PASSWORD@]HOST[:PORT][;HOST[:PORT]...]/MASTER[/DATABASE]"

#: redis-py 8 refuses the 101st connection where it once had no limit. There are never more than
#: threads that ask something at the same time, and none of these is to be refused.
UNLIMITED: Final[dict[str, Any]] = {"max_connections": 2**31}


@dataclass(frozen=True)
class Address:
    """One server, at a URL of redis."""

    url: str

    #: Whether a write should be on a replica before it counts.
    replicated = False

    @classmethod
    def of(cls, url: str) -> Address:
        """Read a URL. Raises `SettingsError`, without its password."""
        return SentinelAddress.parsed(url) if urlsplit(url).scheme == SCHEME else Address(url)

    @property
    def celery_url(self) -> str:
        """The URL that Celery gets to see."""
        return self.url

    @property
    def flower_options(self) -> dict[str, Any]:
        """What Flower's page of queues looks for among the transport's options."""
        return {}

    def client(self, **options: Any) -> redis.Redis:
        """Return a client of redis."""
        return redis.Redis.from_url(self.url, **(UNLIMITED | options))

    def asyncio_client(self, **options: Any) -> redis.asyncio.Redis:
        """Return the same for asyncio."""
        import redis.asyncio

        return redis.asyncio.Redis.from_url(self.url, **(UNLIMITED | options))


@dataclass(frozen=True)
class SentinelAddress(Address):
    """The master of a name, which Sentinels may move to another server at any time."""

    hosts: tuple[tuple[str, int], ...]
    master: str
    db: int = 0
    username: str | None = None
    password: str | None = None
    #: Of the Sentinels themselves, if they want one.
    sentinel_password: str | None = None

    replicated = True

    @classmethod
    def parsed(cls, url: str) -> SentinelAddress:
        """Read a URL of Sentinels."""
        parts = urlsplit(url)
        login, _, hosts = parts.netloc.rpartition("@")
        username, _, password = login.partition(":")
        try:
            master, _, db = parts.path.strip("/").partition("/")
            query = parse_qs(parts.query, strict_parsing=bool(parts.query))
            if not master or set(query) - {"sentinel_password"}:
                raise ValueError
            return cls(
                url=url,
                hosts=tuple(_host(host) for host in hosts.replace(",", ";").split(";")),
                master=unquote(master),
                db=int(db or 0),
                username=unquote(username) or None,
                password=unquote(password) or None,
                sentinel_password=query.get("sentinel_password", [None])[0],
            )
        except ValueError:
            # Not the value: it may have a password in the wrong place.
            raise SettingsError("VOICEFARM_BROKER_URL", "sentinel://...", _WANTED) from None

    @property
    def celery_url(self) -> str:
        """The first Sentinel; the others are the transport's business (`transport.py`)."""
        host, port = self.hosts[0]
        login = f"{quote(self.username or '', '')}:{quote(self.password or '', '')}@"
        return f"{SCHEME}://{login if self.password else ''}{host}:{port}/{self.db}"

    @property
    def flower_options(self) -> dict[str, Any]:
        """The master's name."""
        return {"master_name": self.master}

    def sentinel(self, **options: Any) -> Sentinel:
        """Return who knows the master; `options` are of connections to the master."""
        return Sentinel(self.hosts, sentinel_kwargs=self._of_sentinels(), **options)

    def client(self, **options: Any) -> redis.Redis:
        """Return a client of redis that follows the master."""
        client: redis.Redis = self.sentinel(**self._login(options)).master_for(self.master)
        return client

    def asyncio_client(self, **options: Any) -> redis.asyncio.Redis:
        """Return the same for asyncio."""
        import redis.asyncio.retry
        import redis.asyncio.sentinel

        ours = self._of_sentinels() | {"retry": redis.asyncio.retry.Retry(NoBackoff(), 0)}
        asked = redis.asyncio.sentinel.Sentinel(
            list(self.hosts), sentinel_kwargs=ours, **self._login(options)
        )
        client: redis.asyncio.Redis = asked.master_for(self.master)
        return client

    def _login(self, options: Mapping[str, Any]) -> dict[str, Any]:
        login = {"db": self.db, "username": self.username, "password": self.password}
        return UNLIMITED | login | dict(options)

    def _of_sentinels(self) -> dict[str, Any]:
        """Return the options of connections to Sentinels, of which none is tried twice."""
        return {
            "socket_timeout": SENTINEL_ANSWER_S,
            "socket_connect_timeout": SENTINEL_ANSWER_S,
            "retry": Retry(NoBackoff(), 0),
            "password": self.sentinel_password,
        }


def _host(text: str) -> tuple[str, int]:
    """Read `host`, `host:port` or `[::1]:port`."""
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError(text)
    return parts.hostname, parts.port or SENTINEL_PORT
