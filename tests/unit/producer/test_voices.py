"""The catalogue: what the farm cannot speak is refused before it is queued."""

from __future__ import annotations

import pytest

from producer.errors import InvalidJob
from producer.job import RvcSettings
from producer.voices import Catalogue, Offer, TargetVoice, Voice


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


@pytest.fixture
def converting() -> Catalogue:
    """Two workers, one of which converts."""
    targets = (
        TargetVoice(name="carl", revision="c", sample_rate_hz=40000),
        TargetVoice(name="flat", revision="f", sample_rate_hz=48000, has_pitch=False),
        TargetVoice(name="mute", revision="m", sample_rate_hz=40000, median_hz=None),
        TargetVoice(name="bass", revision="b", sample_rate_hz=40000, median_hz=98.5),
    )
    common = {"revision": "1", "languages": ("en",), "voices": ()}
    offers = [
        Offer(engine="fake", targets=targets, **common),
        Offer(engine="espeak", obstacle="models/rvc has no rmvpe.pt", **common),
    ]
    return Catalogue.decode({offer.engine: offer.model_dump_json() for offer in offers})


def test_a_voice_that_somebody_converts_into_passes(converting):
    # An older worker does not tell the middle of a voice's pitch: then it decides.
    for voice, pitch in (("carl", "auto"), ("flat", 0), ("mute", -3.5), ("bass", "auto")):
        converting.check_target(RvcSettings(voice=voice, pitch=pitch))

    assert [one.name for one in converting.targets] == ["bass", "carl", "flat", "mute"]


@pytest.mark.parametrize(
    ("voice", "pitch", "field", "words"),
    [
        ("karl", 0, "convert.voice", r"no RVC voice 'karl'.*Did you mean 'carl'"),
        ("flat", 2, "convert.pitch", "'flat' was trained without pitch"),
        ("flat", "auto", "convert.pitch", "'flat' was trained without pitch"),
        (
            "mute",
            "auto",
            "convert.pitch",
            "pitch of voice 'mute' is not known.*--pitch-from",
        ),
    ],
)
def test_a_conversion_that_nobody_can_do_is_refused(converting, voice, pitch, field, words):
    with pytest.raises(InvalidJob, match=words) as told:
        converting.check_target(RvcSettings(voice=voice, pitch=pitch))

    assert told.value.field == field


def test_a_voice_whose_file_cannot_be_used_is_refused_with_what_is_wrong():
    faults = {"faults": {"anna": "anna.saf: half"}, "target_faults": {"zoe": "zoe.saf: no voice"}}
    broken = Catalogue([Offer(engine="x", revision="1", languages=("en",), voices=(), **faults)])

    with pytest.raises(InvalidJob, match=r"'anna' cannot be used: anna\.saf: half"):
        broken.check("anna", "en")
    with pytest.raises(InvalidJob, match=r"'zoe' cannot be used: zoe\.saf: no voice"):
        broken.check_target(RvcSettings(voice="zoe"))


def test_where_nothing_is_converted_it_is_told_why(converting):
    lacking = Catalogue(offer for offer in converting.offers if offer.engine == "espeak")

    with pytest.raises(InvalidJob, match=r"models/rvc has no rmvpe\.pt"):
        lacking.check_target(RvcSettings(voice="carl"))


def test_where_no_worker_was_ever_ready_the_worker_decides_on_conversions_too():
    Catalogue(()).check_target(RvcSettings(voice="anybody", pitch="auto"))


def test_an_offer_of_an_older_worker_converts_into_nothing(catalogue):
    assert catalogue.targets == ()
