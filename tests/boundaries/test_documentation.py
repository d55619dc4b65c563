"""The documents say what is: settings, parameters, errors, states, commands, links, examples."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from celery.worker.control import Panel
from pydantic_core import PydanticUndefined

import producer
import worker.inspect  # noqa: F401  it registers the commands that `celery inspect` knows
from producer import VoicefarmError
from producer.cli import voicefarm
from producer.job import RATES_OF, OutputSpec, RvcSettings, SpeechJob
from producer.published import XTTS_V2
from producer.queues import (
    BATCHES_KEY,
    CATALOGUE_KEY,
    DECISIONS_KEY,
    DISPATCHER_KEY,
    HOUSEKEEPING_KEY,
    LEASES_KEY,
    PAUSED_KEY,
    RATES_KEY,
    REPLICATION_KEY,
    STRANGERS_KEY,
    Beating,
    batch_key,
    beat_key,
    beats_key,
    changes_channel,
    idempotency_key,
    job_key,
    state_key,
    take_claim_key,
)
from producer.state import TRANSITIONS, JobState, Reason
from worker.config import WorkerSettings

CHECKOUT = Path(__file__).parents[2]
CLIENT = "docs/python-client.md"
PAGES = sorted(
    path.relative_to(CHECKOUT).as_posix()
    for path in [*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").glob("*.md")]
)

#: What is not ours, as the first word of a command line.
ELSEWHERE = {
    *(".", "alias", "cd", "export", "install", "mkdir", "printf", "rm", "sed", "umask", "sudo"),
    *("git", "pip", ".venv/bin/pip", "python3", "PYTHONPATH=.", "celery", "docker", "kubectl"),
    *("journalctl", "systemctl", "systemd-sysusers"),
}

#: What bounds a parameter, in its schema.
BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")

ERRORS = sorted(
    name
    for name, value in vars(producer).items()
    if isinstance(value, type) and issubclass(value, VoicefarmError) and value is not VoicefarmError
)


def page(name: str) -> str:
    return (CHECKOUT / name).read_text()


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def fenced(text: str, language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Every command line that a page shows as one to be typed."""
    blocks = [block for name in PAGES for block in fenced(page(name), "sh")]
    return [line for block in blocks for line in block.splitlines()]


def shown(default: Any) -> str:
    """A default as the tables have it."""
    if default is None or default == "":
        return "unset" if default is None else "empty"
    if isinstance(default, bool):
        return f"`{json.dumps(default)}`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_to_a_file_and_a_heading_of_it(name):
    text = page(name)
    links = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", text)

    targets = [((CHECKOUT / name).parent / path if path else CHECKOUT / name) for path, _ in links]
    missing = [str(target) for target in targets if not target.exists()]
    lost = [
        heading
        for target, (_, heading) in zip(targets, links, strict=True)
        if heading and heading not in anchors(target.read_text())
    ]

    assert (missing, lost) == ([], [])


@pytest.mark.parametrize("name", WorkerSettings.model_fields)
def test_every_setting_stands_in_the_table_with_its_default_and_its_description(name):
    field = WorkerSettings.model_fields[name]

    row = f"| `VOICEFARM_{name.upper()}` | {shown(field.default)} | {field.description} |\n"

    assert row in page("docs/settings.md")


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (model, name)
        for model in (SpeechJob, OutputSpec, RvcSettings)
        for name in model.model_fields
        if name not in ("schema_version", "kind")
    ],
)
def test_every_parameter_stands_in_its_table_with_its_default_and_its_range(model, name):
    field, schema = model.model_fields[name], model.model_json_schema()["properties"][name]
    default = {PydanticUndefined: "required", OutputSpec(): "`OutputSpec()`"}.get(
        field.default, f"`{field.default}`"
    )
    table = page(CLIENT).partition("## Parameters")[2]
    table = table if model is SpeechJob else table.partition(f"`{model.__name__}`:")[2]

    row = re.search(rf"^\| `{name}` \| (.*?) \| (.*) \|$", table, re.MULTILINE)

    assert row is not None
    assert row[1] == default
    parts = [schema, *schema.get("anyOf", [])]
    bounds = {part[key] for part in parts for key in BOUNDS if key in part} - {2**63}
    assert {f"{bound:g}" for bound in bounds} <= set(re.findall(r"-?[\d.]+", row[2]))
    assert {f"`{word}`" for word in schema.get("enum", [])} <= set(re.findall(r"`\w+`", row[2]))


@pytest.mark.parametrize("file", XTTS_V2.files, ids=lambda file: file.name)
def test_every_published_file_stands_in_the_table_with_its_size(file):
    assert f"| `{file.name}` | {file.size_bytes:,} |\n" in page("docs/xtts.md")


@pytest.mark.parametrize("format", RATES_OF)
def test_every_rate_of_a_format_stands_in_the_table(format):
    rates = " ".join(map(str, RATES_OF[format]))

    assert re.search(rf"^\| `{format}` \| .* \| {rates} \|$", page(CLIENT), re.MULTILINE)


