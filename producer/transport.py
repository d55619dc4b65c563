"""kombu's Redis transport with one client a channel, in place of one a command.

A new client fills a table of some hundred response callbacks, and a job takes four of them:
a fifth of the interpreter's time of a worker with nothing else to do (measured, kombu 5.7
with redis 8.1).
"""

from __future__ import annotations

from typing import Any

from celery.app import amqp
from kombu.connection import Connection as KombuConnection
from kombu.transport.redis import Channel as KombuChannel
from kombu.transport.redis import Transport as KombuTransport


class Channel(KombuChannel):
    """Keeps the client of its pool: any thread may use it, each command takes a connection."""

    _kept: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        if asynchronous:  # it is going to own a connection, for BRPOP or for pub/sub
            return super()._create_client(asynchronous=True)  # type: ignore[no-untyped-call]
        # A fork gives the channel another pool.
        if self._kept is None or self._kept.connection_pool is not self.pool:
            self._kept = super()._create_client()  # type: ignore[no-untyped-call]
        return self._kept


class Transport(KombuTransport):
    """Makes our channels."""

    Channel = Channel


class Connection(KombuConnection):
    """Takes our transport where kombu would take its own for Redis."""

    farm_transport: type[KombuTransport] = Transport

    def get_transport_cls(self) -> Any:
        """Return the class of the transport."""
        chosen = super().get_transport_cls()  # type: ignore[no-untyped-call]
        return self.farm_transport if chosen is KombuTransport else chosen


class AMQP(amqp.AMQP):  # type: ignore[misc]
    """Has a Celery app connect by our connections."""

    Connection = Connection
