"""The compose files say what they should: who is reachable, who may what, what is kept."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from producer.queues import ASSEMBLY_QUEUE
from tests.linters import CHECKOUT, lint
from worker.config import WorkerSettings

GPU_FILE = CHECKOUT / "docker-compose-gpu.yml"
CPU_FILE = CHECKOUT / "docker-compose-cpu.yml"

VOLUMES = {"uploads", "processed", "temp", "logs", "models"}
WORKERS = ("worker", "worker-1", "supervised")

#: What a worker takes beyond its own limit for the jobs in hand, at most.
STOP_MARGIN_S = 20


class _Loader(yaml.SafeLoader):
    """Reads the tags of Compose too."""


_Loader.add_constructor("!override", lambda loader, node: loader.construct_sequence(node))


def read(path: Any) -> dict[str, Any]:
    return dict(yaml.load(path.read_text(), _Loader))  # noqa: S506  a safe loader


SERVICES: dict[str, dict[str, Any]] = read(GPU_FILE)["services"]


def default(value: str) -> str:
    """What a variable is if nobody sets it."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


def mounts(service: str) -> dict[str, str]:
    """The volumes of a service: where each is, with `:ro` if it may only be read."""
    return dict(mount.split(":", 1) for mount in SERVICES[service]["volumes"])


