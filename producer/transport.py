"""kombu's Redis transport, on one server or on the master that Sentinels name.

It has one client a channel, in place of one a command.
A new client fills a table of some hundred response callbacks, and a job takes four of them:
a fifth of the interpreter's time of a worker with nothing else to do (measured, kombu 5.7
with redis 8.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from celery.app import amqp
from kombu.connection import Connection as KombuConnection
from kombu.connection import ConnectionPool as KombuPool
from kombu.connection import PooledConnection as KombuPooledConnection
from kombu.transport.redis import Channel as KombuChannel
from kombu.transport.redis import QoS as KombuQoS
from kombu.transport.redis import SentinelChannel as KombuSentinelChannel
from kombu.transport.redis import SentinelTransport as KombuSentinelTransport
from kombu.transport.redis import Transport as KombuTransport
from redis.exceptions import OutOfMemoryError

from .address import Address, SentinelAddress
from .queues import QUEUES
from .scripting import ALSO_WHEN_FULL

#: Notes where messages go. KEYS tables. ARGV entry.
_BIND: Final = ALSO_WHEN_FULL + "for _, key in ipairs(KEYS) do redis.call('SADD', key, ARGV[1]) end"


class QoS(KombuQoS):
    """Leaves it to workers to look for messages that nobody acknowledged."""

    def restore_visible(self, *args: Any, **options: Any) -> None:
        """Deliver again what ran out, if this channel takes jobs."""
        # kombu would also do so while it waits for the answer to a question, as whoever asks.
        if set(self.channel.active_queues) & set(QUEUES):
            # Redis without memory has room for no lock either; it is tried again.
            with suppress(OutOfMemoryError):
                super().restore_visible(*args, **options)  # type: ignore[no-untyped-call]


class Channel(KombuChannel):
    """Keeps the client of its pool: any thread may use it, each command takes a connection."""

    QoS: type[KombuQoS] = QoS
    _kept: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        if asynchronous:  # it is going to own a connection, for BRPOP or for pub/sub
            return super()._create_client(asynchronous=True)  # type: ignore[no-untyped-call]
        # A fork gives the channel another pool.
        if self._kept is None or self._kept.connection_pool is not self.pool:
            self._kept = super()._create_client()  # type: ignore[no-untyped-call]
        return self._kept

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        """Note where messages go. Redis without memory refuses even what stands there already."""
        try:
            super()._queue_bind(exchange, routing_key, pattern, queue)  # type: ignore[no-untyped-call]
        except OutOfMemoryError:
            if queue in self._fanout_queues:  # what goes to everybody goes by pub/sub
                return
            if queue in self._expires:  # somebody asks a question, and can ask again
                raise
            keys = [self.keyprefix_queue % exchange, self.keyprefix_binding_permanent % exchange]
            entry = self.sep.join([routing_key or "", pattern or "", queue or ""])
            self._create_client().eval(_BIND, len(keys), *keys, entry)

    def maybe_refresh_binding_expiry(self) -> None:
        """Keep the tables of our questions alive; kombu would log each time that it cannot."""
        with suppress(OutOfMemoryError):
            super().maybe_refresh_binding_expiry()  # type: ignore[no-untyped-call]


class SentinelChannel(Channel, KombuSentinelChannel):
    """The same on the master; kombu's own asks no second Sentinel without a list in the URL."""

    def _sentinel_managed_pool(self, asynchronous: bool = False) -> Any:
        address = self.connection.client.farm_address
        if not isinstance(address, SentinelAddress):
            return super()._sentinel_managed_pool(asynchronous)  # type: ignore[no-untyped-call]
        options = self._connparams(asynchronous)  # type: ignore[no-untyped-call]
        for name in ("host", "port"):
            options.pop(name, None)
        sentinel = address.sentinel(**options)
        # kombu closes them with the channel.
        if asynchronous:
            self._async_sentinel_manager = sentinel
        else:
            self._sentinel_manager = sentinel
        return sentinel.master_for(address.master).connection_pool


class Transport(KombuTransport):
    """Makes our channels."""

    Channel = Channel


class SentinelTransport(KombuSentinelTransport):
    """Makes our channels on the master."""

    Channel = SentinelChannel


#: Ours, by kombu's that they stand for.
Transports = Mapping[type[KombuTransport], type[KombuTransport]]

_OURS: Final[Transports] = {
    KombuTransport: Transport,
    KombuSentinelTransport: SentinelTransport,
}


class FarmTransport(KombuConnection):
    """Takes our transports where kombu would take its own for Redis."""

    farm_transports: Transports = _OURS
    #: What the URL does not tell; the app sets it.
    farm_address: Address | None = None

    def get_transport_cls(self) -> Any:
        """Return the class of the transport."""
        chosen = super().get_transport_cls()  # type: ignore[no-untyped-call]
        return self.farm_transports.get(chosen, chosen)


class PooledConnection(FarmTransport, KombuPooledConnection):
    """A connection of a pool; kombu would make its own here."""

    def __init__(self, pool: FarmPool, like: FarmTransport, **options: Any) -> None:
        self.farm_transports = like.farm_transports
        self.farm_address = like.farm_address
        super().__init__(pool, **options)  # type: ignore[no-untyped-call]


class FarmPool(KombuPool):
    """Makes our connections."""

    def new(self) -> PooledConnection:
        """Return one more connection."""
        options = dict(self.connection._info(resolve=False))
        return PooledConnection(self, self.connection, **options)


class Connection(FarmTransport):
    """Connects by our transports, also from pools."""

    def clone(self, **options: Any) -> Connection:
        """Return another one like it."""
        cloned: Connection = super().clone(**options)  # type: ignore[no-untyped-call]
        cloned.farm_address = self.farm_address
        return cloned

    def Pool(self, limit: int | None = None, **options: Any) -> FarmPool:  # noqa: N802  kombu's name
        """Return a pool of connections like this one."""
        return FarmPool(self, limit, **options)  # type: ignore[no-untyped-call]


class AMQP(amqp.AMQP):  # type: ignore[misc]
    """Has a Celery app connect by our connections."""

    Connection = Connection
