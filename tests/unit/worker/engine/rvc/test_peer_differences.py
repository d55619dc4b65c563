"""Where the peers differ from one another, or are wrong: which of them is followed, and why.

Upstream is followed, whose code `rvc_python` keeps, unless that gives no audio, or another's.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

# Where torch is missing, nothing below can be imported.
# ruff: noqa: E402
torch = pytest.importorskip("torch")

from torch import Tensor

from tests.conftest import needed
from tests.unit.worker.engine.rvc.peer_conversion import Peer, steps_apart
from tests.unit.worker.engine.rvc.peers import peer_module
from tests.unit.worker.engine.rvc.tiny_hubert import TinyHubert
from tests.unit.worker.engine.rvc.tiny_rmvpe import TinyRmvpe
from tests.unit.worker.engine.rvc.tiny_voice import write_voice
from tests.unit.worker.engine.rvc.voices_and_speech import loaded, speech
from worker.engine.rvc.clip import Clip, Conversion
from worker.engine.rvc.content import Content
from worker.engine.rvc.content_file import read_content
from worker.engine.rvc.converter import Converter
from worker.engine.rvc.errors import UnfitAudio
from worker.engine.rvc.host_pitch import world_f0
from worker.engine.rvc.index_file import read_index
from worker.engine.rvc.noise import no_noise
from worker.engine.rvc.pitch import Pitch
from worker.engine.rvc.retrieval import Index
from worker.engine.rvc.rmvpe_file import read_rmvpe
from worker.engine.rvc.splitting import Splitting
from worker.engine.rvc.synthesizer import Synthesizer

#: Forces several cuts into ten seconds.
TIGHT = Splitting(pad_s=1, query_s=1, center_s=3, longest_s=4)

#: With a pitch that all find alike, and without what smooths a difference over.
HOW = Conversion(f0_method="pm", index_rate=0.0, rms_mix_rate=1.0)


@pytest.fixture(scope="module")
def wide() -> TinyHubert:
    needed("transformers")
    return TinyHubert(768, 2, 12)


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_voice(tmp_path_factory.mktemp("voice") / "a.pth")


@pytest.fixture(scope="module")
def converter(wide: TinyHubert, rmvpe_file: Path, tmp_path_factory: pytest.TempPathFactory):
    content = Content(read_content(wide.write_folder(tmp_path_factory.mktemp("wide") / "a")))
    synthesizer = Synthesizer(noise=no_noise)
    return Converter(content, Pitch(read_rmvpe(rmvpe_file)), synthesizer, splitting=TIGHT)


def test_cuts_are_upstreams_where_magnitudes_are_least(converter, wide, voice):
    # Given a tone of 100 Hz: over 10 ms it is as loud anywhere, but its sum is nothing anywhere;
    # and in the middle of each stretch in which a cut is looked for, true quiet
    times = torch.arange(16000 * 8) / 16000
    wave = 0.3 * torch.sin(2 * torch.pi * 100 * times) + 0.02 * speech(8.0)
    for second in (3.3, 6.3):
        place = round(16000 * second)
        wave[place : place + 800] *= 0.01

    [ours] = converter.convert([Clip(wave, 16000, loaded(voice), HOW)])
    upstream, other = (
        Peer(name, wide, None, TIGHT).convert(wave, voice, None, HOW)
        for name in ("rvc_python", "infer_rvc_python")
    )

    # Then it is cut in the quiet, as upstream does. The other one cuts where the magnitude of the
    # sum is least, which a loud tone also reaches.
    assert isinstance(ours, Tensor)
    assert steps_apart(ours, upstream) <= 2
    assert len(upstream) != len(other) or np.abs(upstream.astype(int) - other).max() > 100


def test_what_fills_rmvpes_last_frames_up_is_upstreams(rmvpe, rmvpe_file):
    mirroring = TinyRmvpe(peer_module("infer_rvc_python", "lib.rmvpe"))
    wave = speech(3.0)[: 160 * 270]

    [ours] = Pitch(read_rmvpe(rmvpe_file)).f0([wave])

    upstream, other = rmvpe.f0(wave), mirroring.f0(wave)
    assert torch.allclose(ours, upstream, rtol=1e-5, atol=0)
    # The other one fills up with a mirror image. It is heard nowhere: a second there is cut off.
    assert torch.allclose(ours[:-100], other[:-100], rtol=1e-5, atol=0)
    assert not torch.equal(upstream, other)


@pytest.mark.parametrize(
    ("name", "path"),
    [("rvc_python", "modules.vc.pipeline"), ("infer_rvc_python", "root_pipe")],
)
def test_the_pitch_of_a_file_is_its_own_whatever_lay_there_before(name, path):
    for module in ("pyworld", "faiss", "parselmouth", "librosa"):
        needed(module)
    peer = peer_module(name, path)
    first, second = (speech(1.0, seed).double().numpy() for seed in (1, 2))
    second = second[::-1].copy()

    # Both peers remember the pitch by the path alone.
    theirs = []
    for wave in (first, second):
        peer.input_audio_path2wav["speech.wav"] = wave
        theirs.append(peer.cache_harvest_f0("speech.wav", 16000, 1100, 50, 10))
    ours = [world_f0(wave, len(wave) // 160, 2) for wave in (first, second)]

    assert np.array_equal(*theirs)
    assert not np.array_equal(*ours)
    frames = len(ours[0])
    assert np.allclose(ours[0], theirs[0][:frames])


def test_a_feature_that_is_in_the_index_is_found_and_no_number_is_lost(tmp_path):
    faiss = needed("faiss")
    vectors = np.random.default_rng(0).standard_normal((600, 32)).astype("f4")
    index = faiss.index_factory(32, "IVF15,Flat")
    index.train(vectors)
    index.add(vectors)
    faiss.write_index(index, str(tmp_path / "a.index"))

    # As every peer weighs what it finds: by one over the fourth power of the distance.
    score, _ = index.search(vectors[:50], k=8)
    with np.errstate(all="ignore"):
        weight = np.square(1 / score)
        weight /= weight.sum(axis=1, keepdims=True)
    found = Index(read_index(tmp_path / "a.index")).blend(torch.from_numpy(vectors[:50]), 1.0)

    assert np.isnan(weight).any(), "a distance of 0 must be among them"
    assert torch.allclose(found, torch.from_numpy(vectors[:50]), rtol=0, atol=1e-5)


def test_what_is_too_short_for_the_filter_says_so(converter, wide, voice):
    wave = speech(1.0)[:18]

    [ours] = converter.convert([Clip(wave, 16000, loaded(voice), HOW)])

    assert isinstance(ours, UnfitAudio)
    assert "18 samples at 16 kHz, and 19 are needed" in str(ours)
    with pytest.raises(ValueError, match="padlen"):
        Peer("rvc_python", wide, None, TIGHT).convert(wave, voice, None, HOW)