def test_the_file_fits_the_schema_of_compose():
    assert lint("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(GPU_FILE)) == ""


@pytest.fixture
def compose():
    """Compose, which needs no engine to read a file."""
    if shutil.which("docker") is None or _compose("version").returncode:
        pytest.skip("Compose is not installed; no CI machine of ours has it")
    return _compose


@pytest.mark.parametrize(
    ("profile", "gpus"),
    [
        (None, {"worker": ["0"]}),
        ("two-gpus", {"worker": ["0"], "worker-1": ["1"]}),
        ("all-gpus", {"worker": ["0"], "supervised": -1}),
    ],
)
def test_a_profile_asks_for_its_gpus_and_nobody_else_does(compose, profile, gpus):
    chosen = ("--profile", profile) if profile else ()
    told = compose("-f", str(GPU_FILE), *chosen, "config", "--format", "json").stdout
    asked = {
        name: device.get("device_ids", device.get("count"))
        for name, facts in json.loads(told)["services"].items()
        for device in facts.get("deploy", {})
        .get("resources", {})
        .get("reservations", {})
        .get("devices", ())
    }

    assert asked == gpus


@pytest.mark.parametrize("files", [(GPU_FILE,), (GPU_FILE, CPU_FILE)])
def test_compose_understands_the_files(compose, files):
    named = [part for file in files for part in ("-f", str(file))]
    ran = compose(*named, "--profile", "*", "config", "-q")

    assert ran.returncode == 0, ran.stderr


def _compose(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["docker", "compose", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_is_confined(service):
    facts = SERVICES[service]

    assert facts["read_only"] is True
    assert facts["cap_drop"] == ["ALL"]
    assert facts["security_opt"] == ["no-new-privileges:true"]
    assert facts.get("privileged") is None
    assert facts.get("user", "") not in ("root", "0")


def test_flower_and_grafana_alone_are_published_and_on_loopback_alone():
    published = {name: facts["ports"] for name, facts in SERVICES.items() if "ports" in facts}

    assert published == {
        "flower": ["127.0.0.1:${VOICEFARM_FLOWER_PORT:-5555}:5555"],
        "grafana": ["127.0.0.1:${VOICEFARM_GRAFANA_PORT:-3000}:3000"],
    }


def test_the_broker_survives_a_crash_and_forgets_nothing():
    command = " ".join(SERVICES["redis"]["command"])

    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command
    assert "redis:/data" in SERVICES["redis"]["volumes"]


def test_every_container_sees_the_passwords_of_its_own_role_alone():
    seen = {
        name: {volume for volume in mounts(name) if volume.startswith("keys-")}
        for name in SERVICES
        if name != "keys"
    }

    assert seen == {
        "redis": {"keys-redis"},
        **{name: {"keys-worker"} for name in (*WORKERS, "assembler")},
        "flower": {"keys-monitor"},
        "voicefarm": {"keys-producer"},
        "grafana": {"keys-grafana"},
        "prometheus": set(),
    }
    assert all(
        mounts(name)[volume].endswith(":ro") for name, volumes in seen.items() for volume in volumes
    )


def test_no_password_stands_in_a_file_or_an_argument():
    text = GPU_FILE.read_text() + CPU_FILE.read_text() + (CHECKOUT / ".env.example").read_text()

    assert re.findall(r"redis(?:s)?://|requirepass|--user \S+ -a|basic.auth", text) == []


@pytest.mark.parametrize("service", WORKERS)
def test_a_worker_has_the_volumes_of_the_farm_a_limit_and_a_gpu(service):
    facts = SERVICES[service]
    [device] = facts["deploy"]["resources"]["reservations"]["devices"]

    assert {name: mounts(service)[name] for name in VOLUMES} == {
        name: f"/data/{name}" for name in VOLUMES
    }
    assert "memory" in facts["deploy"]["resources"]["limits"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
    # The engine refuses a reservation that has both.
    assert ("count" in device) != ("device_ids" in device)


def test_what_two_templates_both_say_is_said_anew():
    # Readers of YAML do not agree which of them counts.
    templates = read(GPU_FILE)
    merged = set(re.findall(r"<<: \[\*([\w-]+), \*([\w-]+)\]", GPU_FILE.read_text()))

    assert merged == {("confined", "small"), ("farm-settings", "engine-settings")}
    for one, other in merged:
        assert not templates[f"x-{one}"].keys() & templates[f"x-{other}"].keys()


def test_the_assembler_takes_books_alone_and_no_gpu():
    facts = SERVICES["assembler"]
    command = facts["command"]

    assert command[command.index("-Q") + 1] == ASSEMBLY_QUEUE
    assert facts["image"] == SERVICES["flower"]["image"]
    assert facts["build"] == SERVICES["flower"]["build"]
    assert "reservations" not in facts["deploy"]["resources"]
    assert {mounts("assembler")[name] for name in VOLUMES} == {f"/data/{name}" for name in VOLUMES}


def test_a_lone_worker_may_take_12_gigabytes():
    limit = SERVICES["worker"]["deploy"]["resources"]["limits"]["memory"]

    assert default(limit) == "12g"


@pytest.mark.parametrize("service", [*WORKERS, "assembler"])
def test_a_stop_waits_longer_than_the_jobs_in_hand_may_take(service):
    grace, drain = (
        default(SERVICES[service]["stop_grace_period"]),
        default(SERVICES[service]["environment"]["VOICEFARM_DRAIN_S"]),
    )

    assert int(grace.removesuffix("s")) >= int(drain) + STOP_MARGIN_S


def test_nobody_starts_before_what_he_needs():
    waits = {
        name: {other: how["condition"] for other, how in facts["depends_on"].items()}
        for name, facts in SERVICES.items()
        if "depends_on" in facts
    }

    for name in (*WORKERS, "assembler"):
        assert waits[name] == {
            "redis": "service_healthy",
            "keys": "service_completed_successfully",
        }
    assert waits["flower"]["redis"] == waits["voicefarm"]["redis"] == "service_healthy"
    assert waits["redis"] == {"keys": "service_completed_successfully"}


def test_the_file_for_processors_asks_for_no_gpu():
    worker = read(CPU_FILE)["services"]["worker"]

    # Lists of Compose append; only the tag takes the reservation away.
    assert "devices: !override []" in CPU_FILE.read_text()
    assert worker["deploy"]["resources"]["reservations"]["devices"] == []
    assert worker["build"]["dockerfile"] == "docker/Dockerfile-cpu"


def test_every_variable_is_explained_with_its_default():
    named = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", GPU_FILE.read_text()))
    example = (CHECKOUT / ".env.example").read_text()

    assert dict(re.findall(r"^(\w+)=(.*)$", example, re.MULTILINE)) == named


#: Settings that the files decide, that only measurements and tests need, or that no container has
#: a use for.
DECIDED = {
    *("BROKER_URL", "BROKER_URL_FILE", "HOME", "HTTP_PORT", "HTTP_HOST"),
    *("ENGINE", "GPU", "DRAIN_S", "BOOKS", "STORE", "MIN_REPLICAS", "HUB_URL"),
}


def passed_on(service: str) -> set[str]:
    """The settings that a service has of .env, by their names."""
    facts = SERVICES[service]["environment"]
    return {name.removeprefix("VOICEFARM_") for name, value in facts.items() if value is None}


def test_every_other_setting_of_a_worker_reaches_it_from_the_example():
    known = {
        name.upper() for name in WorkerSettings.model_fields if not name.startswith("fake_")
    } - DECIDED

    for service in WORKERS:
        assert passed_on(service) == known
    # Its image has no torch, whatever the others are told of RVC.
    assert passed_on("assembler") < known
    assert not {"RVC", "DEVICE"} & passed_on("assembler")
    assert passed_on("voicefarm") == {"KEEP_DAYS", "HUB_URL"}


def test_no_setting_of_an_image_is_taken_away():
    """The engine removes a variable of the image that is named without a value."""
    for_processors = read(CPU_FILE)["services"]["worker"]["environment"]
    small, large = (
        set(re.findall(r"\bVOICEFARM_(\w+)=", (CHECKOUT / "docker" / name).read_text()))
        for name in ("Dockerfile-cpu", "Dockerfile-gpu")
    )

    assert {"RVC", "HTTP_PORT"} <= small
    assert not large & passed_on("worker")
    assert small & passed_on("worker") == {"RVC"}
    assert for_processors["VOICEFARM_RVC"] == "false"
    for service in ("assembler", "voicefarm"):
        assert not small & passed_on(service)


def test_the_example_shows_what_each_of_them_is_by_itself():
    example = (CHECKOUT / ".env.example").read_text()
    offered = dict(re.findall(r"^#VOICEFARM_(\w+)=(.*)$", example, re.MULTILINE))

    assert offered.keys() == passed_on("worker") | passed_on("voicefarm")
    for name, value in offered.items():
        field = WorkerSettings.model_fields[name.lower()]
        given = WorkerSettings.model_validate({name.lower(): value}) if value else None
        assert getattr(given, name.lower(), None) == field.default
