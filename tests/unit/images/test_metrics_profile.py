"""Prometheus and Grafana of the compose file: what is asked, what is shown, who gets in."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest
import yaml
from test_compose_file import SERVICES, WORKERS

from tests.conftest import CHECKOUT

PROMETHEUS = CHECKOUT / "docker" / "prometheus" / "voicefarm.yml"
GRAFANA = CHECKOUT / "docker" / "grafana"
PROFILE = ("prometheus", "grafana")

#: The GPUs of one machine, at most, as the health check of the images counts them.
GPUS = 8


def asked() -> set[tuple[str, int]]:
    """Every name and port that Prometheus asks."""
    [job] = yaml.safe_load(PROMETHEUS.read_text())["scrape_configs"]
    return {
        (name, found["port"])
        for found in job["dns_sd_configs"]
        for name in found["names"]
        if found["type"] == "A"
    }


def source(service: str, target: str) -> str:
    """The file of the checkout that a service sees at `target`."""
    [mount] = [m for m in SERVICES[service]["volumes"] if f":{target}:" in m]
    name, _, rest = mount.partition(":")
    assert rest == f"{target}:ro"
    return (CHECKOUT / name).read_text()


def test_neither_runs_unless_it_is_asked_for():
    assert {name: SERVICES[name]["profiles"] for name in PROFILE} == {
        name: ["metrics"] for name in PROFILE
    }


@pytest.mark.parametrize("service", PROFILE)
def test_an_image_is_pinned_by_its_version(service):
    assert re.search(r":-[\w/]+:v?\d+\.\d+\.\d+\}$", SERVICES[service]["image"])


def test_every_worker_is_asked_at_the_port_where_it_tells():
    dockerfile = (CHECKOUT / "docker" / "Dockerfile-gpu").read_text()
    first = int(re.search(r"VOICEFARM_HTTP_PORT=(\d+)", dockerfile)[1])

    assert asked() == {
        *((name, first) for name in (*WORKERS, "assembler")),
        *(("supervised", first + gpu) for gpu in range(GPUS)),
    }
    hosts = {
        SERVICES[name]["environment"]["VOICEFARM_HTTP_HOST"] for name in (*WORKERS, "assembler")
    }
    assert hosts == {"0.0.0.0"}  # noqa: S104


def test_prometheus_takes_the_file():
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed; no CI machine of ours has it")

    ran = subprocess.run(
        [promtool, "check", "config", str(PROMETHEUS)], capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_prometheus_reads_the_file_that_is_checked_here():
    assert "--config.file=/etc/prometheus/voicefarm.yml" in SERVICES["prometheus"]["command"]
    assert source("prometheus", "/etc/prometheus/voicefarm.yml") == PROMETHEUS.read_text()


def test_grafana_has_the_dashboard_and_where_its_numbers_are():
    provisioning = "/etc/grafana/provisioning"
    [found] = yaml.safe_load(source("grafana", f"{provisioning}/datasources/voicefarm.yml"))[
        "datasources"
    ]
    [provider] = yaml.safe_load(source("grafana", f"{provisioning}/dashboards/voicefarm.yml"))[
        "providers"
    ]
    dashboard = f"{provider['options']['path']}/voicefarm.json"

    assert (found["type"], found["url"]) == ("prometheus", "http://prometheus:9090")
    # The dashboard asks whichever is the default.
    assert found["isDefault"] is True
    assert json.loads(source("grafana", dashboard))["uid"] == "voicefarm"
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == dashboard


def test_grafana_has_no_password_but_the_one_of_its_file():
    environment = SERVICES["grafana"]["environment"]

    assert environment["GF_SECURITY_ADMIN_PASSWORD__FILE"] == "/keys/grafana/password"
    assert "GF_SECURITY_ADMIN_PASSWORD" not in environment
    assert environment["GF_AUTH_ANONYMOUS_ENABLED"] == "false"
    assert environment["GF_USERS_ALLOW_SIGN_UP"] == "false"


def test_grafana_reaches_prometheus_alone():
    networks = {name: facts.get("networks", ["default"]) for name, facts in SERVICES.items()}

    assert networks["grafana"] == ["metrics"]
    assert [name for name, joined in networks.items() if "metrics" in joined] == [
        "prometheus",
        "grafana",
    ]
