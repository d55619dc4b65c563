"""The Dockerfiles and what they are made of."""

from __future__ import annotations

import ast
import re
import sys
from configparser import ConfigParser

import pytest
from packaging.requirements import Requirement

from tests.linters import CHECKOUT, lint

DOCKER = CHECKOUT / "docker"
IMAGES = ("Dockerfile-gpu", "Dockerfile-cpu")
LOCKS = ("torch", "worker", "rvc", "cpu", "test")
SCRIPTS = sorted(
    path
    for path in (CHECKOUT / "scripts").iterdir()
    if path.suffix == ".sh" or path.read_text().startswith("#!/usr/bin/env bash")
)


def locked(name: str) -> dict[str, str]:
    """The versions of a lock."""
    text = (DOCKER / f"requirements-{name}.txt").read_text()
    return dict(re.findall(r"^([\w.-]+)==(\S+) \\$", text, re.MULTILINE))


def wanted(*extras: str) -> list[Requirement]:
    """What setup.cfg asks for by its extras."""
    parser = ConfigParser()
    parser.read(CHECKOUT / "setup.cfg")
    lists = [parser["options"]["install_requires"]]
    lists += [parser["options.extras_require"][extra] for extra in extras]
    lines = [line for text in lists for line in text.splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("name", IMAGES)
def test_hadolint_has_no_complaint(name):
    assert lint("hadolint", str(DOCKER / name)) == ""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_has_no_complaint(script):
    assert (
        lint("shellcheck", "-x", "--source-path=SCRIPTDIR", "--severity=warning", str(script)) == ""
    )


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_is_pinned_runs_as_nobody_and_is_asked_how_it_is(name):
    text = (DOCKER / name).read_text()

    assert "\nARG BASE=python:3.11-slim-bookworm\n" in text
    # It would be fetched from elsewhere before the build begins.
    assert "# syntax=" not in text
    assert "\nUSER 10001:10001\n" in text
    assert 'ENTRYPOINT ["tini", "--"]' in text
    assert "HEALTHCHECK --interval" in text
    assert "--require-hashes" in text
    assert "/data/models/rvc" in text


def test_torch_comes_before_the_libraries_and_those_before_the_code():
    text = (DOCKER / "Dockerfile-gpu").read_text()
    steps = [
        "COPY docker/requirements-torch.txt",
        "COPY docker/requirements-worker.txt",
        "COPY docker/requirements-rvc.txt",
        "COPY . /app",
    ]

    assert sorted(steps, key=text.index) == steps


def test_the_small_image_has_no_torch_and_converts_nothing():
    assert "torch" not in locked("cpu")
    # Else its worker would load RVC, whose directory every image has, and end.
    assert "\nENV VOICEFARM_RVC=false\n" in (DOCKER / "Dockerfile-cpu").read_text()


def test_the_image_does_not_say_which_gpus_are_seen():
    assert "NVIDIA_VISIBLE_DEVICES" not in (DOCKER / "Dockerfile-gpu").read_text()


def test_the_tests_go_into_the_images_and_secrets_do_not():
    ignored = (CHECKOUT / ".dockerignore").read_text().split()

    assert not {"tests", "tests/", "**/tests", "*"} & set(ignored)
    assert {".git", ".env", ".venv"} <= set(ignored)


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_file_has_a_hash_and_names_no_index(name):
    lines = (DOCKER / f"requirements-{name}.txt").read_text().splitlines()
    pinned = [line for line in lines if "==" in line]
    hashes = [line for line in lines if line.strip().startswith("--hash=sha256:")]

    assert pinned
    assert all(re.fullmatch(r"[\w.-]+==\S+ \\", line) for line in pinned)
    assert len(hashes) >= len(pinned)
    assert len(lines) == len(pinned) + len(hashes) + sum(line.startswith("#") for line in lines)


@pytest.mark.parametrize(
    ("name", "extras"),
    [
        ("worker", ["worker"]),
        ("rvc", ["worker", "pitch", "compat"]),
        ("cpu", ["embedded", "books", "monitor"]),
    ],
)
def test_a_lock_holds_what_setup_cfg_asks_for(name, extras):
    versions = {key.lower().replace("_", "-"): value for key, value in locked(name).items()}

    wrong = [
        f"{requirement}, locked is {versions.get(requirement.name.lower())}"
        for requirement in wanted(*extras)
        if versions.get(requirement.name.lower().replace("_", "-")) not in requirement.specifier
    ]

    assert wrong == [], "scripts/lock writes the locks anew"


def test_the_locks_agree_with_each_other():
    versions: dict[str, set[str]] = {}
    for name in LOCKS:
        for package, version in locked(name).items():
            versions.setdefault(package, set()).add(version)

    assert {package: found for package, found in versions.items() if len(found) > 1} == {}


def test_torch_is_of_the_family_that_carries_capability_7():
    assert {name: locked("torch")[name] for name in ("torch", "torchaudio", "torchcodec")} == {
        "torch": "2.10.0",
        "torchaudio": "2.10.0",
        "torchcodec": "0.10.0",
    }


@pytest.mark.parametrize(
    ("name", "ours"), [("health", set()), ("keys", {"producer"}), ("flowerconfig", {"worker"})]
)
def test_the_programs_of_the_images_need_nothing_that_is_not_in_them(name, ours):
    tree = ast.parse((DOCKER / f"{name}.py").read_text())
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }

    assert imported <= {*sys.stdlib_module_names, *ours}
