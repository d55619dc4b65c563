"""The manifest's text: whole, readable, and read by other versions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.job import speech_job
from worker.manifest import SHOWN_DOUBTS, Doubt, Facts, Guarding, Manifest

finite = st.floats(allow_nan=False, allow_infinity=False)
doubts = st.builds(
    Doubt,
    chunk=st.integers(1, 1000),
    duration_s=finite,
    shortest_s=finite,
    longest_s=finite,
    truncated=st.booleans(),
)
manifests = st.builds(
    Manifest,
    engine=st.text(max_size=20),
    model_revision=st.text(max_size=20),
    created_at=finite,
    job=st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.text(max_size=20)),
    timings_s=st.dictionaries(st.sampled_from(["waited", "computed"]), finite),
    guarding=st.builds(
        Guarding,
        retakes=st.integers(0, 9),
        trimmed_s=finite,
        truncated=st.integers(0, 9),
        doubts=st.lists(doubts, max_size=3).map(tuple),
    ),
    content_key=st.just("ab" * 32),
    format=st.sampled_from(["wav", "flac", "mp3", "opus"]),
    sha256=st.just("cd" * 32),
    size_bytes=st.integers(0, 2**40),
    samples=st.integers(0, 2**40),
    sample_rate_hz=st.integers(8000, 96000),
)


@pytest.fixture
def manifest() -> Manifest:
    """Two seconds of a German sentence."""
    return Manifest(
        engine="espeak",
        model_revision="espeak-ng-1.52",
        created_at=1_700_000_000.5,
        job=speech_job("Grüße aus Köln", language="de").model_dump(mode="json"),
        timings_s={"waited": 0.25, "computed": 1.5},
        content_key="ab" * 32,
        format="wav",
        sha256="cd" * 32,
        size_bytes=96_044,
        samples=48_000,
        sample_rate_hz=24_000,
    )


@given(manifests)
def test_decode_reads_what_encode_wrote(manifest: Manifest) -> None:
    assert Manifest.decode(manifest.encode()) == manifest
    assert Manifest.decode(manifest.encode().encode()) == manifest


def test_a_person_can_read_it(manifest: Manifest) -> None:
    text = manifest.encode()

    assert "Grüße aus Köln" in text
    assert '\n  "duration_s": 2.0' in text


def test_a_field_of_a_newer_version_is_passed_over(manifest: Manifest) -> None:
    fields = {**json.loads(manifest.encode()), "loudness_lufs": -16.0}

    assert Manifest.decode(json.dumps(fields)) == manifest


def test_a_manifest_from_before_the_guard_is_read(manifest: Manifest) -> None:
    fields = without("guarding")(json.loads(manifest.encode()))

    assert Manifest.decode(json.dumps(fields)).guarding == Guarding()


def test_doubts_are_told_with_their_numbers_and_not_without_end() -> None:
    doubts = [
        Doubt(chunk=n, duration_s=14.25, shortest_s=0.84, longest_s=6.1, truncated=n == 1)
        for n in range(1, SHOWN_DOUBTS + 3)
    ]

    words = Guarding(doubts=tuple(doubts)).words

    assert words.startswith(
        "chunk 1: 14.2 s, 0.8 to 6.1 s are usual, cut off at the model's limit; chunk 2: 14.2 s"
    )
    assert words.endswith("; and 2 more")
    assert Guarding(doubts=tuple(doubts[:1])).words == str(doubts[0])
    assert Guarding().words == ""


def test_of_a_doubt_only_what_is_wrong_is_told() -> None:
    usual = {"chunk": 1, "duration_s": 2.0, "shortest_s": 1.0, "longest_s": 6.0, "truncated": False}

    fine = Doubt(**usual, silence_share=0.2)
    silent = Doubt(**usual, silence_share=0.912)
    loud = Doubt(**usual, clipped_share=0.0312, repeated_s=1.84)

    assert str(fine) == "chunk 1: 2.0 s, 1.0 to 6.0 s are usual"
    assert str(silent) == f"{fine}, 91% silent"
    assert str(loud) == f"{fine}, 3.1% clipped, its last 1.8 s repeat"


def without(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda fields: {key: value for key, value in fields.items() if key != name}


@pytest.mark.parametrize(
    "broken",
    [
        without("sha256"),
        lambda fields: {**fields, "manifest_version": 2},
        lambda fields: {**fields, "size_bytes": "many"},
        lambda fields: {**fields, "format": "exe"},
        lambda fields: [fields],
    ],
    ids=["no hash", "other version", "no number", "no format", "no object"],
)
def test_other_json_is_refused(manifest: Manifest, broken: Callable[[Any], Any]) -> None:
    text = json.dumps(broken(json.loads(manifest.encode())))

    with pytest.raises(ValueError):
        Manifest.decode(text)


@given(manifests, st.floats(0, 1, exclude_max=True))
def test_a_cut_off_text_is_refused(manifest: Manifest, share: float) -> None:
    data = manifest.encode().rstrip().encode()

    with pytest.raises(ValueError):
        Manifest.decode(data[: int(len(data) * share)])


def test_a_mistyped_fact_is_refused() -> None:
    with pytest.raises(ValueError, match="model_revison"):
        Facts.model_validate(
            {"engine": "e", "model_revison": "r", "created_at": 0, "job": {}, "timings_s": {}}
        )
