"""A conversion is that of the peers, sample by sample, for every kind of voice and parameter.

Followed is `rvc_python`, which keeps upstream's code. Where the peers differ or are wrong:
`test_peer_differences`.

RMVPE's pitch is compared by itself, to a millionth, in `test_rvc_pitch`. The oscillator sums it up
over seconds, so that such a difference, which nobody hears, moves samples by more than two steps:
here the peer is given the pitch that we find, and one test lets it find its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

# Where torch is missing, nothing below can be imported.
# ruff: noqa: E402
torch = pytest.importorskip("torch")

from torch import Tensor

from tests.conftest import needed
from tests.unit.worker.engine.rvc.peer_conversion import Peer, steps_apart
from tests.unit.worker.engine.rvc.tiny_hubert import TinyHubert
from tests.unit.worker.engine.rvc.tiny_voice import UPSAMPLING, write_voice
from tests.unit.worker.engine.rvc.voices_and_speech import loaded, speech
from worker.engine.rvc.clip import Clip, Conversion
from worker.engine.rvc.content import Content
from worker.engine.rvc.content_file import read_content
from worker.engine.rvc.converter import Converter
from worker.engine.rvc.noise import no_noise
from worker.engine.rvc.pitch import Pitch
from worker.engine.rvc.rmvpe_file import read_rmvpe
from worker.engine.rvc.splitting import Splitting
from worker.engine.rvc.synthesizer import Synthesizer

#: In steps of 16 bit.
TOLERANCE = 2

#: Forces several cuts into ten seconds.
TIGHT = Splitting(pad_s=1, query_s=1, center_s=3, longest_s=4)

RMVPE = Conversion(pitch=3.0, index_rate=0.75)


class OurPitch:
    """Stands where the peers have their RMVPE."""

    def __init__(self, pitch: Pitch) -> None:
        self._pitch = pitch

    def infer_from_audio(self, wave: Any, **_: Any) -> Any:
        [found] = self._pitch.f0([torch.from_numpy(wave)])
        return found.numpy()


class Stage:
    """Voices, indexes, encoders and converters of this module, each made once."""

    def __init__(self, folder: Path, rmvpe: Any, rmvpe_file: Path) -> None:
        self.folder = folder
        self.rmvpe = rmvpe
        self.huberts = {"v1": TinyHubert(), "v2": TinyHubert(768, 2, 12)}
        self.contents = {
            version: Content(read_content(hubert.write_folder(folder / version)))
            for version, hubert in self.huberts.items()
        }
        self.pitch = Pitch(read_rmvpe(rmvpe_file))

    def voice(self, version: str, rate: int, *, f0: bool = True) -> tuple[Path, Path]:
        """The files of a voice: its index holds vectors near to what is said."""
        file = self.folder / f"{version}-{rate}-{f0}.pth"
        if not file.exists():
            write_voice(file, version, rate, f0=f0)
        return file, self.index(version)

    def index(self, version: str) -> Path:
        file = self.folder / f"{version}.index"
        if not file.exists():
            faiss = needed("faiss")
            [near] = self.contents[version].features([speech(3.0)], [version])
            generator = torch.Generator().manual_seed(1)
            rows = near[torch.randint(len(near), (600,), generator=generator)]
            rows = rows + 0.3 * near.std() * torch.randn(rows.shape, generator=generator)
            index = faiss.index_factory(rows.shape[1], "IVF15,Flat")
            index.train(rows.numpy())
            index.add(rows.numpy())
            faiss.write_index(index, str(file))
        return file

    def converter(self, version: str, splitting: Splitting) -> Converter:
        synthesizer = Synthesizer(noise=no_noise)
        return Converter(self.contents[version], self.pitch, synthesizer, splitting=splitting)

    def compare(
        self,
        wave: Tensor,
        how: Conversion,
        version: str = "v2",
        rate: int = 40000,
        *,
        f0: bool = True,
        splitting: Splitting | None = None,
        peer: Any = "rvc_python",
        shared_pitch: bool = True,
    ) -> tuple[Tensor, Any]:
        """What we make of it, and what the peer makes."""
        splitting = splitting or Splitting()
        file, index = self.voice(version, rate, f0=f0)
        pitch = OurPitch(self.pitch) if shared_pitch else self.rmvpe.judge()
        judge = Peer(peer, self.huberts[version], pitch, splitting)
        theirs = judge.convert(wave, file, index, how)
        [ours] = self.converter(version, splitting).convert(
            [Clip(wave, 16000, loaded(file, index), how)]
        )
        assert isinstance(ours, Tensor), ours
        return ours, theirs


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, rmvpe: Any, rmvpe_file: Path) -> Stage:
    return Stage(tmp_path_factory.mktemp("stage"), rmvpe, rmvpe_file)


@pytest.mark.parametrize(("version", "rate"), UPSAMPLING)
@pytest.mark.parametrize("f0", [True, False])
def test_every_kind_of_voice(stage, version, f0, rate):
    how = Conversion(pitch=3.0 if f0 else 0.0)

    ours, theirs = stage.compare(speech(1.5), how, version, rate, f0=f0)

    assert abs(theirs).max() > 1000
    assert steps_apart(ours, theirs) <= TOLERANCE


@pytest.mark.parametrize(
    "how",
    [
        Conversion(index_rate=0.0),
        Conversion(index_rate=1.0),
        Conversion(protect=0.5),
        Conversion(protect=0.0),
        Conversion(rms_mix_rate=1.0),
        Conversion(rms_mix_rate=0.0),
        Conversion(pitch=-5.0),
        Conversion(pitch=12.0),
        Conversion(resample_hz=16000),
        Conversion(resample_hz=44100),
        Conversion(f0_method="pm"),
        Conversion(f0_method="pm", pitch=12.0),
        Conversion(f0_method="harvest"),
        Conversion(f0_method="harvest", filter_radius=2),
    ],
    ids=str,
)
def test_every_parameter(stage, how):
    ours, theirs = stage.compare(speech(1.5), how)

    assert steps_apart(ours, theirs) <= TOLERANCE


@pytest.mark.parametrize("f0", [True, False])
@pytest.mark.parametrize("seconds", [7.0, 10.01])
def test_a_recording_that_is_cut(stage, seconds, f0):
    how = Conversion(pitch=3.0 if f0 else 0.0)

    ours, theirs = stage.compare(speech(seconds), how, f0=f0, splitting=TIGHT)

    assert steps_apart(ours, theirs) <= TOLERANCE


@pytest.mark.parametrize("samples", [700, 3999, 16001])
def test_odd_and_short_recordings(stage, samples):
    ours, theirs = stage.compare(speech(2.0)[:samples], RMVPE)

    assert steps_apart(ours, theirs) <= TOLERANCE


def test_a_pitch_that_each_finds_for_itself(stage):
    ours, theirs = stage.compare(speech(3.0), RMVPE, shared_pitch=False)

    theirs = torch.from_numpy(theirs) / 32768
    noise = (ours - theirs).square().mean()
    assert 10 * torch.log10(theirs.square().mean() / noise) > 60


def test_the_other_peer_where_both_agree(stage):
    how = Conversion(f0_method="pm", pitch=3.0)

    ours, theirs = stage.compare(speech(1.5), how, peer="infer_rvc_python")

    assert steps_apart(ours, theirs) <= TOLERANCE
