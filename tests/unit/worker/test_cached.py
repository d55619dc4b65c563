"""What a client finds on the volume is what a worker would: both name files by the same keys."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from producer.batch.cached import Cache
from producer.batch.reading import Item
from producer.batch.survey import survey
from producer.job import SpeechJob, speech_job
from producer.voices import Catalogue
from producer.volumes import Volumes
from worker.announcer import offer_of
from worker.engine.model import ConversionOffer, ModelOffer, ModelVoice, TargetVoice
from worker.speech import plan_speech

TEXT = " ".join(f"This is sentence number {n}." for n in range(40))

OFFER = ModelOffer(
    engine="fake",
    revision="r1",
    device="cpu",
    sample_rate_hz=24000,
    slots=4,
    languages=("en", "de"),
    voices=(ModelVoice("default", "v1"), ModelVoice("anna", "a1")),
    conversion=ConversionOffer("rvc-1", (TargetVoice("carl", "carl-1", 40000),)),
)

JOBS = [
    speech_job("Hi."),
    speech_job(TEXT, voice="anna", speed=1.5, seed=3),
    speech_job(TEXT, language="de", format="mp3"),
    speech_job(TEXT, convert={"voice": "carl", "pitch": 2}),
]


@pytest.fixture
def volumes(tmp_path) -> Volumes:
    volumes = Volumes(tmp_path)
    volumes.make()
    return volumes


def cache(volumes: Volumes, *offers: ModelOffer) -> Cache:
    return Cache(Catalogue(map(offer_of, offers)), volumes)


def put(volumes: Volumes, job: SpeechJob, offer: ModelOffer) -> None:
    """What a worker leaves of a job."""
    entry = volumes.entry(plan_speech("id", job, offer).key)
    entry.mkdir(parents=True)
    (entry / "job.json").write_text("{}")


@pytest.mark.parametrize("guarded", [True, False])
@pytest.mark.parametrize("job", JOBS)
def test_what_a_worker_has_made_is_found_and_nothing_else(volumes, job, guarded):
    offer = replace(OFFER, guarded=guarded)
    put(volumes, job, offer)

    found = cache(volumes, offer)

    assert found.has(job)
    assert not any(found.has(other) for other in JOBS if other is not job)
    assert not cache(volumes, replace(offer, revision="r2")).has(job)
    assert not cache(volumes, replace(offer, guarded=not guarded)).has(job)
    assert cache(volumes, replace(offer, engine="other", revision="r2"), offer).has(job)


def test_a_survey_counts_what_is_there_and_only_where_it_can_be_seen(volumes, tmp_path):
    put(volumes, JOBS[1], OFFER)
    items = [Item(str(n), "", job) for n, job in enumerate(JOBS)]

    found = survey(items, cache(volumes, OFFER))

    assert (found.items, found.cached) == (4, 1)
    assert 0 < found.cached_s < found.audio_s
    assert survey(items, cache(volumes)).cached is None
    assert survey(items, cache(Volumes(tmp_path / "elsewhere"), OFFER)).cached is None
    assert survey(items).cached is None


def test_of_a_worker_that_does_not_say_what_its_keys_are_made_of_nothing_is_known(volumes):
    older = offer_of(OFFER).model_dump(exclude={"guard", "converter"})

    assert not Cache(Catalogue.decode({"fake": json.dumps(older)}), volumes).is_visible