@pytest.mark.parametrize("name", producer.__all__)
def test_every_public_name_is_explained(name):
    assert re.search(rf"\b{name}\b", page(CLIENT))


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_stands_in_the_table_with_its_other_base(name):
    bases = getattr(producer, name).__bases__
    others = "".join(f"`{base.__name__}` " for base in bases if base is not VoicefarmError)

    assert f"| `{name}` | {others}| " in page(CLIENT)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_explained(reason):
    assert f"`{reason}`" in page(CLIENT)


@pytest.mark.parametrize("state", JobState)
def test_every_state_stands_in_the_table_with_what_may_follow(state):
    row = re.search(rf"^\| `{state}` \| .* \| (.*) \|$", page("docs/architecture.md"), re.MULTILINE)

    assert row is not None
    assert {JobState(word) for word in re.findall(r"`(\w+)`", row[1])} == TRANSITIONS[state]


@pytest.mark.parametrize(
    "key",
    [
        *(job_key("<id>"), state_key("<state>"), idempotency_key("<key>")),
        *(
            take_claim_key("<content key>"),
            CATALOGUE_KEY,
            DECISIONS_KEY,
            *(beats_key(kind) for kind in Beating),
            *(beat_key(kind, f"<{kind}>") for kind in Beating),
            LEASES_KEY,
            HOUSEKEEPING_KEY,
            REPLICATION_KEY,
            STRANGERS_KEY,
            changes_channel("<id>"),
            *(batch_key("<id>"), BATCHES_KEY, PAUSED_KEY, DISPATCHER_KEY, RATES_KEY),
        ),
    ],
)
def test_every_key_in_redis_stands_in_the_table(key):
    assert f"| `{key}` |" in page("docs/architecture.md")


@pytest.mark.parametrize("line", commands())
def test_every_command_exists(line):
    words = shlex.split(line, comments=True)

    match words:
        case [script, *_] if script.startswith("scripts/"):
            assert os.access(CHECKOUT / script, os.X_OK)
        case ["voicefarm" | "farm", *rest]:
            assert_understood(voicefarm, rest[: rest.index("|")] if "|" in rest else rest)
        case ["celery", "-A", "tasks", "inspect", command, "--json"]:
            assert command in Panel.meta
        case ["docker", "compose", *rest]:
            assert_composed(rest)
        case _:
            assert words[0] in ELSEWHERE


def commands_of(command: click.Command, name: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with all the words that call it."""
    if not isinstance(command, click.Group):
        yield name, command
        return
    for word, inner in command.commands.items():
        yield from commands_of(inner, f"{name} {word}".strip())


@pytest.mark.parametrize(("name", "command"), list(commands_of(voicefarm)))
def test_every_command_and_every_flag_stands_in_the_page_of_the_command_line(name, command):
    told = page("docs/cli.md")
    flags = {flag for parameter in command.params for flag in parameter.opts if flag[0] == "-"}

    assert re.search(rf"`{name}\b", told)
    assert [flag for flag in sorted(flags) if not re.search(rf"{flag}\b", told)] == []


def assert_composed(words: list[str]) -> None:
    """Fail unless every compose file exists, and what is run in a service is a command of ours."""
    named = [words[at + 1] for at, word in enumerate(words) if word == "-f"]
    services = "\n".join((CHECKOUT / file).read_text() for file in named)
    for service in {"voicefarm", "worker", "flower"} & set(words):
        assert f"\n  {service}:\n" in services
    if "voicefarm" in words and "--rm" in words:
        told = words[words.index("voicefarm") + 1 :]
        assert_understood(voicefarm, told[: told.index(">")] if ">" in told else told)


def assert_understood(command: click.Command, words: list[str]) -> None:
    """Fail unless every subcommand and every flag is known."""
    while isinstance(command, click.Group):
        command, words = command.commands[words[0]], words[1:]
    flags = {flag for parameter in command.params for flag in parameter.opts}

    given = [word for word in words if word.startswith("-") and word != "-"]
    assert [word for word in given if word not in flags] == []


@pytest.mark.service
@pytest.mark.parametrize("name", ["README.md", CLIENT])
def test_the_python_of_a_page_runs_from_top_to_bottom(
    name, start_worker, redis_url, home, tmp_path
):
    start_worker()
    program = tmp_path / "page.py"
    program.write_text(python_of(page(name)))

    ran = subprocess.run(
        [sys.executable, str(program)],
        env={
            **os.environ,
            "VOICEFARM_BROKER_URL": redis_url,
            "VOICEFARM_HOME": str(home),
            "PYTHONPATH": str(CHECKOUT),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr


def python_of(text: str) -> str:
    """The Python of a page; every line keeps its number, so that a traceback tells its place."""
    inside, lines = False, []
    for line in text.splitlines():
        inside = line == "```python" or (inside and line != "```")
        lines.append(line if inside and line != "```python" else "")
    return "\n".join(lines)
