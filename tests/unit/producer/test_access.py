"""The users of a shared broker, as lines of its ACL file."""

from __future__ import annotations

import hashlib
import json

import pytest

from producer.access import Role, rules, user_line
from producer.cli import run_voicefarm


@pytest.mark.parametrize("role", Role)
def test_a_line_has_the_hash_of_the_password_and_not_the_password(role):
    line = user_line(role, "correct horse battery")

    assert f"#{hashlib.sha256(b'correct horse battery').hexdigest()} " in line
    assert "horse" not in line


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
def test_nobody_but_the_admin_has_all_keys_all_channels_or_all_commands(role):
    words = rules(role).split()

    assert {"~*", "&*", "+@all", "allkeys", "allcommands", "allchannels"}.isdisjoint(words)
    assert "-@all" in words


def test_a_producer_has_no_way_to_the_control_channel():
    assert "pidbox" not in rules(Role.PRODUCER)


def test_the_channels_have_the_number_of_the_database():
    assert "&/3.celery.pidbox" in rules(Role.WORKER, db=3).split()


def test_every_call_makes_fresh_passwords_and_tells_them_on_stderr_alone(capsys):
    seen = set()
    for _ in range(2):
        assert run_voicefarm(["broker", "acl"]) == 0
        shown = capsys.readouterr()
        passwords = [line.rsplit(maxsplit=1)[1] for line in shown.err.splitlines()]
        assert shown.out.startswith("user default off\n")
        assert [word for word in passwords if word in shown.out] == []
        seen.update(passwords)

    assert len(seen) == 2 * len(Role)


def test_json_has_the_password_beside_its_line(capsys):
    assert run_voicefarm(["broker", "acl", "--json", "--db=2"]) == 0

    users = {row["user"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert set(users) == {"default", *Role}
    for role in Role:
        assert users[role]["line"] == user_line(role, users[role]["password"], 2)
