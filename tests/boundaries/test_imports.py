"""The arrows: tasks -> worker -> producer; the engine knows no queue, the producer no torch."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]

#: What each package must never import.
FORBIDDEN = {
    "producer": {"tasks", "worker", "tests", "torch", "numpy", "soundfile", "soxr"},
    "worker": {"tasks", "tests"},
    "worker/engine": {"tasks", "tests", "producer", "celery", "kombu", "redis"},
    "tasks": {"tests", "torch", "numpy"},
}

SOURCES = sorted(
    path
    for package in ("producer", "tasks", "worker")
    for path in (CHECKOUT / package).rglob("*.py")
)

#: The one place that hands the whole environment on, to child processes.
READS_ENVIRONMENT = {Path("producer/child_process.py")}


def imported(source: Path) -> Iterator[str]:
    """Yield the absolute names of all that a file imports, wherever in the file."""
    package = source.relative_to(CHECKOUT).with_suffix("").parts
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: -node.level] if node.level else ()
            name = ".".join([*base, *([node.module] if node.module else [])])
            yield name
            yield from (f"{name}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("package", FORBIDDEN)
def test_no_import_goes_against_the_arrows(package):
    wrong = [
        f"{source.relative_to(CHECKOUT)} imports {name}"
        for source in (CHECKOUT / package).rglob("*.py")
        for name in imported(source)
        if name.split(".")[0] in FORBIDDEN[package]
    ]

    assert wrong == []


def test_the_engine_imports_nothing_of_the_worker_around_it():
    wrong = [
        f"{source.relative_to(CHECKOUT)} imports {name}"
        for source in (CHECKOUT / "worker/engine").rglob("*.py")
        for name in imported(source)
        if name.startswith("worker.") and not name.startswith("worker.engine")
    ]

    assert wrong == []


def test_the_environment_is_read_by_the_settings_alone():
    readers = {
        source.relative_to(CHECKOUT)
        for source in SOURCES
        if "os.environ" in source.read_text() or "getenv(" in source.read_text()
    }

    assert readers == READS_ENVIRONMENT


def test_nothing_is_unpickled():
    wrong = [
        f"{source.relative_to(CHECKOUT)} imports {name}"
        for source in SOURCES
        for name in imported(source)
        if name.split(".")[0] in {"pickle", "cPickle", "dill", "marshal", "shelve", "cloudpickle"}
    ]

    assert wrong == []


def test_no_module_is_named_by_what_it_is_not():
    vague = {"utils", "helpers", "common", "manager", "misc"}

    assert [str(source) for source in SOURCES if source.stem in vague] == []


def test_celery_tasks_are_thin():
    lengths = {
        source.name: len(source.read_text().splitlines())
        for source in (CHECKOUT / "tasks").glob("*.py")
    }

    assert {name: lines for name, lines in lengths.items() if lines > 60} == {}
