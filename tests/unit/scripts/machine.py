"""A machine as `scripts/validate-gpu.sh` sees it: every command it asks is a stand-in."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parents[3]

#: What the script may take from the real machine; everything else does not exist for it.
REAL_COMMANDS = ("bash", "sed", "sort", "head", "awk", "dirname")

#: What a checkout must have.
FILES = (
    "docker/Dockerfile-gpu",
    "docker-compose-gpu.yml",
    "docker/requirements-torch.txt",
    "docker/requirements-worker.txt",
    "docker/requirements-rvc.txt",
    ".dockerignore",
)


@dataclass(frozen=True)
class Machine:
    """One machine; as it stands here it is fit. None is a command that is not installed."""

    driver: str | None = "580.65.06"
    #: Rows of `nvidia-smi`: index, name, MiB, capability.
    cards: tuple[str, ...] = ("0, NVIDIA H200, 143771, 9.0",)
    #: False is a driver that does not know the column `compute_cap`.
    tells_capability: bool = True
    #: What `nvidia-smi` says when it fails.
    driver_error: str = ""
    #: "" is an engine that does not answer.
    docker: str | None = "28.5.2+dfsg4"
    compose: str = "2.40.3-3"
    has_compose_v1: bool = False
    runtimes: str = "io.containerd.runc.v2 nvidia runc "
    #: None is an engine that does not know of discovered devices.
    devices: str | None = "[]"
    has_ctk: bool = False
    has_hook: bool = False
    free_gib: int = 200
    files: tuple[str, ...] = FILES

    def build(self, root: Path) -> Path:
        """Lay the machine out below `root` and return the script of its checkout."""
        commands, checkout = root / "bin", root / "checkout"
        commands.mkdir()
        for name in REAL_COMMANDS:
            found = shutil.which(name)
            assert found is not None
            (commands / name).symlink_to(found)
        for name, body in self._stand_ins().items():
            (commands / name).write_text(f"#!{shutil.which('bash')}\n{body}\n")
            (commands / name).chmod(0o755)
        for file in self.files:
            (checkout / file).parent.mkdir(parents=True, exist_ok=True)
            (checkout / file).touch()
        script = checkout / "scripts" / "validate-gpu.sh"
        script.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / "scripts" / "validate-gpu.sh", script)
        return script

    def _stand_ins(self) -> dict[str, str]:
        free_kib = self.free_gib * 1048576 + 1
        found = {"df": f"echo header; echo /dev/sda 0 0 {free_kib} 0% /"}
        if self.driver is not None:
            found["nvidia-smi"] = self._nvidia_smi()
        if self.docker is not None:
            found["docker"] = self._docker()
        for name, there in (
            ("docker-compose", self.has_compose_v1),
            ("nvidia-ctk", self.has_ctk),
            ("nvidia-container-runtime-hook", self.has_hook),
        ):
            if there:
                found[name] = "exit 0"
        return found

    def _nvidia_smi(self) -> str:
        if self.driver_error:
            return f"echo {shlex.quote(self.driver_error)}; exit 9"
        short = [",".join(card.split(",")[:3]) for card in self.cards]
        lines = "\n".join(self.cards) if self.tells_capability else "Field is not valid"
        return f"""case $* in
*driver_version*) printf '%s\\n' {shlex.quote(str(self.driver))} ;;
*compute_cap*) printf '%s\\n' {shlex.quote(lines)}; exit {0 if self.tells_capability else 2} ;;
*) printf '%s\\n' {shlex.quote(chr(10).join(short))} ;;
esac"""

    def _docker(self) -> str:
        compose = f"echo {self.compose}" if self.compose else "echo unknown command >&2; exit 1"
        devices = f"echo {shlex.quote(self.devices)}" if self.devices else "exit 1"
        dead = "" if self.docker else "*) echo cannot connect >&2; exit 1 ;;"
        return f"""case $* in
compose*) {compose} ;;
{dead}
version*) echo {self.docker} ;;
*Runtimes*) echo {shlex.quote(self.runtimes)} ;;
*DiscoveredDevices*) {devices} ;;
*DockerRootDir*) echo / ;;
esac"""


@dataclass(frozen=True)
class Verdict:
    """What the script said."""

    exit_code: int
    fit: bool
    #: State and detail of every line, by name; a name may come more than once.
    lines: tuple[tuple[str, str, str], ...]

    def states(self, name: str) -> list[str]:
        return [state for found, state, _ in self.lines if found == name]

    def detail(self, name: str) -> str:
        return " / ".join(detail for found, _, detail in self.lines if found == name)

    @property
    def red(self) -> set[str]:
        return {name for name, state, _ in self.lines if state == "red"}


def run(script: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the script with nothing on its PATH but the machine's commands."""
    commands = script.parents[2] / "bin"
    return subprocess.run(
        [str(commands / "bash"), str(script), *arguments],
        env={"PATH": str(commands), "LC_ALL": "C", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def verdict_of(machine: Machine, root: Path) -> Verdict:
    """Return what the script says of a machine, from its JSON."""
    ran = run(machine.build(root), "--json")
    assert ran.stderr == "", ran.stderr
    told: dict[str, Any] = json.loads(ran.stdout)
    lines = tuple((line["name"], line["state"], line["detail"]) for line in told["checks"])
    return Verdict(ran.returncode, told["fit"], lines)
