"""The worker's transport: a lost connection leaves nothing behind in Celery's loop."""

from __future__ import annotations

from types import SimpleNamespace

from kombu.asynchronous import Hub

from worker.transport import Connection


def test_a_connection_that_ends_takes_its_timers_and_its_turns_of_the_loop_along():
    hub = Hub()
    for _ in range(3):
        connection = Connection("redis://127.0.0.1:1")
        transport = connection.transport
        transport.register_with_event_loop(SimpleNamespace(client=connection), hub)
        assert len(hub.on_tick) == 1
        assert len(living_timers(hub)) == 5

        transport.close_connection(None)

        assert not hub.on_tick
        assert not living_timers(hub)


def living_timers(hub: Hub) -> list[object]:
    return [timer for timer in hub.timer.queue if not timer.entry.canceled]
