"""Content keys: equal requests, equal keys; any difference that is heard, another key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.content_key import canonical, content_key, is_key, seed_of

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner),
    max_leaves=8,
)


@given(fields=st.dictionaries(st.text(min_size=1), PLAIN, max_size=5))
def test_the_order_of_fields_does_not_matter(fields):
    turned = dict(reversed(fields.items()))

    assert canonical(fields) == canonical(turned)


def test_the_key_of_a_known_request_never_changes():
    # A change here makes every stored file unknown: raise KEY_VERSION and say so.
    key = content_key(text="Hello", voice="anna", speed=1.0)

    assert key == "e5a00de0c25ee933a9d9d96eebbab7dcea6f5d02adcb7a8af4c41d711a537560"


@pytest.mark.parametrize(
    "other",
    [{"text": "b"}, {"text": "a", "speed": 1.1}, {"text": "a", "speed": None}, {"text": ["a"]}],
)
def test_another_request_has_another_key(other):
    assert content_key(**{"text": "a", "speed": 1, **other}) != content_key(text="a", speed=1)


def test_composed_and_decomposed_text_and_whole_floats_are_the_same_request():
    assert content_key(text="é", speed=1.0) == content_key(text="e\u0301", speed=1)


@given(text=st.text())
def test_a_key_is_64_hex_digits_and_its_seed_fits_63_bits(text):
    key = content_key(text=text)

    assert is_key(key)
    assert 0 <= seed_of(key) < 2**63


@pytest.mark.parametrize("other", ["", "a" * 63, "A" * 64, "../" + "a" * 61, "a" * 64 + "\n"])
def test_what_is_no_key_is_not_taken_for_one(other):
    assert not is_key(other)
