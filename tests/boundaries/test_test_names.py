"""pytest knows a test file by its name alone: two of one name end the whole run."""

from __future__ import annotations

from collections import Counter

from tests.conftest import CHECKOUT


def test_every_test_file_has_a_name_of_its_own():
    names = Counter(file.name for file in (CHECKOUT / "tests").rglob("test_*.py"))

    assert [name for name, times in names.items() if times > 1] == []
