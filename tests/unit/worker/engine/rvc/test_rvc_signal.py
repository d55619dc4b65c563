"""Filter, edges, cuts and loudness are those of the peers."""

from __future__ import annotations

import numpy as np
import pytest

# Where torch is missing, nothing below can be imported.
# ruff: noqa: E402
torch = pytest.importorskip("torch")

from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.conftest import needed
from worker.engine.rvc import highpass
from worker.engine.rvc.highpass import high_passed
from worker.engine.rvc.loudness import limited, mixed
from worker.engine.rvc.splitting import Splitting, cuts, mirrored


def wave_of(samples: int, offset: float = 0.05) -> Tensor:
    """Noise over a constant, the same every time."""
    generator = torch.Generator().manual_seed(samples)
    return 0.1 * torch.randn(samples, generator=generator, dtype=torch.float64) + offset


def test_waves_are_filtered_together_as_scipy_does_each():
    signal = needed("scipy.signal")
    # More than are transformed at once, the longest neither first nor last.
    lengths = (19, 100, 48000, 5000, 200, 300, 400, 500, 600, 700)
    waves = [wave_of(samples) for samples in lengths]
    coefficients = signal.butter(N=5, Wn=48, btype="high", fs=16000)

    for wave, found in zip(waves, high_passed(waves), strict=True):
        theirs = signal.filtfilt(*coefficients, wave.numpy())
        # The coefficients that scipy computes with are good for eight digits.
        assert np.allclose(found.numpy(), theirs, rtol=0, atol=1e-7)


@pytest.mark.parametrize("count", [1, 3, 9, 11])
def test_waves_that_are_filled_up_with_silence_are_what_they_were(count, monkeypatch):
    waves = [wave_of(500 + 70 * number) for number in range(count)]
    wanted = high_passed(waves)

    monkeypatch.setattr(highpass, "few_shapes_on", lambda device: True)

    for one, found in zip(wanted, high_passed(waves), strict=True):
        assert (one - found).abs().max() < 1e-12


def test_only_a_loud_wave_is_made_quieter_before():
    quiet, loud = wave_of(900), 8 * wave_of(500)
    divisor = loud.abs().max() / 0.95

    found = high_passed([quiet, loud], 0.95)

    assert divisor > 1
    for one, wanted in zip(found, high_passed([quiet, loud / divisor]), strict=True):
        assert (one - wanted).abs().max() < 1e-12


@given(st.integers(2, 400), st.integers(0, 900))
def test_edges_are_mirrored_as_numpy_does(samples, width):
    wave = wave_of(samples)

    assert np.array_equal(mirrored(wave, width), np.pad(wave, (width, width), mode="reflect"))


@settings(max_examples=20, deadline=None)
@given(st.integers(20000, 110000))
def test_cuts_are_upstreams(samples):
    wave = wave_of(samples, offset=0.0)
    t_query, t_center, window = 16000, 32000, 160
    padded = np.pad(wave.numpy(), (window // 2, window // 2), mode="reflect")
    sums = sum(np.abs(padded[i : i - window]) for i in range(window))
    theirs = [
        t - t_query + int(np.argmin(sums[t - t_query : t + t_query]))
        for t in range(t_center, samples, t_center)
    ]

    found = list(cuts(wave, Splitting(pad_s=1, query_s=1, center_s=2, longest_s=3)))

    assert found == ([cut // 160 * 160 for cut in theirs] if samples + 160 > 48000 else [])


@pytest.mark.parametrize("rate_hz", [32000, 40000, 44100])
@pytest.mark.parametrize("mix_rate", [0.0, 0.25, 1.0])
def test_loudness_is_mixed_as_librosa_measures_it(rate_hz, mix_rate):
    librosa = needed("librosa")
    source, output = wave_of(41000), wave_of(3 * rate_hz + 77, offset=0.0).float()

    def measured(wave: Tensor, rate: int) -> Tensor:
        frames = librosa.feature.rms(
            y=wave.numpy(), frame_length=rate // 2 * 2, hop_length=rate // 2
        )
        return torch.nn.functional.interpolate(
            torch.from_numpy(frames)[None], size=len(output), mode="linear"
        )[0, 0]

    theirs = (
        output
        * measured(source, 16000) ** (1 - mix_rate)
        * (measured(output, rate_hz).clamp_min(1e-6) ** (mix_rate - 1))
    )

    [found] = mixed([source], 16000, [output], rate_hz, [mix_rate])

    assert torch.allclose(found, theirs.float(), rtol=0, atol=1e-6)


def test_loudness_is_that_of_a_recording_alone_whoever_is_beside_it():
    lengths, mix_rates = (16000, 700, 40077, 24000), (0.0, 0.25, 1.0, 0.5)
    sources = [wave_of(length) for length in lengths]
    outputs = [wave_of(2 * length, offset=0.0).float() for length in lengths]

    rows = mixed(sources, 16000, outputs, 32000, mix_rates)

    for row, source, output, rate in zip(rows, sources, outputs, mix_rates, strict=True):
        [alone] = mixed([source], 16000, [output], 32000, [rate])
        assert torch.allclose(row[: len(output)], alone, rtol=0, atol=1e-6)


def test_only_what_is_too_loud_is_scaled():
    quiet, loud = torch.tensor([0.5, -0.98]), torch.tensor([0.5, -2.0])

    assert torch.equal(limited(quiet), quiet)
    assert torch.allclose(limited(loud), torch.tensor([0.2475, -0.99]))
    assert len(limited(torch.zeros(0))) == 0
