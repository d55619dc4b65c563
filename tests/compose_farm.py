"""A farm in containers, as the compose files describe it, in a project of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import Any

from tests.conftest import CHECKOUT

#: Nobody's farm is touched: every name of an object of the engine begins with this.
PROJECT = "voicefarm-tests"

GPU_FILE = "docker-compose-gpu.yml"
CPU_FILE = "docker-compose-cpu.yml"

#: The image that every service of the tests runs.
IMAGE = "voicefarm-cpu"


def docker(*arguments: str, check: bool = True, timeout_s: float = 300) -> str:
    """Run the client of the engine and return what it writes."""
    ran = subprocess.run(
        ["docker", *arguments],
        cwd=CHECKOUT,
        env={**os.environ, "VOICEFARM_FLOWER_PORT": "0", "VOICEFARM_GPU_IMAGE": IMAGE},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert not check or ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout if ran.returncode == 0 else ""


def what_is_missing() -> str:
    """Return what these tests lack on this machine; "" if nothing."""
    if shutil.which("docker") is None or not docker("version", "-f", "{{.Server}}", check=False):
        return "a Docker engine"
    if not docker("compose", "version", check=False):
        return "Compose"
    if not docker("image", "inspect", IMAGE, check=False):
        return f"the image {IMAGE} (docker build -f docker/Dockerfile-cpu --target runtime)"
    return ""


class ComposeFarm:
    """The farm for processors; `down` takes everything of it away."""

    def compose(self, *arguments: str, files: tuple[str, ...] = (GPU_FILE, CPU_FILE)) -> str:
        named = [part for file in files for part in ("-f", file)]
        return docker("compose", "-p", PROJECT, *named, *arguments)

    def up(self) -> None:
        self.compose("up", "-d", "--wait", "--no-build", "--pull", "never")

    def down(self) -> None:
        self.compose("--profile", "*", "down", "-v", "--remove-orphans")

    def say(self, text: str) -> str:
        """Return the path of the audio, as the client in a container sees it."""
        return self.compose("run", "--rm", "-T", "voicefarm", "say", text).strip()

    def inspect(self, service: str) -> dict[str, Any]:
        found = self.compose("ps", "-a", "-q", service).split()
        [facts] = json.loads(docker("inspect", *found))
        return dict(facts)

    def health(self, service: str) -> str:
        return str(self.inspect(service)["State"].get("Health", {}).get("Status"))

    def shell(self, service: str, script: str) -> str:
        return self.compose("exec", "-T", service, "sh", "-c", script)
