"""The manifest's text: whole, readable, and read by other versions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.job import speech_job
from worker.manifest import Facts, Manifest

finite = st.floats(allow_nan=False, allow_infinity=False)
manifests = st.builds(
    Manifest,
    engine=st.text(max_size=20),
    model_revision=st.text(max_size=20),
    created_at=finite,
    job=st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.text(max_size=20)),
    timings_s=st.dictionaries(st.sampled_from(["waited", "computed"]), finite),
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
