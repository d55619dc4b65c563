"""Many recordings at once, each as if it were alone; what cannot be converted says why."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

# Where torch is missing, nothing below can be imported.
# ruff: noqa: E402
torch = pytest.importorskip("torch")

from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.conftest import needed
from tests.unit.worker.engine.rvc.tiny_index import write_index
from tests.unit.worker.engine.rvc.tiny_voice import write_voice
from tests.unit.worker.engine.rvc.voices_and_speech import loaded, speech
from worker.engine.rvc import host_pitch
from worker.engine.rvc.clip import Clip, Conversion
from worker.engine.rvc.content import Content
from worker.engine.rvc.converter import Converter
from worker.engine.rvc.errors import UnfitAudio, UnfitVoice
from worker.engine.rvc.pitch import Pitch
from worker.engine.rvc.resampling import resampled, resampled_together
from worker.engine.rvc.retrieval import Index
from worker.engine.rvc.rmvpe_file import read_rmvpe
from worker.engine.rvc.splitting import Splitting
from worker.engine.rvc.stretches import stretches
from worker.engine.rvc.synthesizer import Synthesizer
from worker.engine.rvc.voice import Voice

#: Forces cuts into seconds.
TIGHT = Splitting(pad_s=1, query_s=1, center_s=2, longest_s=3)


@pytest.fixture(scope="module")
def converter(wide_content: Content, rmvpe_file: Path) -> Converter:
    """That cuts what is longer than three seconds."""
    return Converter(wide_content, Pitch(read_rmvpe(rmvpe_file)), Synthesizer(), splitting=TIGHT)


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> list[Voice]:
    """Of both versions, three rates, with and without pitch; two have an index."""
    folder = tmp_path_factory.mktemp("voices")
    kinds = [("v2", 40000, True), ("v1", 48000, True), ("v2", 32000, False), ("v1", 40000, False)]
    widths = {1: 256, 2: 768}
    return [
        loaded(
            write_voice(folder / f"{seed}.pth", version, rate, f0=f0, seed=seed),
            write_index(folder / f"{seed}.index", widths[seed]) if seed in widths else None,
        )
        for seed, (version, rate, f0) in enumerate(kinds)
    ]


def test_a_batch_of_mixed_lengths_rates_and_voices_is_exact(converter, voices):
    clips = [
        Clip(
            resampled(speech(0.3 + 0.37 * (place % 11), seed=place), 16000, rate_hz),
            rate_hz,
            voices[place % 4],
            Conversion(rms_mix_rate=place % 3 / 2, length=("compat", "exact")[place % 2]),
            seed=place,
        )
        for place in range(32)
        for rate_hz in [(16000, 24000, 44100)[place % 3]]
    ]

    together = converter.convert(clips)

    for clip, found in zip(clips, together, strict=True):
        [alone] = converter.convert([clip])
        assert isinstance(found, Tensor) and isinstance(alone, Tensor)
        assert found.abs().max() > 0.001
        assert torch.allclose(found, alone, rtol=0, atol=1e-4)


@pytest.mark.parametrize("rate_hz", [8000, 16000, 22050, 48000])
@pytest.mark.parametrize("seconds", [0.031, 1.0, 7.77])
def test_an_exact_conversion_keeps_the_length(converter, voices, rate_hz, seconds):
    samples = resampled(speech(seconds), 16000, rate_hz)
    for voice in voices:
        how = Conversion(length="exact")

        [found] = converter.convert([Clip(samples, rate_hz, voice, how)])

        assert isinstance(found, Tensor)
        assert len(found) == round(len(samples) * voice.config.sample_rate_hz / rate_hz)


def test_seeds_decide_the_noise(converter, voices):
    one, two, other = converter.convert(
        [Clip(speech(0.6), 16000, voices[0], seed=seed) for seed in (1, 1, 2)]
    )

    # They lie in other places of the decoder's windows.
    assert torch.allclose(one, two, rtol=0, atol=1e-5)
    assert (one - other).abs().max() > 1e-3


def bad_clips(voice: Voice, silent: Voice) -> list[tuple[Clip, type[Exception], str]]:
    nan = speech(0.5)
    nan[77] = float("nan")
    loud = speech(0.5)
    loud[5] = float("inf")
    foreign = replace_index(voice, 32)
    deafening = speech(0.5) * 1e35
    return [
        (Clip(speech(1.0)[:18], 16000, voice), UnfitAudio, "18 samples at 16 kHz, and 19"),
        (Clip(torch.zeros(0), 16000, voice), UnfitAudio, "0 samples"),
        (Clip(speech(1.0)[:300], 16000, voice), UnfitAudio, "18 ms: too short"),
        (Clip(nan, 16000, voice), UnfitAudio, "not finite"),
        (Clip(loud, 44100, voice), UnfitAudio, "not finite"),
        (Clip(deafening, 24000, voice), UnfitAudio, "not finite"),
        (Clip(speech(0.5), 0, voice), UnfitAudio, "has 0 Hz"),
        (Clip(speech(0.5), 2**31, voice), UnfitAudio, "2147483648 Hz"),
        (Clip(speech(0.5), 16000, silent, Conversion(pitch=2.0)), UnfitVoice, "without pitch"),
        (Clip(speech(0.5), 16000, voice, Conversion(pitch="auto")), UnfitVoice, "is not known"),
        (Clip(speech(0.5), 16000, voice, speaker=9), UnfitVoice, "3 speakers, not 9"),
        (Clip(speech(0.5), 16000, foreign), UnfitVoice, "vectors of 32"),
    ]


def replace_index(voice: Voice, width: int) -> Voice:
    index = Index.__new__(Index)
    index.vectors = torch.zeros(1, width)
    return replace(voice, index=index)


def test_what_cannot_be_converted_says_why_and_harms_no_neighbour(converter, voices):
    bad = bad_clips(voices[0], voices[2])
    good = Clip(speech(0.7), 16000, voices[0])
    [alone] = converter.convert([good])

    *errors, found = converter.convert([clip for clip, _, _ in bad] + [good])

    assert torch.equal(found, alone)
    for error, (_, kind, text) in zip(errors, bad, strict=True):
        assert type(error) is kind
        assert text in str(error)


@pytest.mark.parametrize("kind", ["silence", "a constant", "stereo", "stereo at 8 kHz", "clipped"])
def test_odd_recordings_are_converted(converter, voices, kind):
    wave, rate_hz = speech(0.8), 16000
    if kind == "silence":
        wave = torch.zeros(12800)
    elif kind == "a constant":
        wave = torch.ones(12800)
    elif kind == "stereo":
        wave = torch.stack([wave, 0.5 * wave], dim=1)
    elif kind == "stereo at 8 kHz":
        wave, rate_hz = torch.stack([wave, 0.5 * wave], dim=1)[::2], 8000
    else:
        wave = (99 * wave).clamp(-1, 1)

    for found in converter.convert([Clip(wave, rate_hz, voice) for voice in voices]):
        assert isinstance(found, Tensor)
        assert found.isfinite().all()
        assert float(found.abs().max()) <= 0.99 + 1e-6


def test_the_pitch_of_the_speaker_is_brought_to_that_of_the_voice(converter, voices):
    needed("parselmouth")
    wave = speech(1.5)
    aimed = replace(voices[0], median_hz=280.0)
    how = Conversion(f0_method="pm")
    padded = torch.cat([wave.new_zeros(0), wave]).double().numpy()
    curve = host_pitch.praat_f0(padded, len(wave) // 160)
    semitones = round(12 * math.log2(280.0 / float(torch.tensor(curve[curve > 0]).median())))

    auto, fixed = converter.convert(
        [
            Clip(wave, 16000, aimed, replace(how, pitch="auto")),
            Clip(wave, 16000, aimed, replace(how, pitch=float(semitones))),
        ]
    )

    assert semitones > 6
    assert torch.equal(auto, fixed)


def test_a_method_that_is_not_installed_says_what_to_install(converter, voices, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyworld", None)
    clip = Clip(speech(0.5), 16000, voices[0], Conversion(f0_method="harvest"))

    [error] = converter.convert([clip])

    assert "needs pyworld" in str(error)
    assert "voicefarm[pitch]" in str(error)


def test_no_recordings_are_no_conversions(converter):
    assert converter.convert([]) == []


@given(st.integers(19, 10**6), st.lists(st.integers(1, 6000), max_size=5), st.booleans())
def test_stretches_keep_everything_once(samples, steps, exact):
    cuts = sorted({160 * step for step in steps if 160 * step < samples})

    planned = stretches(samples, 16000, cuts, exact=exact)

    kept = sum(one.keep[1] - one.keep[0] for one in planned)
    assert all(0 <= one.start < one.end <= samples + 32160 for one in planned)
    assert all(0 < one.keep[0] < one.keep[1] <= one.frames for one in planned)
    if exact:
        assert kept == -(-samples // 160)
    else:
        assert samples // 160 - 3 * (len(cuts) + 1) <= kept <= -(-samples // 160)


@pytest.mark.parametrize("rate_hz", [8000, 22050, 24000, 44100, 48000, 47999])
def test_resampling_keeps_what_is_heard(rate_hz):
    times = torch.arange(rate_hz // 2).double() / rate_hz
    wave = 0.5 * torch.sin(2 * torch.pi * 1234.5 * times)
    times = torch.arange(8000).double() / 16000

    found = resampled(wave, rate_hz, 16000)

    wanted = 0.5 * torch.sin(2 * torch.pi * 1234.5 * times)
    assert abs(len(found) - 8000) <= 1
    assert (found[:7900] - wanted[:7900])[200:].abs().max() < 2e-4


@pytest.mark.parametrize("rate_hz", [2001, 8000, 16000, 24000, 44100, 48000])
def test_waves_that_are_resampled_in_one_line_do_not_hear_one_another(rate_hz):
    waves = [1 + torch.randn(samples) for samples in (1, 700, 40, 2500, 3)]

    together = resampled_together(waves, rate_hz, 16000, torch.device("cpu"))

    for wave, found in zip(waves, together, strict=True):
        assert found.shape == resampled(wave, rate_hz, 16000).shape
        assert (found - resampled(wave, rate_hz, 16000)).abs().max() < 1e-5


def test_resampling_leaves_nothing_beyond_the_new_band():
    times = torch.arange(24000).double() / 48000

    found = resampled(torch.sin(2 * torch.pi * 9500 * times), 48000, 16000)

    assert found[200:-200].abs().max() < 2e-4
