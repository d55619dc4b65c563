"""The job contract: strict, frozen, versioned, and the same JSON for ever."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from producer.assemble_job import AssembleJob
from producer.errors import InvalidJob, UnsupportedSchema
from producer.job import (
    ConvertJob,
    OutputSpec,
    RvcSettings,
    SpeechJob,
    assemble_job,
    decode,
    speech_job,
)
from producer.queues import Priority

GOLDEN = Path(__file__).parents[2] / "data" / "jobs"

EVERY_FIELD = SpeechJob(
    text="Olá, fazenda!",
    voice="anna",
    language="pt-br",
    priority=Priority.BATCH,
    output=OutputSpec(format="opus", sample_rate_hz=48000),
    speed=1.25,
    temperature=0.5,
    top_k=20,
    top_p=0.9,
    repetition_penalty=2.5,
    length_penalty=0.5,
    seed=7,
    convert=RvcSettings(voice="carl", pitch=-3.5, f0_method="harvest", protect=0.1),
)
ASSEMBLY = AssembleJob(
    batch="ab" * 12,
    format="opus",
    loudness="acx",
    subtitles="srt",
    sample_rate_hz=48000,
    allow_missing=True,
    title="Regen & Wind",
    author="Anna",
    cover="cd" * 32,
)
CONVERSION = ConvertJob(upload="ab" * 32, convert=RvcSettings(voice="carl", pitch="auto"))


@pytest.mark.parametrize(
    ("name", "job"),
    [
        ("speech-defaults", SpeechJob(text="Hello from the farm")),
        ("speech-every-field", EVERY_FIELD),
        ("convert", CONVERSION),
        ("assemble", ASSEMBLY),
    ],
)
def test_a_job_reads_and_writes_the_golden_file_of_its_version(name, job):
    golden = (GOLDEN / f"{name}.v1.json").read_text().strip()

    assert job.encode() == golden
    assert decode(golden) == job


@given(
    text=st.text(min_size=1, max_size=200).filter(lambda t: any(map(str.isalpha, t))),
    speed=st.floats(0.25, 4),
    seed=st.none() | st.integers(0, 2**63 - 1),
)
def test_decoding_what_was_encoded_gives_the_job_back(text, speed, seed):
    try:
        job = speech_job(text, speed=speed, seed=seed)
    except InvalidJob:
        return  # a text that the contract refuses

    assert decode(job.encode()) == job


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("text", {"text": ""}),
        ("text", {"text": "  \n\t "}),
        ("text", {"text": "?!… —"}),
        ("text", {"text": "nul \0 inside"}),
        ("text", {"text": "bell \x07 inside"}),
        ("text", {"text": "half a pair \ud800"}),
        ("text", {"text": "long " * 20_000}),
        ("text", {"text": 5}),
        ("text", {}),
        ("voice", {"text": "hi", "voice": "../etc/passwd"}),
        ("voice", {"text": "hi", "voice": "a/b"}),
        ("voice", {"text": "hi", "voice": "two words"}),
        ("voice", {"text": "hi", "voice": "dots..dots"}),
        ("voice", {"text": "hi", "voice": ""}),
        ("language", {"text": "hi", "language": "klingonese"}),
        ("language", {"text": "hi", "language": ""}),
        ("output.format", {"text": "hi", "format": "aac"}),
        ("output", {"text": "hi", "format": "opus", "sample_rate_hz": 44100}),
        ("output.sample_rate_hz", {"text": "hi", "sample_rate_hz": 1}),
        ("speed", {"text": "hi", "speed": 0}),
        ("speed", {"text": "hi", "speed": "fast"}),
        ("temperature", {"text": "hi", "temperature": float("nan")}),
        ("temperature", {"text": "hi", "temperature": 0}),
        ("top_k", {"text": "hi", "top_k": 0}),
        ("top_p", {"text": "hi", "top_p": 1.1}),
        ("seed", {"text": "hi", "seed": -1}),
        ("priority", {"text": "hi", "priority": "asap"}),
        ("sped", {"text": "hi", "sped": 1.0}),
        ("convert.voice", {"text": "hi", "convert": "../x"}),
        ("convert.pitch", {"text": "hi", "convert": {"voice": "carl", "pitch": 99}}),
    ],
)
def test_bad_input_is_refused_by_the_name_of_its_field(field, fields):
    with pytest.raises(InvalidJob) as refused:
        speech_job(**fields)

    assert refused.value.field.split(".")[0] == field.split(".")[0]
    assert str(refused.value).startswith(field)


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("batch", {"batch": "../../etc/passwd"}),
        ("batch", {"batch": "0" * 23}),
        ("cover", {"cover": "cover.jpg"}),
        ("format", {"format": "aac"}),
        ("loudness", {"loudness": "-14"}),
        ("subtitles", {"subtitles": "ass"}),
        ("title", {"title": "x" * 201}),
        ("sample_rate_hz", {"sample_rate_hz": 1}),
        ("job", {"format": "opus", "sample_rate_hz": 44100}),
        ("speed", {"speed": 2.0}),
    ],
)
def test_a_book_that_cannot_be_made_is_refused_by_the_name_of_its_field(field, fields):
    fields = dict(fields)

    with pytest.raises(InvalidJob) as refused:
        assemble_job(fields.pop("batch", "0" * 24), **fields)

    assert refused.value.field == field


def test_a_text_over_the_limit_is_told_which_command_takes_a_book():
    with pytest.raises(InvalidJob, match="voicefarm submit --pieces"):
        speech_job("word " * 20_000)


def test_names_known_from_openai_mean_the_same_job():
    ours = speech_job("hi", voice="anna", format="mp3", speed=1.5)

    theirs = speech_job(input="hi", voice="anna", response_format="mp3", speed=1.5)

    assert theirs == ours


def test_a_field_given_under_both_of_its_names_is_refused():
    with pytest.raises(InvalidJob, match="given twice"):
        speech_job("hi", input="hello")


def test_a_job_cannot_be_changed():
    job = speech_job("hi")

    with pytest.raises(ValidationError):
        job.text = "ho"


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_schema_version_is_refused_before_anything_else_is_read(version):
    fields = {**json.loads(SpeechJob(text="hi").encode()), "schema_version": version, "new": 1}

    with pytest.raises(UnsupportedSchema) as refused:
        decode(json.dumps(fields))

    assert refused.value.found == version


@pytest.mark.parametrize("wire", ["", "[]", "{not json", '{"schema_version": 1, "kind": "song"}'])
def test_what_is_no_job_is_refused_as_one(wire):
    with pytest.raises(InvalidJob):
        decode(wire)


@pytest.mark.parametrize("kind", [None, 3, [], {}, "song"])
def test_a_job_of_no_known_kind_is_refused(kind):
    with pytest.raises(InvalidJob, match="kind"):
        decode(json.dumps({"schema_version": 1, "kind": kind}))
