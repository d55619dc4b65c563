"""The wheel holds `producer` alone: `tasks` or `worker` would break whoever has their own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import missing

CHECKOUT = Path(__file__).parents[2]

#: What a build reads.
INGREDIENTS = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    """The wheel, built from a copy of the checkout."""
    try:
        import build  # noqa: F401
    except ImportError:
        missing("the build package")
    source = tmp_path_factory.mktemp("source")
    for package in ("producer", "tasks", "worker", "tests"):
        shutil.copytree(CHECKOUT / package, source / package)
    for name in INGREDIENTS:
        shutil.copy(CHECKOUT / name, source / name)
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(source / "dist")]
    built = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    [path] = (source / "dist").glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_top_level_of_the_wheel_is_producer_alone(wheel):
    top = {name.split("/")[0] for name in wheel.namelist()}

    assert {name for name in top if not name.endswith(".dist-info")} == {"producer"}


def test_the_wheel_holds_every_module_of_the_client_and_its_type_marker(wheel):
    shipped = {name for name in wheel.namelist() if name.startswith("producer/")}
    wanted = {str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / "producer").rglob("*.py")} | {
        "producer/py.typed"
    }

    assert shipped == wanted
