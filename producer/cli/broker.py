"""`broker acl`: users of a broker that others share."""

from __future__ import annotations

import secrets

import click

from ..access import Role, user_line
from .output import Output

#: Random bytes of a password.
PASSWORD_BYTES = 32


@click.group(no_args_is_help=False)
def broker() -> None:
    """A broker of one's own, for a farm of many machines."""


@broker.command("acl")
@click.option("--db", type=click.IntRange(0), default=0, show_default=True, help="Its database.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a user, passwords included.")
def acl(*, db: int, as_json: bool) -> None:
    """Make a user for each role, with a fresh password.

    The lines are an ACL file of Redis or Valkey; of the passwords it has the hashes alone. The
    passwords are told once, on stderr.
    """
    output = Output(as_json=as_json)
    output.data({"user": "default", "line": "user default off"}, "user default off")
    for role in Role:
        password = secrets.token_urlsafe(PASSWORD_BYTES)
        line = user_line(role, password, db)
        output.data({"user": role.value, "password": password, "line": line}, line)
        if not as_json:
            output.error(f"user {role}, password {password}")
