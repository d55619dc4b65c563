"""The passwords of a farm in containers: made once, each role its own."""

from __future__ import annotations

import hashlib
import stat
import subprocess
import sys

import pytest

from tests.conftest import CHECKOUT

ROLES = ("worker", "producer", "monitor")


@pytest.fixture
def keys(tmp_path):
    """A directory as the image has it."""
    for name in ("redis", "grafana", *ROLES):
        (tmp_path / name).mkdir()
    return tmp_path


def make(keys) -> str:
    command = [sys.executable, str(CHECKOUT / "docker" / "keys.py"), str(keys)]
    environment = {"PYTHONPATH": str(CHECKOUT)}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    ).stdout


def contents(keys) -> dict[str, str]:
    return {
        path.relative_to(keys).as_posix(): path.read_text()
        for path in sorted(keys.rglob("*"))
        if path.is_file()
    }


def password(keys, role: str) -> str:
    url = (keys / role / "broker_url").read_text()
    return url.partition("@")[0].rpartition(":")[2]


def test_every_role_gets_a_url_whose_password_the_server_knows(keys):
    make(keys)
    users = (keys / "redis" / "users.acl").read_text()

    for role in ROLES:
        hashed = hashlib.sha256(password(keys, role).encode()).hexdigest()
        [line] = [line for line in users.splitlines() if line.startswith(f"user {role} on ")]
        assert f"#{hashed}" in line
        assert password(keys, role) not in users
    assert len({password(keys, role) for role in ROLES}) == len(ROLES)
    assert users.splitlines()[0] == "user default off"
    assert "user admin" not in users


def test_a_scaler_has_a_user_where_it_has_a_directory(keys):
    (keys / "scaler").mkdir()

    make(keys)

    assert (keys / "scaler" / "broker_url").read_text().startswith("redis://scaler:")
    assert "\nuser scaler on " in (keys / "redis" / "users.acl").read_text()


def test_a_second_start_changes_nothing(keys):
    made = make(keys)
    before = contents(keys)

    again = make(keys)

    assert contents(keys) == before
    assert (made, again) == ("the farm's passwords are made\n", "the passwords are there\n")


def test_an_older_farm_gets_a_password_for_grafana_and_keeps_the_others(keys):
    make(keys)
    before = contents(keys)
    (keys / "grafana" / "password").unlink()

    make(keys)

    after = contents(keys)
    assert len(after["grafana/password"].strip()) > 20
    assert {**after, "grafana/password": ""} == {**before, "grafana/password": ""}


def test_a_start_that_was_cut_short_is_made_good(keys):
    make(keys)
    old = password(keys, "worker")
    (keys / "redis" / "users.acl").unlink()
    (keys / "worker" / ".broker_url.new").write_text("half a")

    make(keys)

    assert password(keys, "worker") != old
    hashed = hashlib.sha256(password(keys, "worker").encode()).hexdigest()
    assert hashed in (keys / "redis" / "users.acl").read_text()
    assert [name for name in contents(keys) if name.endswith(".new")] == []


def test_what_a_role_alone_may_know_others_may_not_read(keys):
    make(keys)

    for role in ROLES:
        mode = stat.S_IMODE((keys / role / "broker_url").stat().st_mode)
        assert mode & 0o077 == 0


def test_no_password_is_told(keys):
    told = make(keys)

    assert all(password(keys, role) not in told for role in ROLES)
