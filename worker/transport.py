"""kombu's Redis transport for workers: who holds a message is the business of `Leases`.

kombu would acknowledge on the connection that a message came by, and push everything back
that is not acknowledged when that connection fails, while its jobs go on. It says when to look
for what no lease was renewed for, and that is delivered again our way: kombu compares a worker's
clock with that of Redis, and takes a lock which a worker that dies meanwhile keeps for 300 s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kombu.transport import virtual
from kombu.transport.redis import SentinelTransport as KombuSentinelTransport
from kombu.transport.redis import Transport as KombuTransport

from producer import transport
from producer.queues import QUEUE_OF

from .deliveries import noted, restore_overdue
from .station import Station


class QoS(transport.QoS):
    """Counts what a channel has in hand, as kombu does, and leaves the rest to the leases."""

    #: A connection that ends gives nothing back.
    restore_at_shutdown = False
    #: The last message that was noted.
    newest: str | None = None

    def restore_visible(self, *args: Any, **options: Any) -> None:
        """Deliver again what ran out, if this channel takes jobs."""
        if set(self.channel.active_queues) & set(QUEUE_OF.values()):
            lease_s = Station.current().settings.lease_s
            with self.channel.conn_or_acquire() as client:
                restore_overdue(client, lease_s)

    def append(self, message: Any, delivery_tag: Any) -> None:
        """Note a delivery."""
        if not isinstance(delivery_tag, str):
            raise TypeError(f"{delivery_tag!r} is no delivery tag")
        delivery = message.delivery_info
        note = noted(message._raw, delivery["exchange"], delivery["routing_key"])
        Station.current().leases.take(delivery_tag, note)
        self.newest = delivery_tag
        virtual.QoS.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge, in a moment. Callable by any thread, also when the channel is closed."""
        Station.current().leases.finish(delivery_tag)
        virtual.QoS.ack(self, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Put the message back, or drop it, in a moment."""
        if requeue:
            Station.current().leases.give_back(delivery_tag)
        else:
            Station.current().leases.finish(delivery_tag)
        virtual.QoS.ack(self, delivery_tag)


class Channel(transport.Channel):
    """A channel whose deliveries are leases."""

    QoS = QoS


class SentinelChannel(transport.SentinelChannel):
    """The same on the master that Sentinels name."""

    QoS = QoS


class _LeavesNothing:
    """Takes what it gave to Celery's loop away again: each reconnection brings a new transport."""

    _leave: Callable[[], None] = staticmethod(lambda: None)

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Have the loop look after the connection."""
        self._leave()
        before = set(loop.on_tick)
        super().register_with_event_loop(connection, loop)  # type: ignore[misc]
        ticks = loop.on_tick - before
        cycle = self.cycle  # type: ignore[attr-defined]
        timers = [timer for name, timer in vars(cycle).items() if name.endswith("_tref")]

        def leave() -> None:
            loop.on_tick -= ticks
            for timer in timers:
                timer.cancel()

        self._leave = leave

    def close_connection(self, connection: Any) -> None:
        """Let go of all channels, and of the loop."""
        self._leave()
        super().close_connection(connection)  # type: ignore[misc]


class Transport(_LeavesNothing, transport.Transport):
    """Makes our channels."""

    Channel = Channel


class SentinelTransport(_LeavesNothing, transport.SentinelTransport):
    """Makes our channels on the master."""

    Channel = SentinelChannel


_OURS: Final[transport.Transports] = {
    KombuTransport: Transport,
    KombuSentinelTransport: SentinelTransport,
}


class Connection(transport.Connection):
    """Connects by our transports."""

    farm_transports = _OURS


class AMQP(transport.AMQP):
    """Has the worker's app connect by our connections."""

    Connection = Connection
