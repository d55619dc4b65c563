"""Voices of people's recordings: judged first, kept by name, and spoken with by the engine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("torch")

from click.testing import CliRunner, Result
from safetensors.numpy import save_file

from tests.unit.worker.engine.xtts import tiny_checkpoint
from worker.cloning import add_voice, judged, library_of
from worker.config import WorkerSettings
from worker.engine.errors import LibraryError
from worker.engine.registry import build
from worker.errors import UnfitRecordings, WorkerError
from worker.voice_commands import voices

RATE_HZ = 16000


@pytest.fixture
def settings(tmp_path, monkeypatch) -> WorkerSettings:
    """A farm with a tiny model and no voices of its own."""
    monkeypatch.setenv("VOICEFARM_HOME", str(tmp_path))
    tiny_checkpoint.write_checkpoint(tmp_path / "models" / "xtts")
    return WorkerSettings.load()


def recording(file: Path, seconds: float = 7.0, loudness: float = 0.3, seed: int = 0) -> Path:
    """A file with noise that comes and goes."""
    moments = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    noise = np.random.default_rng(seed).standard_normal(len(moments)) * np.sin(moments * 9)
    soundfile.write(file, (noise / np.abs(noise).max() * loudness).astype(np.float32), RATE_HZ)
    return file


def rewrite(file: Path, **changes: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(voices, [str(argument) for argument in arguments])


def spoken_voices(settings: WorkerSettings) -> dict[str, str]:
    """What the engine offers, by name."""
    models = settings.home / "models"
    model = build(
        "xtts",
        {
            "directory": str(models / "xtts"),
            "voices_directory": str(models / "voices"),
            "device": "cpu",
            "slots": 1,
        },
    )
    model.load()
    offered = {voice.name: voice.revision for voice in model.offer().voices}
    model.close()
    return offered


def test_a_voice_that_is_added_is_offered_and_one_that_is_removed_is_not(settings, tmp_path):
    add_voice(settings, "anna", [recording(tmp_path / "a.wav")])
    with_anna = spoken_voices(settings)
    library_of(settings).remove("anna")

    assert "anna" in with_anna
    assert spoken_voices(settings).keys() == with_anna.keys() - {"anna"}


def test_a_changed_sample_is_another_voice_and_the_same_one_is_not(settings, tmp_path):
    files = [recording(tmp_path / "a.wav"), recording(tmp_path / "b.wav", seed=1)]

    first = add_voice(settings, "anna", files[:1])
    revision = spoken_voices(settings)["anna"]
    again = add_voice(settings, "anna", files[:1])
    same_revision = spoken_voices(settings)["anna"]
    other = add_voice(settings, "anna", files[1:])

    assert first.key == again.key != other.key
    assert revision == same_revision != spoken_voices(settings)["anna"]


def test_a_card_says_where_a_voice_comes_from_but_not_which_file(settings, tmp_path):
    card = add_voice(settings, "anna", [recording(tmp_path / "private-name.wav")])

    assert card.samples[0].duration_s == 7.0
    assert "agrees" in card.consent
    assert "private-name" not in card.model_dump_json()


@pytest.mark.parametrize("change", ["model", "hearing"])
def test_a_voice_that_another_model_would_make_otherwise_is_left_out(settings, tmp_path, change):
    add_voice(settings, "anna", [recording(tmp_path / "a.wav")])
    directory = tmp_path / "models" / "xtts"

    if change == "model":
        tiny_checkpoint.write_checkpoint(tmp_path / "other", seed=1)
        (tmp_path / "other" / "model.pth").replace(directory / "model.pth")
    else:
        rewrite(directory / "config.json", gpt_cond_len=12)

    assert "anna" not in spoken_voices(settings)


def test_what_has_no_part_in_a_voice_may_change(settings, tmp_path):
    add_voice(settings, "anna", [recording(tmp_path / "a.wav")])
    directory = tmp_path / "models" / "xtts"

    rewrite(directory / "config.json", temperature=0.5, repetition_penalty=3.0)
    vocabulary = directory / "vocab.json"
    vocabulary.write_text(vocabulary.read_text() + "\n")

    assert "anna" in spoken_voices(settings)


@pytest.mark.parametrize(
    ("seconds", "loudness", "fault"),
    [(1.0, 0.3, "too short"), (7.0, 0.001, "silent")],
)
def test_recordings_that_are_not_fit_are_refused_with_the_reason(
    settings, tmp_path, seconds, loudness, fault
):
    file = recording(tmp_path / "a.wav", seconds, loudness)

    with pytest.raises(UnfitRecordings, match=f"a.wav: {fault}"):
        add_voice(settings, "anna", [file])
    assert not library_of(settings).cards()


def test_a_clipped_recording_and_a_text_are_told_apart(tmp_path):
    loud = tmp_path / "loud.wav"
    square = np.sign(np.sin(np.arange(7 * RATE_HZ) / 20)).astype(np.float32)
    soundfile.write(loud, square, RATE_HZ, subtype="FLOAT")
    text = tmp_path / "text.wav"
    text.write_text("this is no audio")

    clipped, unreadable = judged([loud, text])

    assert any("clipped" in fault for fault in clipped.faults)
    assert any("no audio file" in fault for fault in unreadable.faults)


def test_a_name_that_is_a_path_is_refused(settings, tmp_path):
    with pytest.raises(LibraryError, match="no voice's name"):
        add_voice(settings, "../anna", [recording(tmp_path / "a.wav")])


def test_without_a_model_no_voice_is_made(tmp_path, monkeypatch):
    monkeypatch.setenv("VOICEFARM_HOME", str(tmp_path))

    with pytest.raises(WorkerError, match=r"has no config.json, model.pth, vocab.json"):
        add_voice(WorkerSettings.load(), "anna", [recording(tmp_path / "a.wav")])


def test_the_commands_tell_in_lines_or_json(settings, tmp_path):
    good, short = recording(tmp_path / "a.wav"), recording(tmp_path / "b.wav", 1.0)

    added = run("add", "--json", "anna", good)
    checked = run("check", "--json", short)
    removed = run("rm", "anna")
    missing = run("rm", "anna")

    assert json.loads(added.stdout.splitlines()[0])["name"] == "anna"
    assert json.loads(checked.stdout)["fit"] is False
    assert removed.stdout == "removed anna\n"
    assert missing.exit_code == 1
    assert "there is no voice 'anna'" in missing.stderr


def test_a_broken_file_or_one_with_another_name_harms_no_other_voice(settings, tmp_path):
    for name in ("anna", "bert", "carl"):
        add_voice(settings, name, [recording(tmp_path / "a.wav")])
    kept = settings.home / "models" / "voices"
    metadata = {"voicefarm": library_of(settings).read("bert").card.model_dump_json()}
    save_file({"latents": np.zeros(1, np.float32)}, kept / "bert.safetensors", metadata)
    (kept / "carl.safetensors").rename(kept / "dora.safetensors")

    offered = spoken_voices(settings)

    assert "anna" in offered
    assert not offered.keys() & {"bert", "carl", "dora"}


def test_a_light_farm_runs_without_what_voices_need_and_says_what_it_is():
    # Given an environment without safetensors, in a fresh interpreter
    program = (
        "import sys; sys.modules['safetensors'] = None\n"
        "from click.testing import CliRunner\n"
        "from worker.__main__ import worker\n"
        "print(CliRunner().invoke(worker, ['voices', 'rm', 'anna']).stderr)"
    )

    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert "safetensors is missing: pip install" in said.stdout
