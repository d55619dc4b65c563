"""All that a command says: data on stdout, everything else on stderr.

Data is lines of text for people and pipes, or with `--json` one JSON object a line. A
progress bar appears on a terminal alone and never touches stdout.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import click

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


class Bar(Protocol):
    """Shows how far the work is."""

    def __call__(self, label: str, done: int, total: int) -> None:
        """Show `done` of `total`; 0 of 0 is not known yet."""


class Output:
    """The voice of one command."""

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json = as_json
        self._quiet = quiet
        self._live_console: Console | None = None

    def data(self, facts: Mapping[str, Any], text: str) -> None:
        """Write one piece of data: `facts` as a JSON line, or `text`."""
        click.echo(json.dumps(facts, ensure_ascii=False) if self.as_json else text)

    def table(self, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows: each as a JSON line, or these columns of all of them, aligned.

        Nothing is cut to the width of a terminal: a pipe has none.
        """
        if self.as_json:
            self._lines(rows)
            return
        cells = [[name.upper() for name in columns]]
        cells += [
            ["" if row.get(name) is None else str(row[name]) for name in columns] for row in rows
        ]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for line in cells:
            padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            click.echo("  ".join(padded).rstrip())

    def checks(self, results: Sequence[Mapping[str, Any]]) -> None:
        """Write check results (`name`, `ok`, `detail`): JSON lines, or ✓ and ✗."""
        if self.as_json:
            self._lines(results)
            return
        from rich.console import Console
        from rich.text import Text

        console = Console(soft_wrap=True)  # honours NO_COLOR, and colours terminals alone
        for result in results:
            mark = Text("✓ ", "green") if result["ok"] else Text("✗ ", "red")
            console.print(mark + Text(f"{result['name']}: {result['detail']}"))

    def note(self, text: str) -> None:
        """Tell the person something that is no data; silent with `--quiet`."""
        if not self._quiet:
            self.error(text)

    def progress(self, facts: Mapping[str, Any], *, wanted: bool) -> None:
        """Tell how far the work is as a JSON line on stderr, where no bar can be shown."""
        if wanted and not self._quiet and not sys.stderr.isatty():
            click.echo(json.dumps(facts, ensure_ascii=False), err=True)

    def error(self, text: str) -> None:
        """Tell what went wrong, in one line, also with `--quiet`."""
        if self._live_console is not None:
            # Above the bar, not through it.
            self._live_console.print(
                f"voicefarm: {text}", markup=False, highlight=False, soft_wrap=True
            )
        else:
            click.echo(f"voicefarm: {text}", err=True)

    @contextmanager
    def bar(self, *, wanted: bool) -> Iterator[Bar]:
        """Show a bar while the block runs, if one is wanted and stderr is a terminal."""
        if self._quiet or not wanted or not sys.stderr.isatty():
            yield lambda label, done, total: None
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._live_console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        # stdout stays out of rich's hands: it would send our data to stderr.
        options: dict[str, Any] = {"transient": True, "redirect_stdout": False}
        try:
            with Progress(*columns, console=self._live_console, **options) as progress:
                task = progress.add_task("", total=None)

                def show(label: str, done: int, total: int) -> None:
                    shown = f"{label} {done}/{total}" if total else label
                    progress.update(task, description=shown, completed=done, total=total or None)

                yield show
        finally:
            self._live_console = None

    @contextmanager
    def foot(self, *, wanted: bool) -> Iterator[Callable[[RenderableType], None] | None]:
        """Yield what draws at the foot of the terminal, below all that is told while the block
        runs; None if it is not wanted or stderr is no terminal."""
        if not wanted or not sys.stderr.isatty():
            yield None
            return
        from rich.console import Console
        from rich.live import Live

        self._live_console = Console(stderr=True)
        options: dict[str, Any] = {"transient": True, "redirect_stdout": False}
        try:
            with Live(console=self._live_console, auto_refresh=False, **options) as live:
                yield lambda shown: live.update(shown, refresh=True)
        finally:
            self._live_console = None

    def _lines(self, rows: Sequence[Mapping[str, Any]]) -> None:
        for row in rows:
            self.data(row, "")
