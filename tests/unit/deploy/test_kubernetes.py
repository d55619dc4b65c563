"""The manifests fit Kubernetes' schema, and say what they should."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.conftest import CHECKOUT, needed

DIRECTORY = CHECKOUT / "deploy" / "kubernetes"
OBJECTS: list[dict[str, Any]] = [
    found
    for path in sorted(DIRECTORY.glob("*.yaml"))
    for found in yaml.safe_load_all(path.read_text())
]

#: Objects of other makers, whose schema is not Kubernetes' own.
FOREIGN = {"Kustomization", "ScaledObject", "TriggerAuthentication"}

#: What a worker takes beyond its own limit for the jobs in hand, at most.
STOP_MARGIN_S = 20


def names(kind: str) -> set[str]:
    return {found["metadata"]["name"] for found in OBJECTS if found["kind"] == kind}


def one(kind: str, name: str = "") -> dict[str, Any]:
    [found] = [
        found
        for found in OBJECTS
        if found["kind"] == kind and name in ("", found.get("metadata", {}).get("name"))
    ]
    return found


def pods() -> dict[str, dict[str, Any]]:
    """What runs, by the kind of what starts it."""
    return {
        found["kind"]: found["spec"]["template"]["spec"]
        for found in OBJECTS
        if "template" in found.get("spec", {})
    }


WORKER = pods()["Deployment"]
[CONTAINER] = WORKER["containers"]
ENVIRONMENT = {variable["name"]: variable["value"] for variable in CONTAINER["env"]}


@pytest.mark.parametrize(
    "found", [found for found in OBJECTS if found["kind"] not in FOREIGN], ids=lambda f: f["kind"]
)
def test_an_object_fits_the_schema(found):
    validate = needed("kubernetes_validate")

    validate.validate(found, validate.latest_version(), strict=True)


def test_every_manifest_but_the_first_job_is_applied():
    applied = one("Kustomization")["resources"]

    assert {*applied, "kustomization.yaml", "say.yaml"} == {
        path.name for path in DIRECTORY.glob("*.yaml")
    }


@pytest.mark.parametrize("kind", pods())
def test_a_pod_has_no_more_rights_than_the_strictest_standard_allows(kind):
    pod = pods()[kind]

    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("kind", pods())
def test_no_service_becomes_a_setting(kind):
    assert pods()[kind]["enableServiceLinks"] is False


@pytest.mark.parametrize("kind", pods())
def test_what_is_mounted_is_there(kind):
    pod = pods()[kind]
    claims = one(kind)["spec"].get("volumeClaimTemplates", ())
    volumes = {volume["name"] for volume in [*pod["volumes"], *(c["metadata"] for c in claims)]}
    claimed = {
        volume["persistentVolumeClaim"]["claimName"]
        for volume in pod["volumes"]
        if "persistentVolumeClaim" in volume
    }

    for container in pod["containers"]:
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    assert claimed <= names("PersistentVolumeClaim")


def test_a_worker_has_one_gpu_and_as_much_memory_as_it_may_take():
    resources = CONTAINER["resources"]

    assert resources["limits"]["nvidia.com/gpu"] == resources["requests"]["nvidia.com/gpu"] == 1
    assert resources["limits"]["memory"] == resources["requests"]["memory"] == "12Gi"


def test_a_stop_waits_longer_than_the_jobs_in_hand_may_take():
    drain_s = int(ENVIRONMENT["VOICEFARM_DRAIN_S"])

    assert WORKER["terminationGracePeriodSeconds"] >= drain_s + STOP_MARGIN_S


def test_the_probes_ask_the_pages_where_they_can_be_reached():
    dockerfile = (CHECKOUT / "docker" / "Dockerfile-gpu").read_text()
    [port] = CONTAINER["ports"]

    assert f"VOICEFARM_HTTP_PORT={port['containerPort']}" in dockerfile
    assert ENVIRONMENT["VOICEFARM_HTTP_HOST"] == "0.0.0.0"  # noqa: S104
    assert {
        probe: CONTAINER[probe]["httpGet"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe")
    } == {
        "startupProbe": {"path": "/livez", "port": port["name"]},
        "livenessProbe": {"path": "/livez", "port": port["name"]},
        # A worker that drains, or whose broker is away, is not to be killed for it.
        "readinessProbe": {"path": "/readyz", "port": port["name"]},
    }


def test_the_scaler_is_the_one_of_the_page_and_scales_what_is_there():
    page = (CHECKOUT / "docs" / "scaling.md").read_text()
    explained = re.search(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)[1]
    scaler = one("ScaledObject")
    namespace = one("Kustomization")["namespace"]
    queues = [t for t in scaler["spec"]["triggers"] if t["type"] == "redis"]

    assert scaler == yaml.safe_load(explained)
    assert scaler["spec"]["scaleTargetRef"]["name"] in names("Deployment")
    assert "replicas" not in one("Deployment")["spec"]
    for trigger in queues:
        assert trigger["metadata"]["address"] == f"redis.{namespace}.svc:6379"
        assert trigger["authenticationRef"]["name"] in names("TriggerAuthentication")
    assert "redis" in names("Service")


def test_every_secret_is_made_by_a_command_of_the_guide():
    guide = (CHECKOUT / "docs" / "kubernetes.md").read_text()
    made = set(re.findall(r"create secret generic (\S+)", guide))
    wanted = {
        v["secret"]["secretName"] for p in pods().values() for v in p["volumes"] if "secret" in v
    }
    wanted |= {ref["name"] for ref in one("TriggerAuthentication")["spec"]["secretTargetRef"]}

    assert wanted == made
    assert names("Secret") == set()


def test_only_the_farm_reaches_the_broker():
    policy = one("NetworkPolicy", "redis")["spec"]
    redis = one("StatefulSet")["spec"]["template"]["metadata"]["labels"]
    worker = one("Deployment")["spec"]["template"]["metadata"]["labels"]
    producer = one("Job")["spec"]["template"]["metadata"]["labels"]
    [rule] = policy["ingress"]
    let_in = [
        source["podSelector"]["matchLabels"] for source in rule["from"] if "podSelector" in source
    ]

    assert policy["podSelector"]["matchLabels"] == redis
    assert let_in == [worker, producer]
