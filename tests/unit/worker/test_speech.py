"""The plan of a job: chunks in order, and keys that say what is the same audio."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.job import ConvertJob, OutputSpec, RvcSettings, SpeechJob, speech_job
from producer.queues import Priority
from worker.engine.errors import NoConversion, UnknownVoice
from worker.engine.model import ConversionOffer, ModelOffer, ModelVoice, TargetVoice
from worker.engine.request import ChunkRequest
from worker.planning import plan_job
from worker.speech import parts_of, plan_speech

LONG = " ".join(f"This is sentence number {n}." for n in range(40))


def offer(revision: str = "r1", voice_revision: str = "v1") -> ModelOffer:
    return ModelOffer(
        engine="fake",
        revision=revision,
        device="cpu",
        sample_rate_hz=24000,
        slots=4,
        languages=("en",),
        voices=(ModelVoice("default", voice_revision), ModelVoice("anna", "a1")),
    )


def key(job: SpeechJob, model: ModelOffer | None = None) -> str:
    return plan_speech("id", job, model or offer()).key


def test_the_chunks_say_the_whole_text_in_order():
    plan = plan_speech("id", speech_job(LONG), offer())

    assert " ".join(chunk.text for chunk in plan.chunks) == LONG
    assert [chunk.id for chunk in plan.chunks] == [f"id.{n}" for n in range(len(plan.chunks))]


def test_every_chunk_carries_what_decides_its_sound():
    job = speech_job("Hi.", voice="anna", speed=1.5, seed=3, priority=Priority.BATCH)

    [chunk] = plan_speech("id", job, offer()).chunks

    assert (chunk.voice, chunk.voice_revision) == ("anna", "a1")
    assert (chunk.seed, chunk.speed, chunk.interactive) == (3, 1.5, False)


def test_equal_jobs_have_equal_keys_and_seeds_wherever_and_whoever_asks():
    first = plan_speech("one", speech_job(LONG), offer())
    second = plan_speech("two", speech_job(LONG, priority=Priority.BATCH), offer())

    assert first.key == second.key
    assert [c.seed for c in first.chunks] == [c.seed for c in second.chunks]


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "Other words."},
        {"voice": "anna"},
        {"speed": 1.1},
        {"temperature": 0.6},
        {"seed": 5},
        {"language": "pt"},
        {"format": "flac"},
        {"sample_rate_hz": 16000},
    ],
)
def test_whatever_changes_the_file_changes_its_key(fields):
    assert key(speech_job(**{"text": "Same words.", **fields})) != key(speech_job("Same words."))


def test_another_model_or_another_sample_of_the_voice_is_another_file():
    job = speech_job("Same words.")

    keys = {key(job), key(job, offer(revision="r2")), key(job, offer(voice_revision="v2"))}

    assert len(keys) == 3


@given(st.text("ab 12.,!?", min_size=1, max_size=120).filter(lambda text: text.strip(" .,!?")))
def test_a_chunk_that_is_too_long_can_be_cut_until_nothing_is_left_to_cut(text):
    whole = ChunkRequest("job.3", text.strip(), "en", "anna", 7, {"speed": 2.0})

    waiting, uncut = [whole], []
    while waiting:
        chunk = waiting.pop(0)
        parts = parts_of(chunk)
        assert all(part.text and len(part.text) < len(chunk.text) for part in parts)
        waiting[:0] = parts
        uncut += [] if parts else [chunk]

    assert all(len(chunk.text) == 1 for chunk in uncut)
    letters = "".join(filter(str.isalnum, text))
    assert "".join(chunk.text for chunk in uncut) == letters
    assert len({chunk.id for chunk in uncut}) == len(uncut)
    assert {(chunk.voice, chunk.seed, chunk.speed) for chunk in uncut} == {("anna", 7, 2.0)}


def test_a_voice_that_the_engine_does_not_have_is_refused():
    with pytest.raises(UnknownVoice, match="'bert'"):
        plan_speech("id", speech_job("Hi.", voice="bert"), offer())


@pytest.mark.parametrize(
    "job",
    [
        speech_job("Hi.", convert="carl"),
        ConvertJob(upload="a" * 64, convert=RvcSettings(voice="carl")),
    ],
)
def test_conversion_is_refused_by_an_engine_that_cannot_convert(job):
    lacking = ConversionOffer("", (), "there is no rmvpe.pt")

    with pytest.raises(NoConversion, match="converts voices"):
        plan_job("id", job, offer())
    with pytest.raises(NoConversion, match=r"rmvpe\.pt"):
        plan_job("id", job, replace(offer(), conversion=lacking))


def converting(voice: str = "carl-1", converter: str = "rvc-1") -> ModelOffer:
    voices = (TargetVoice("carl", voice, 40000), TargetVoice("zoe", "zoe-1", 32000))
    return replace(offer(), conversion=ConversionOffer(converter, voices))


@pytest.mark.parametrize(
    "job",
    [
        speech_job("Hi.", convert="nobody"),
        ConvertJob(upload="a" * 64, convert=RvcSettings(voice="nobody")),
    ],
)
def test_a_voice_that_nobody_can_convert_into_is_refused(job):
    with pytest.raises(UnknownVoice, match="'nobody'"):
        plan_job("id", job, converting())


def test_what_is_converted_is_spoken_as_it_would_be_without():
    plain = plan_speech("id", speech_job(LONG), converting())
    other = plan_speech("id", speech_job(LONG, convert="carl"), converting())

    assert [replace(chunk, conversion=None) for chunk in other.chunks] == list(plain.chunks)
    assert (plain.sample_rate_hz, other.sample_rate_hz) == (24000, 40000)
    wanted = [chunk.conversion for chunk in other.chunks]
    assert {one.voice for one in wanted} == {"carl"}
    assert len({one.seed for one in wanted}) == len(wanted)


KINDS = {
    "speech": lambda **said: speech_job("Hi.", convert={"voice": "carl", **said}),
    "recording": lambda **said: ConvertJob(
        upload="a" * 64, convert=RvcSettings(**{"voice": "carl", **said})
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_everything_that_decides_a_conversion_decides_its_key(kind):
    job = KINDS[kind]
    same = plan_job("id", job(), converting()).key

    others = [
        plan_job("id", job(), converting(voice="carl-2")).key,
        plan_job("id", job(), converting(converter="rvc-2")).key,
        plan_job("id", job().model_copy(update={"seed": 5}), converting()).key,
        *(
            plan_job("id", job(**{name: value}), converting()).key
            for name, value in {
                "voice": "zoe", "pitch": 2, "index_rate": 0.5, "f0_method": "pm",
                "filter_radius": 2, "rms_mix_rate": 1, "protect": 0.5, "unvoiced": "interp",
                "length": "compat", "search": "exact", "speaker": 1,
            }.items()
        ),
    ]  # fmt: skip

    assert plan_job("another", job(), converting()).key == same
    assert same not in others
    assert len(set(others)) == len(others)
    assert len(RvcSettings.model_fields) == 11


def test_two_recordings_and_two_outputs_have_different_keys():
    def key_of(upload: str, **output: str) -> str:
        convert = RvcSettings(voice="carl")
        job = ConvertJob(upload=upload * 64, convert=convert, output=OutputSpec(**output))
        return plan_job("id", job, converting()).key

    assert len({key_of("a"), key_of("b"), key_of("a", format="flac")}) == 3
