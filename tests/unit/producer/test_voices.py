"""The catalogue: what the farm cannot speak is refused before it is queued."""

from __future__ import annotations

import pytest

from producer.errors import InvalidJob
from producer.voices import Catalogue, Offer, Voice


@pytest.fixture
def catalogue() -> Catalogue:
    offer = Offer(
        engine="fake",
        revision="1",
        languages=("en", "pt"),
        voices=(Voice(name="anna", revision="a", engine="fake"),),
    )
    return Catalogue.decode({"fake": offer.model_dump_json()})


def test_a_known_voice_and_language_pass(catalogue):
    catalogue.check("anna", "pt")


def test_an_unknown_voice_is_refused_with_the_nearest_name(catalogue):
    with pytest.raises(InvalidJob, match=r"no voice 'ana'.*'anna'"):
        catalogue.check("ana", "en")


def test_an_unknown_language_is_refused_with_those_that_are_spoken(catalogue):
    with pytest.raises(InvalidJob, match="'de'; these are spoken: en pt"):
        catalogue.check("anna", "de")


def test_where_no_worker_has_ever_been_ready_the_worker_decides():
    Catalogue(()).check("anybody", "xx")
