"""What the page on security claims is held by tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "security.md"

#: A test, and the file that it is said to be in.
CLAIMS = re.findall(r"`(test_\w+)` in \[[^\]]+\]\(([^)]+)\)", PAGE.read_text())


@pytest.mark.parametrize(("test", "file"), CLAIMS)
def test_a_test_that_is_named_is_where_it_is_said_to_be(test, file):
    assert f"def {test}(" in (PAGE.parent / file).read_text()


def test_every_danger_names_a_test():
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    dangers = [row for row in rows if not row.startswith("| danger |")]

    assert len(dangers) > 20
    assert [row for row in dangers if "`test_" not in row] == []
