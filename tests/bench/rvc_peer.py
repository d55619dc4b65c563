"""A peer beside us on the same device, in the same run: rvc_python's own modules from its wheel.

As it runs: one recording after another, networks in half precision on a GPU with three seconds
around each stretch, weight norm not folded, the index read again for each recording.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from tests.unit.worker.engine.rvc.tiny_index import write
from tests.unit.worker.engine.rvc.tiny_voice import published
from worker.engine.rvc.noise import no_noise
from worker.engine.rvc.parcel import parcel
from worker.engine.rvc.synthesizer import Synthesizer
from worker.engine.rvc.voice_file import read_voice
from worker.engine.rvc.weights import prepare

from .librosa_standin import stand_in
from .rvc_floor import seconds
from .rvc_networks import TRUE_SHAPES, Shapes, index_of
from .rvc_scene import Scene, utterance_of, wave_of

#: What the peer cannot be measured without, and what it imports and does not call here.
_NEEDED = ("rvc_python", "transformers", "faiss", "scipy")
_NOT_CALLED = ("parselmouth", "pyworld")

#: Recordings of each length.
_CLIPS = 2

#: How far our synthesizer may be from the peer's in float32, without noise.
_LIMIT = 1e-4


class Peer:
    """Its networks on a device, with random weights."""

    def __init__(self, device: torch.device, shapes: Shapes, folder: Path, *, half: bool) -> None:
        from tests.unit.worker.engine.rvc.peers import peer_module

        for name in _NOT_CALLED:
            if name not in sys.modules and importlib.util.find_spec(name) is None:
                sys.modules[name] = ModuleType(name)
        torch.manual_seed(0)
        self.device, self.half = device, half
        self.dtype = torch.float16 if half else torch.float32
        self._is_true = shapes == TRUE_SHAPES
        self._module = peer_module
        self.voice = folder / "voice.pth"
        torch.save(published("v2", 40000, sizes=shapes.voice), self.voice)
        self.index = write(index_of(0, shapes.vectors), folder / "voice.index")
        self.hubert = self._placed(self._hubert(shapes))
        self.rmvpe = self._rmvpe()
        self.network = self._placed(self._synthesizer())

    def _placed(self, network: Any) -> Any:
        return network.eval().to(self.device, self.dtype)

    def _hubert(self, shapes: Shapes) -> Any:
        from transformers import HubertConfig, HubertModel

        channels, layers = shapes.content
        return HubertModel(HubertConfig(num_hidden_layers=layers, conv_dim=(channels,) * 7))

    def _rmvpe(self) -> Any:
        import numpy as np

        peer = self._module("rvc_python", "lib.rmvpe")
        pitch = peer.RMVPE.__new__(peer.RMVPE)
        sizes = (4, 1, (2, 2)) if self._is_true else (1, 1, (2, 2), 5, 1, 1, 2)
        pitch.model = self._placed(peer.E2E(*sizes))
        pitch.is_half, pitch.device, pitch.resample_kernel = self.half, str(self.device), {}
        mel = peer.MelSpectrogram(self.half, 128, 16000, 1024, 160, None, 30, 8000)
        pitch.mel_extractor = mel.to(self.device)
        pitch.cents_mapping = np.pad(20 * np.arange(360) + 1997.3794084376191, (4, 4))
        return pitch

    def _synthesizer(self) -> Any:
        found = torch.load(self.voice, weights_only=True)
        models = self._module("rvc_python", "lib.infer_pack.models")
        config = list(found["config"])
        config[-3] = len(found["weight"]["emb_g.weight"])
        network = models.SynthesizerTrnMs768NSFsid(*config, is_half=self.half)
        del network.enc_q
        network.load_state_dict(found["weight"], strict=True)
        return network

    def features(self, wave: Tensor) -> Tensor:
        """[1, frames, 768] of a wave on the device."""
        states = self.hubert(wave[None].to(self.dtype), output_hidden_states=True).hidden_states
        found: Tensor = states[-1]
        return found

    def spoken(self, features: Tensor, coarse: Tensor, f0_hz: Tensor) -> Tensor:
        """[samples] of features every 10 ms."""
        frames = torch.tensor([len(features)], device=self.device)
        speaker = torch.tensor([0], device=self.device)
        rows = (features[None].to(self.dtype), frames, coarse[None], f0_hz[None], speaker)
        found: Tensor = self.network.infer(*rows)[0][0, 0]
        return found

    def convert(self, wave: Tensor) -> Any:
        """The whole of its pipeline: [samples] int16 on the host."""
        pad, query, center, longest = (3, 10, 60, 65) if self.half else (1, 6, 38, 41)
        settings = SimpleNamespace(
            x_pad=pad, x_query=query, x_center=center, x_max=longest, is_half=self.half,
            device=str(self.device),
        )  # fmt: skip
        kind = self._module("rvc_python", "modules.vc.pipeline").Pipeline
        pipeline = kind(40000, settings, lib_dir=".")
        pipeline.model_rmvpe = self.rmvpe
        encoder = SimpleNamespace(extract_features=lambda source, **_: (self.features(source[0]),))
        return pipeline.pipeline(
            encoder, self.network, 0, wave.cpu().numpy().copy(), "wave", [0, 0, 0], 0, "rmvpe",
            str(self.index), 0.75, 1, 3, 40000, 0, 0.25, "v2", 0.33,
        )  # fmt: skip


def beside(
    device: torch.device, dtype: torch.dtype, shapes: Shapes, lengths_s: Sequence[float]
) -> bool:
    """Our synthesizer must be the peer's in float32; then how fast the peer is."""
    lacking = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if lacking:
        print(f"   left out: this machine has no {', '.join(lacking)}")
        return True
    if stand_in():
        print("   librosa cannot be imported here: its bands and loudness are numpy's, the same")
    with tempfile.TemporaryDirectory() as name, torch.no_grad():
        peer = Peer(device, shapes, Path(name), half=False)
        apart = _apart(peer, shapes)
        print(f"   synthesizer, float32, no noise: {apart:.1e} from the peer's, of {_LIMIT:.0e}")
        if dtype != torch.float32:
            del peer
            peer = Peer(device, shapes, Path(name), half=True)
        print(f"   rvc_python, {'fp16' if peer.half else 'fp32'}, one by one:")
        print(f"   {'stage':12} {'seconds':>7} {'clips':>5} {'ms':>9} {'x real time':>11}")
        for length_s in lengths_s:
            for stage, work in _stages(peer, length_s).items():
                took_s = seconds(work, device, 3) / _CLIPS
                print(
                    f"   {stage:12} {length_s:7.1f} {1:5} {1000 * took_s:9.2f} "
                    f"{length_s / took_s:11.0f}",
                    flush=True,
                )
    return apart < _LIMIT


