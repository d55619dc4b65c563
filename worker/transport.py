"""kombu's Redis transport for workers: who holds a message is the business of `Leases`.

kombu would acknowledge on the connection that a message came by, and push everything back
that is not acknowledged when that connection fails, while its jobs go on. It says when to look
for what no lease was renewed for, and that is delivered again our way: kombu compares a worker's
clock with that of Redis, and takes a lock which a worker that dies meanwhile keeps for 300 s.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from kombu.transport import virtual
from kombu.transport.redis import SentinelTransport as KombuSentinelTransport
from kombu.transport.redis import Transport as KombuTransport

from producer import transport
from producer.queues import QUEUE_OF

from .deliveries import restore_overdue
from .intake import Intake, Taken
from .station import Station

if TYPE_CHECKING:
    from .admission import Admission
    from .lease import Leases
    from .strangers import Strangers


#: How long a stop waits for what is on its way; a Redis that is frozen holds up none.
SHUT_S: Final = 1.0


class QoS(transport.QoS):
    """Counts what a channel has in hand, as kombu does, and leaves the rest to the leases."""

    #: A connection that ends gives nothing back.
    restore_at_shutdown = False

    def restore_visible(self, *args: Any, **options: Any) -> None:
        """Deliver again what ran out, if this channel takes jobs."""
        if set(self.channel.active_queues) & set(QUEUE_OF.values()):
            lease_s = Station.current().settings.lease_s
            with self.channel.conn_or_acquire() as client:
                restore_overdue(client, lease_s)

    def append(self, message: Any, delivery_tag: Any) -> None:
        """Count a delivery; what is noted and held of it is up to the channel."""
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
    """Takes as many messages at once as there is room for, and holds them by leases.

    It asks as kombu does, by one command after the other on a connection of its own, which the
    loop watches. One that was not opened is kombu's own channel.
    """

    QoS = QoS
    client: Any
    _in_poll: Any
    _brpop_sent_at: Any
    _is_open = False

    def open(
        self,
        admission: Admission,
        strangers: Strangers,
        leases: Leases,
        on_cancelled: Callable[[Sequence[str]], None],
    ) -> None:
        """Take messages from now on; what cannot be read is for the strangers.

        `on_cancelled` is called with cancelled jobs whose messages were dropped.
        """
        admission.gate(self)
        self._on_cancelled = on_cancelled
        self._strangers, self._leases, self._intake = strangers, leases, Intake()
        self._is_open = True
        #: Whether the command on its way is ours, and no BRPOP.
        self._takes = False

    def shut(self) -> None:
        """Take nothing any more: what is on its way goes back, and Redis hears that we are gone."""
        connection, self._is_open = self._in_poll, False
        if not connection:
            return
        with suppress(*self.connection_errors, self.ResponseError):
            while self._in_poll and connection.can_read(SHUT_S if self._takes else 0):
                self._give_back(self._answer())
        connection.disconnect()

    def _brpop_start(self, timeout: float | None = None) -> None:
        """Ask for what there is room for, or wait for the first message if all is empty."""
        room = self._room()
        if room and not self._intake.is_empty(room):
            self._take(room)
        else:
            self._takes = False
            super()._brpop_start(timeout)  # type: ignore[no-untyped-call]

    def _brpop_read(self, **options: Any) -> Any:
        """Read what has been asked for, and deliver it."""
        if not self._is_open:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]
        taken = self._answer()
        self._deliver(taken)
        if cancelled := self._intake.cancelled():
            self._on_cancelled(cancelled)
        if not taken:
            raise Empty
        return True

    def _answer(self) -> list[Taken]:
        """Read an answer. The first message of a BRPOP is asked for once more, to be noted."""
        takes, connection = self._takes, self.client.connection
        self._takes, self._in_poll = False, None
        try:
            answer = self.client.parse_response(connection, "EVAL" if takes else "BRPOP")
        except self.connection_errors:
            connection.disconnect()  # the next turn connects again
            raise
        if takes:
            return self._intake.read(answer)
        if answer:
            queue, entry = answer
            # kombu has one more list for each of its priorities.
            self._take(self._room(), (queue.decode().rsplit(self.sep, 1)[0], entry))
        return []

    def _room(self) -> dict[str, int]:
        """Return how many messages there is room for, by queue."""
        return self._queue_cycle.room(len(self.active_queues)) if self._is_open else {}

    def _take(self, room: dict[str, int], first: tuple[str, bytes] | None = None) -> None:
        self._takes, self._in_poll = True, self.client.connection
        self._brpop_sent_at = monotonic()
        self._in_poll.send_command(*self._intake.command(self._leases.holder, room, first))

    def _deliver(self, taken: Sequence[Taken]) -> None:
        """Give messages to Celery, in turn; if that ends early, the rest goes back."""
        self._leases.hold([message.tag for message in taken if message.tag])
        done = 0
        try:
            for message in taken:
                self._deliver_one(message)
                done += 1
        finally:
            self._give_back(taken[done:])

    def _deliver_one(self, message: Taken) -> None:
        def deliver() -> None:
            if not message.tag:
                raise ValueError("Redis finds no delivery tag in it")
            self.connection._deliver(json.loads(message.entry), message.queue)

        if not self._strangers.read(message.entry, deliver) and message.tag:
            self.qos.ack(message.tag)

    def _give_back(self, taken: Sequence[Taken]) -> None:
        """Put messages back to their places; what is nobody's is kept all the same."""
        tags = [message.tag for message in taken if message.tag]
        self._leases.hold(tags)
        # Each is the next of its queue then: the first of them comes last.
        for tag in reversed(tags):
            self._leases.give_back(tag)
        for stranger in (message for message in taken if not message.tag):
            self._deliver_one(stranger)


class SentinelChannel(Channel, transport.SentinelChannel):
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
        loop.on_tick = before
        cycle = self.cycle  # type: ignore[attr-defined]
        timers = [timer for name, timer in vars(cycle).items() if name.endswith("_tref")]

        def tick() -> None:
            # kombu's own would ask the system to watch each socket again, at every turn.
            cycle.on_poll_start()
            for fd in cycle.fds.keys() - loop.readers.keys():
                loop.add_reader(fd, self.on_readable, fd)  # type: ignore[attr-defined]

        def leave() -> None:
            loop.on_tick.discard(tick)
            for timer in timers:
                timer.cancel()

        loop.on_tick.add(tick)
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
