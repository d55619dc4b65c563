"""Names of voices: plain, unique, and the same on every worker."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from producer.voices import check_name  # noqa: E402
from worker.engine.xtts.speakers import Speaker  # noqa: E402
from worker.engine.xtts.voices import by_name  # noqa: E402


def speakers(*names: str) -> dict[str, Speaker]:
    """Voices that all differ."""
    return {
        name: Speaker.of(torch.full((32, 4), float(at)), torch.zeros(4))
        for at, name in enumerate(names)
    }


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("Claribel Dervla", "claribel-dervla"),
        ("Zofija Kendrick", "zofija-kendrick"),
        ("Ígor  Ñandú", "igor-nandu"),
        ("../etc/passwd", "etc-passwd"),
        ("x" * 200, "x" * 64),
    ],
)
def test_a_name_becomes_one_that_a_job_may_carry(given, plain):
    named = by_name(speakers(given))

    assert set(named) == {plain, "default"}
    assert check_name("voice", plain) == plain


def test_the_first_by_name_is_the_default():
    named = by_name(speakers("Bob", "Alice"))

    assert named["default"] is named["alice"]


def test_a_voice_that_is_called_default_keeps_its_name():
    given = speakers("Alice", "Default")

    assert by_name(given)["default"] is given["Default"]


@pytest.mark.parametrize("names", [("Ana", "Aná"), ("声", "音"), ("x" * 64 + "1", "x" * 64 + "2")])
def test_no_voice_is_lost_to_another(names):
    given = speakers(*names)

    named = by_name(given)

    assert {one.revision for one in named.values()} == {one.revision for one in given.values()}
    assert all(check_name("voice", name) for name in named)


def test_the_order_in_the_file_does_not_matter():
    given = speakers("Ana", "Aná", "Bob")

    assert by_name(given) == by_name(dict(reversed(given.items())))


def test_without_voices_there_is_no_default():
    assert by_name({}) == {}
