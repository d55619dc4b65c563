"""Why an `up` ends by itself, in words for the person who started it."""

from __future__ import annotations

import click


class FarmFailed(click.ClickException):
    """A part of the farm did not start, or ended by itself."""
