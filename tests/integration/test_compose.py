"""The compose files on a real engine.

No CI machine of ours has one, and a laptop may not either: without an engine and the built image
these are skipped. What can be told without them is in tests/unit/images.
"""

from __future__ import annotations

import json

import pytest

from tests.compose_farm import GPU_FILE, PROJECT, ComposeFarm, docker, what_is_missing
from tests.conftest import eventually

MISSING = what_is_missing()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"{MISSING} is missing"),
]

#: Starts services from what is there.
UP = ("up", "-d", "--wait", "--no-build", "--pull", "never")

#: Long enough for three health checks in a row, on a busy machine.
PATIENCE_S = 150.0


@pytest.fixture(scope="module")
def compose_farm():
    """A farm that is up and healthy."""
    farm = ComposeFarm()
    farm.down()
    try:
        farm.up()
        yield farm
    finally:
        farm.down()


def test_a_job_from_outside_is_a_file_that_another_container_reads(compose_farm):
    path = compose_farm.say("Hello from a container")

    volume = f"{PROJECT}_processed:/data/processed:ro"
    read = ("run", "--rm", "--network=none", "-v", volume, "--entrypoint=sha256sum")
    told = docker("run", "--rm", "-v", volume, "--entrypoint=cat", "voicefarm-cpu", manifest(path))
    assert json.loads(told)["sha256"] == docker(*read, "voicefarm-cpu", path).split()[0]


def manifest(path: str) -> str:
    return path.rpartition("/")[0] + "/job.json"


def test_a_worker_that_crashes_is_back_and_works(compose_farm):
    before = compose_farm.inspect("worker")["RestartCount"]

    compose_farm.shell("worker", "kill -9 $(cut -d' ' -f1 /proc/1/task/1/children)")

    eventually(lambda: compose_farm.inspect("worker")["RestartCount"] == before + 1, PATIENCE_S)
    eventually(lambda: compose_farm.health("worker") == "healthy", PATIENCE_S)
    assert compose_farm.say("Back again").endswith("/audio.wav")


def test_a_worker_without_its_broker_is_unhealthy_until_it_is_back(compose_farm):
    compose_farm.compose("kill", "redis")
    eventually(lambda: compose_farm.health("worker") == "unhealthy", PATIENCE_S)

    compose_farm.compose("up", "-d", "--no-build", "--no-recreate", "--pull", "never", "redis")

    eventually(lambda: compose_farm.health("worker") == "healthy", PATIENCE_S)
    assert compose_farm.say("The broker is back").endswith("/audio.wav")


@pytest.mark.parametrize("service", ["worker", "flower", "redis"])
def test_no_container_has_a_right_of_root_or_tells_a_secret(compose_farm, service):
    facts = compose_farm.inspect(service)
    status = compose_farm.shell(service, "cat /proc/1/status")
    passwords = [
        url.strip().partition("@")[0].rpartition(":")[2]
        for url in (compose_farm.shell("worker", "cat /keys/worker/broker_url"),)
    ]

    assert "CapEff:\t0000000000000000\n" in status
    assert "NoNewPrivs:\t1\n" in status
    assert "Uid:\t0" not in status
    assert facts["HostConfig"]["ReadonlyRootfs"]
    assert len(passwords[0]) > 30
    assert passwords[0] not in json.dumps(facts)
    assert passwords[0] not in compose_farm.compose("logs", service)
    assert passwords[0] not in docker("top", facts["Id"])


def test_nothing_but_flower_is_published_and_that_on_this_machine_alone(compose_farm):
    published = {
        service: [
            binding["HostIp"]
            for bindings in compose_farm.inspect(service)["NetworkSettings"]["Ports"].values()
            for binding in bindings or ()
        ]
        for service in ("worker", "redis", "flower")
    }

    assert published == {"worker": [], "redis": [], "flower": ["127.0.0.1"]}


def test_prometheus_asks_the_worker_and_knows_what_it_has_done(compose_farm):
    metrics = ("--profile", "metrics")
    image = compose_farm.compose(*metrics, "config", "--images", "prometheus").split()[-1]
    if not docker("image", "inspect", image, check=False):
        pytest.skip(f"the image {image} is missing")
    compose_farm.say("One more to be counted")

    compose_farm.compose(*metrics, *UP, "prometheus")

    query = "promtool query instant http://127.0.0.1:9090 'voicefarm_takes_total > 0'"
    eventually(
        lambda: 'job="voicefarm"' in compose_farm.shell("prometheus", query), timeout_s=PATIENCE_S
    )


def test_a_worker_for_books_alone_runs_without_a_gpu(compose_farm):
    compose_farm.compose("--profile", "books", *UP, "assembler")

    asked = "celery -A tasks inspect active_queues -d celery@$(hostname) --json"
    [queues] = json.loads(compose_farm.shell("assembler", asked)).values()
    assert [queue["name"] for queue in queues] == ["speech.assemble"]
    assert not compose_farm.inspect("assembler")["HostConfig"]["DeviceRequests"]


def test_the_unchanged_gpu_file_asks_the_engine_for_one_gpu():
    farm = ComposeFarm()
    try:
        farm.compose("create", "--no-build", "--pull", "never", "worker", files=(GPU_FILE,))

        [request] = farm.inspect("worker")["HostConfig"]["DeviceRequests"]
    finally:
        farm.down()
    assert (request["Driver"], request["DeviceIDs"]) == ("nvidia", ["0"])
    assert request["Capabilities"] == [["gpu"]]


def test_down_leaves_nothing_behind():
    farm = ComposeFarm()
    farm.up()

    farm.down()

    label = f"label=com.docker.compose.project={PROJECT}"
    assert docker("ps", "-aq", "--filter", label) == ""
    assert docker("volume", "ls", "-q", "--filter", label) == ""
    assert docker("network", "ls", "-q", "--filter", label) == ""
