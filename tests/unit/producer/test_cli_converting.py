"""`convert`, and `--convert` of `say` and `submit`: what is said reaches the job, or is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import click
import pytest

from producer.job import ConvertJob, RvcSettings
from producer.queues import Priority
from producer.voices import Catalogue, Offer, TargetVoice
from tests.unit.producer.cli_stage import AUDIO


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    file = tmp_path / "speech.wav"
    file.write_bytes(b"RIFF")
    return file


#: Every flag of a conversion, and what becomes of it.
SAID = {
    "--pitch": ("-3.5", "pitch", -3.5),
    "--index-rate": ("0.5", "index_rate", 0.5),
    "--f0-method": ("pm", "f0_method", "pm"),
    "--filter-radius": ("2", "filter_radius", 2),
    "--rms-mix-rate": ("1", "rms_mix_rate", 1.0),
    "--protect": ("0.5", "protect", 0.5),
    "--unvoiced": ("interp", "unvoiced", "interp"),
    "--length": ("compat", "length", "compat"),
    "--search": ("exact", "search", "exact"),
    "--speaker": ("2", "speaker", 2),
}
FLAGS = [word for flag, (text, *_) in SAID.items() for word in (flag, text)]
WANTED = RvcSettings(voice="carl", **{name: value for _, name, value in SAID.values()})


def test_a_recording_is_converted_and_copied(stage, recording, tmp_path):
    target = tmp_path / "carl.flac"

    code = stage.run("convert", str(recording), "--voice", "carl", "-o", str(target))

    [job] = stage.farm.asked
    assert (code, stage.out) == (0, f"{target}\n")
    assert target.read_bytes() == AUDIO
    assert isinstance(job, ConvertJob)
    assert job.upload == hashlib.sha256(b"RIFF").hexdigest()
    assert job.output.format == "flac"
    assert job.convert == RvcSettings(voice="carl")


def test_everything_that_is_said_of_a_conversion_reaches_its_job(stage, recording):
    others = ("--seed", "7", "--sample-rate", "16000", "--priority", "batch")

    code = stage.run("convert", str(recording), "--voice", "carl", *FLAGS, *others)

    [job] = stage.farm.asked
    assert code == 0
    assert job.convert == WANTED
    assert (job.seed, job.output.sample_rate_hz, job.priority) == (7, 16000, Priority.BATCH)


@pytest.mark.parametrize("command", ["say", "submit"])
def test_speech_is_converted_with_the_same_flags(stage, command):
    code = stage.run(command, "Hello", "--voice", "anna", "--convert", "carl", *FLAGS)

    [job] = stage.farm.jobs
    assert code == 0
    assert (job.voice, job.convert) == ("anna", WANTED)


def test_speech_is_left_as_it_is_without_them(stage):
    stage.run("say", "Hello")

    assert stage.farm.jobs[0].convert is None


def test_pitch_may_be_auto(stage, recording):
    stage.run("convert", str(recording), "--voice", "carl", "--pitch", "auto")

    assert stage.farm.asked[0].convert.pitch == "auto"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["say", "Hello", "--pitch", "3"], "--convert"),
        (["say", "Hello", "--index-rate", "1"], "--index-rate is for a conversion"),
        (["convert", "{file}"], "--voice"),
        (["convert", "nothing.wav", "--voice", "carl"], "nothing.wav"),
        (["convert", "{file}", "--voice", "carl", "--pitch", "high"], "neither a number nor auto"),
        (["convert", "{file}", "--voice", "carl", "--protect", "2"], "protect"),
        (["convert", "{file}", "--voice", "../carl"], "convert.voice"),
    ],
)
def test_what_makes_no_sense_is_refused_with_code_2_and_queues_nothing(
    stage, recording, arguments, words
):
    code = stage.run(*(argument.format(file=recording) for argument in arguments))

    assert code == 2
    assert words in stage.err
    assert stage.farm.asked == []


def test_rvc_voices_are_listed_beside_those_that_speak(stage):
    target = TargetVoice(name="carl", revision="c1", sample_rate_hz=40000)
    offer = Offer(engine="fake", revision="1", languages=("en",), voices=(), targets=(target,))
    stage.farm.catalogue = Catalogue([offer])

    stage.run("voices", "ls", "--json")

    [row] = [json.loads(line) for line in stage.out.splitlines()]
    assert (row["name"], row["engine"], row["sample_rate_hz"]) == ("carl", "rvc", 40000)


def test_voices_whose_files_cannot_be_used_are_told_of(stage):
    faults = {"faults": {"anna": "anna.safetensors: x"}, "target_faults": {"zoe": "zoe.saf: y"}}
    offer = Offer(engine="fake", revision="1", languages=("en",), voices=(), **faults)
    stage.farm.catalogue = Catalogue([offer])

    stage.run("voices", "ls")

    assert "anna cannot be used: anna.safetensors: x" in stage.err
    assert "zoe cannot be used: zoe.saf: y" in stage.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["voices", "add", "carl", "{file}", "--index", "{file}"], "--index"),
        (["voices", "add", "carl", "{file}", "--pitch-from", "{file}"], "--pitch-from"),
        (
            ["voices", "add", "carl", "{model}", "--pitch-hz", "99", "--pitch-from", "{file}"],
            "given by --pitch-hz or found by --pitch-from",
        ),
        (["voices", "add", "carl", "{model}", "{model}"], "one .pth file"),
        (["voices", "index", "{file}"], "-o"),
    ],
)
def test_a_command_that_mixes_kinds_of_voices_is_refused(stage, recording, arguments, words):
    model = recording.with_suffix(".pth")
    model.touch()

    code = stage.run(*(one.format(file=recording, model=model) for one in arguments))

    assert code == 2
    assert words in stage.err


def test_how_high_an_rvc_voice_is_reaches_the_worker(stage, recording, monkeypatch):
    told = []

    def hand_over(*said: str, **_: str) -> None:
        told.append(said)
        raise click.exceptions.Exit

    monkeypatch.setattr("producer.cli.voices.hand_over", hand_over)
    monkeypatch.chdir(recording.parent)
    recording.with_suffix(".pth").touch()
    model, name = recording.with_suffix(".pth").name, recording.name

    for given in (["--pitch-hz", "110"], ["--pitch-from", name]):
        stage.run("voices", "add", "carl", model, *given)

    whole = str(recording.with_suffix(".pth"))
    assert told[0] == ("voices", "add-rvc", "--pitch-hz=110.0", "--", "carl", whole)
    assert told[1][2:4] == ("--pitch-from", str(recording))
