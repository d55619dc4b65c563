"""RMVPE's pitch is the peer's, alone and among others, and curves are bent as the peers do it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

# Where torch is missing, nothing below can be imported.
# ruff: noqa: E402
torch = pytest.importorskip("torch")

from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.conftest import needed
from worker.engine.errors import CheckpointError
from worker.engine.rvc.mel import mel_bands
from worker.engine.rvc.pitch import Pitch, pieces_of
from worker.engine.rvc.pitch_curve import bridged, coarse, semitones_between, shifted
from worker.engine.rvc.rmvpe import Rmvpe
from worker.engine.rvc.rmvpe_file import read_rmvpe

LENGTHS = (513, 5000, 16000, 20000, 48000)

curves = st.lists(st.sampled_from([0.0, 49.0, 50.0, 123.4, 440.0, 1100.0, 2000.0]), min_size=1)


def wave_of(samples: int) -> Tensor:
    """Noise, the same every time."""
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(samples))


@pytest.fixture(scope="module")
def pitch(rmvpe_file: Path) -> Pitch:
    """Ours."""
    return Pitch(read_rmvpe(rmvpe_file))


@pytest.mark.parametrize("samples", LENGTHS)
def test_the_pitch_is_the_peers(pitch, rmvpe, samples):
    wave = wave_of(samples)

    [found] = pitch.f0([wave])

    theirs = rmvpe.f0(wave)
    assert len(found) == samples // 160 + 1
    assert torch.equal(found > 0, theirs > 0)
    assert torch.allclose(found, theirs, rtol=1e-5, atol=0)


def test_some_of_it_is_voiced_and_some_is_not(pitch):
    [found] = pitch.f0([wave_of(48000)])

    assert 0.2 < (found > 0).double().mean() < 0.9


def test_a_batch_of_mixed_lengths_is_exact(pitch):
    waves = [wave_of(samples) for samples in LENGTHS]

    for wave, found in zip(waves, pitch.f0(waves), strict=True):
        [alone] = pitch.f0([wave])
        assert torch.equal(found > 0, alone > 0)
        assert torch.allclose(found, alone, rtol=1e-5, atol=0)


def test_a_line_that_is_filled_up_as_on_a_gpu_changes_nothing(pitch, monkeypatch):
    waves = [wave_of(samples) for samples in (5000, 48000, 20000)]
    plain = pitch.f0(waves)
    monkeypatch.setattr(pitch, "_is_gpu", True)

    for found, wanted in zip(pitch.f0(waves), plain, strict=True):
        assert torch.equal(found > 0, wanted > 0)
        assert torch.allclose(found, wanted, rtol=1e-5, atol=0)


def test_every_line_can_be_run_ahead(pitch, monkeypatch):
    widths = []
    heard = Rmvpe.heard

    def watched(network, spectrogram, line):
        widths.append(line.width)
        return heard(network, spectrogram, line)

    monkeypatch.setattr(Rmvpe, "heard", watched)
    monkeypatch.setattr(pitch, "_is_gpu", True)

    for samples in pitch.every_line(320 * 160):
        pitch.heard([torch.zeros(samples)])
    ahead = set(widths)
    pitch.f0([wave_of(5000), wave_of(20000)])

    assert set(widths) == ahead == {32, 64, 96, 128, 192, 256, 384}


def test_a_long_recording_is_computed_in_pieces(pitch, monkeypatch):
    wave = wave_of(160000)
    [whole] = pitch.f0([wave])
    for name, frames in (("_WHOLE", 400), ("_PIECE", 320), ("_AROUND", 160)):
        monkeypatch.setattr(f"worker.engine.rvc.pitch.{name}", frames)

    [found] = pitch.f0([wave])

    assert len(found) == len(whole)
    both = (found > 0) & (whole > 0)
    # What a piece does not see changes little, and nothing far away.
    assert ((found > 0) == (whole > 0)).double().mean() > 0.97
    assert (found - whole)[both].abs().median() < 0.01


@given(st.integers(1, 60000))
def test_the_kept_parts_of_pieces_follow_one_another(frames):
    pieces = pieces_of(frames)

    assert [piece.keep_from for piece in pieces] == [0] + [one.keep_to for one in pieces[:-1]]
    assert pieces[-1].keep_to == frames
    assert all(p.start <= p.keep_from < p.keep_to <= p.end <= frames for p in pieces)


def test_the_bands_are_those_of_librosa():
    librosa = needed("librosa")
    theirs = librosa.filters.mel(sr=16000, n_fft=1024, n_mels=128, fmin=30, fmax=8000, htk=True)

    assert np.allclose(mel_bands().numpy(), theirs, rtol=0, atol=1e-8)


@given(curves)
def test_steps_are_the_peers(curve):
    f0 = np.array(curve)
    lowest, highest = (1127 * np.log(1 + hz / 700) for hz in (50, 1100))
    mel = 1127 * np.log(1 + f0 / 700)
    mel[mel > 0] = (mel[mel > 0] - lowest) * 254 / (highest - lowest) + 1
    mel[mel <= 1], mel[mel > 255] = 1, 255

    assert coarse(torch.tensor(curve).double()).tolist() == np.rint(mel).astype(int).tolist()


@given(curves)
def test_bridges_are_straight_lines(curve):
    f0 = np.array(curve)
    voiced = np.flatnonzero(f0)
    wanted = np.interp(np.arange(len(f0)), voiced, f0[voiced]) if len(voiced) else f0

    assert np.allclose(bridged(torch.tensor(curve).double()).numpy(), wanted)


def test_an_octave_is_twelve_semitones():
    f0 = torch.tensor([0.0, 110.0, 220.0])

    assert shifted(f0, np.full(3, 12.0)).tolist() == [0.0, 220.0, 440.0]
    assert semitones_between(110.0, 220.0) == 12
    assert semitones_between(220.0, 207.65) == -1


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda state: state.pop("unet.decoder.layers.1.conv1.0.weight"), "0.weight is missing"),
        (lambda state: state.update({"more": torch.ones(1)}), "holds more"),
        (lambda state: state["cnn.bias"].fill_(float("inf")), "cnn.bias holds numbers"),
        (lambda state: state.clear(), "this is no model of RMVPE"),
    ],
)
def test_a_spoilt_file_is_refused_by_name(rmvpe, change, fault, tmp_path):
    state = {name: tensor.clone() for name, tensor in rmvpe.network.state_dict().items()}
    change(state)
    torch.save(state, tmp_path / "rmvpe.pt")

    with pytest.raises(CheckpointError, match=fault):
        read_rmvpe(tmp_path / "rmvpe.pt")