def _apart(peer: Peer, shapes: Shapes) -> float:
    """Return how far our samples are from the peer's, same voice, same input, no noise."""
    found = read_voice(peer.voice)
    packed = parcel(prepare(found), torch.float32).moved(lambda memory: memory.to(peer.device))
    scene = Scene.of(peer.device, torch.float32, shapes, 0)
    [features] = scene.content.features([wave_of(3.0, peer.device, 0)], ["v2"])
    said = utterance_of(features, 0)
    assert said.coarse is not None and said.f0_hz is not None
    [ours] = Synthesizer(noise=no_noise).synthesize(found.config, packed.tree, [said])
    kept = torch.randn_like
    torch.randn_like = lambda like, **_: torch.zeros_like(like)  # type: ignore[assignment]
    try:
        theirs = peer.spoken(said.features, said.coarse, said.f0_hz)
    finally:
        torch.randn_like = kept
    first, last = (frame * found.config.samples_per_frame for frame in said.keep)
    return float((ours - theirs[first:last].float()).abs().max())


def _stages(peer: Peer, length_s: float) -> dict[str, Callable[[], object]]:
    waves = [wave_of(length_s, peer.device, seed) for seed in range(_CLIPS)]
    # It computes three seconds more at both ends, or one in float32.
    around = 16000 * (3 if peer.half else 1)
    padded = [torch.nn.functional.pad(wave, (around, around)) for wave in waves]
    said = [utterance_of(peer.features(wave)[0], seed) for seed, wave in enumerate(padded)]
    return {
        "content": lambda: [peer.features(wave) for wave in padded],
        "pitch": lambda: [peer.rmvpe.infer_from_audio(wave, thred=0.03) for wave in padded],
        "synthesizer": lambda: [
            peer.spoken(one.features, one.coarse, one.f0_hz)
            for one in said
            if one.coarse is not None and one.f0_hz is not None
        ],
        "end to end": lambda: [peer.convert(wave) for wave in waves],
    }
