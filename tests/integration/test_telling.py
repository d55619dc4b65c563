"""The worker's pages, asked of a real worker whose broker comes and goes."""

from __future__ import annotations

import json
import os
import signal
import urllib.error
import urllib.request

import pytest

from producer import VoiceFarm
from producer.embedded import EmbeddedBroker
from tests.conftest import eventually, facts_of

pytestmark = pytest.mark.service


def ask(port: int, page: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{page}", timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode()


def test_a_worker_tells_that_it_is_alive_and_ready_and_what_it_has_done(start_worker, farm):
    start_worker(http_port=0)
    port = facts_of(farm)["http_port"]
    farm.submit("Hello").result(30)

    assert ask(port, "/livez")[0] == 200
    status, facts = ask(port, "/readyz")
    assert (status, json.loads(facts)["state"]) == (200, "ready")
    status, metrics = ask(port, "/metrics")
    assert status == 200
    assert "voicefarm_takes_total 1.0" in metrics
    assert 'voicefarm_jobs{state="done"} 1.0' in metrics
    assert "voicefarm_leases_lost_total 0.0" in metrics
    assert ask(port, "/elsewhere")[0] == 404
    # Of all workers, as their last heartbeats tell.
    eventually(lambda: 'voicefarm_workers{state="ready"} 1.0' in ask(port, "/metrics")[1])


def test_a_worker_that_loads_is_alive_and_not_ready(start_worker, farm):
    start_worker(http_port=0, fake_load_s=60, ready=False)
    facts = facts_of(farm)

    assert ask(facts["http_port"], "/livez")[0] == 200
    assert ask(facts["http_port"], "/readyz")[0] == 503


def test_a_worker_without_its_broker_is_alive_and_says_so(start_worker, tmp_path):
    with EmbeddedBroker(tmp_path / "own") as broker:
        url = EmbeddedBroker.find_url(tmp_path / "own")
        with VoiceFarm(url, home=tmp_path / "own") as farm:
            start_worker(http_port=0, ready=False, env={"VOICEFARM_BROKER_URL": url})
            facts = facts_of(farm)
        port = facts["http_port"]
        eventually(lambda: ask(port, "/readyz")[0] == 200)
        os.kill(broker._server.pid, signal.SIGKILL)
        broker._server.wait()

        assert ask(port, "/livez")[0] == 200
        assert ask(port, "/readyz")[0] == 503
        assert "voicefarm_broker_up 0.0" in ask(port, "/metrics")[1]
        assert "voicefarm_slots 8.0" in ask(port, "/metrics")[1]
