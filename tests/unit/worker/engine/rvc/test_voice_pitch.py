"""The middle of a voice's pitch is found in a recording of it, as converters hear a speaker."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

# Where torch is missing, nothing below can be imported.
# ruff: noqa: E402
torch = pytest.importorskip("torch")

import soundfile
from torch import Tensor

from tests.unit.worker.engine.rvc.tiny_voice import write_voice
from tests.unit.worker.engine.rvc.voices_and_speech import loaded, speech
from worker.engine.rvc import voice_pitch
from worker.engine.rvc.clip import Clip, Conversion
from worker.engine.rvc.content import Content
from worker.engine.rvc.converter import Converter
from worker.engine.rvc.errors import UnfitAudio
from worker.engine.rvc.pitch import Pitch
from worker.engine.rvc.rmvpe_file import read_rmvpe
from worker.engine.rvc.synthesizer import Synthesizer
from worker.engine.rvc.voice_pitch import middle_of


@pytest.fixture(scope="module")
def pitch(rmvpe_file: Path) -> Pitch:
    return Pitch(read_rmvpe(rmvpe_file))


def written(file: Path, wave: Tensor, rate_hz: int = 16000) -> Path:
    soundfile.write(file, wave.numpy(), rate_hz, "FLOAT")
    return file


@pytest.mark.parametrize("semitones", [-5, 0, 7])
def test_a_speaker_is_moved_by_the_way_from_their_middle_to_the_voices(
    wide_content: Content, pitch: Pitch, tmp_path: Path, semitones: int
):
    # Given a voice so much higher than who speaks
    wave = speech(6.0)
    middle_hz = middle_of(written(tmp_path / "carl.wav", wave), pitch)
    voice = loaded(write_voice(tmp_path / "carl.pth"))
    aimed = replace(voice, median_hz=middle_hz * 2 ** (semitones / 12))
    converter = Converter(wide_content, pitch, Synthesizer())

    # When they are converted into it
    auto, moved = converter.convert(
        [
            Clip(wave, 16000, aimed, Conversion(pitch="auto")),
            Clip(wave, 16000, voice, Conversion(pitch=semitones)),
        ]
    )

    # Then it is as if somebody had said how far
    assert isinstance(auto, Tensor) and isinstance(moved, Tensor)
    assert torch.allclose(auto, moved, rtol=0, atol=1e-5)


def test_channels_are_their_mean_and_what_is_too_loud_is_made_quieter(pitch, tmp_path):
    wave = speech(6.0)
    plain = middle_of(written(tmp_path / "a.wav", 0.95 * wave / wave.abs().max()), pitch)

    loud = middle_of(written(tmp_path / "b.wav", torch.stack([6 * wave, 8 * wave], 1)), pitch)

    assert loud == pytest.approx(plain, rel=1e-3)


def test_what_comes_after_two_minutes_is_not_heard(pitch, tmp_path, monkeypatch):
    monkeypatch.setattr(voice_pitch, "LISTENED_S", 3)
    wave = speech(6.0)
    wave[48_000:] = torch.sin(torch.arange(48_000) / 5)

    found = middle_of(written(tmp_path / "long.wav", wave), pitch)

    assert found == middle_of(written(tmp_path / "short.wav", wave[:48_000]), pitch)


@pytest.mark.parametrize(
    ("wave", "words"),
    [
        (speech(0.4), r"0\.\d s of its first 120 s are voiced, and 1\.0 s are needed"),
        (torch.full((16000,), torch.nan), "not finite"),
        (torch.zeros(0), "0 samples at 16 kHz"),
    ],
)
def test_a_recording_without_a_voice_is_refused_by_its_name(pitch, tmp_path, wave, words):
    with pytest.raises(UnfitAudio, match=rf"odd\.wav: .*{words}"):
        middle_of(written(tmp_path / "odd.wav", wave), pitch)


def test_a_text_is_no_recording(pitch, tmp_path):
    (tmp_path / "text.wav").write_text("Dear diary")

    with pytest.raises(UnfitAudio, match=r"text\.wav"):
        middle_of(tmp_path / "text.wav", pitch)
