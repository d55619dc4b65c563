"""A whole conversion by a peer: its pipeline and its networks, on the files that ours reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.unit.worker.engine.rvc.peers import PeerName, peer_module, peer_pipeline
from tests.unit.worker.engine.rvc.tiny_hubert import TinyHubert
from worker.engine.rvc.clip import Conversion
from worker.engine.rvc.splitting import Splitting


@dataclass(frozen=True)
class Peer:
    """One of the peers, with a content encoder and a pitch network that are given to it."""

    name: PeerName
    hubert: TinyHubert
    rmvpe: Any
    splitting: Splitting

    def convert(self, wave: Tensor, voice: Path, index: Path | None, how: Conversion) -> Any:
        """What it makes of a wave at 16 kHz: [samples] int16, its noise left out."""
        found = torch.load(voice, weights_only=True)
        rate = found["config"][-1]
        pipeline = peer_pipeline(self.name)(rate, self._configuration())
        pipeline.model_rmvpe = self.rmvpe
        # The first argument after the pitch method is the index, '' for none.
        with _without_noise():
            return pipeline.pipeline(
                _Encoder(self.hubert), self._network(found), 0, wave.numpy().copy(),
                f"{id(wave)}-{how.f0_method}", [0, 0, 0], how.pitch, how.f0_method,
                str(index or ""), how.index_rate, found["f0"], how.filter_radius, rate,
                how.resample_hz, how.rms_mix_rate, found["version"], how.protect,
            )  # fmt: skip

    def _configuration(self) -> SimpleNamespace:
        cut = self.splitting
        return SimpleNamespace(
            x_pad=cut.pad_s, x_query=cut.query_s, x_center=cut.center_s, x_max=cut.longest_s,
            is_half=False, device="cpu",
        )  # fmt: skip

    def _network(self, found: dict[str, Any]) -> Any:
        models = peer_module(self.name, "lib.infer_pack.models")
        width = {"v1": "256", "v2": "768"}[found["version"]]
        kind = getattr(models, f"SynthesizerTrnMs{width}NSFsid{'' if found['f0'] else '_nono'}")
        config = list(found["config"])
        config[-3] = found["weight"]["emb_g.weight"].shape[0]
        network = kind(*config, is_half=False)
        del network.enc_q
        network.load_state_dict(found["weight"], strict=True)
        return network.eval().float()


class _Encoder:
    """The two methods of fairseq's model that the peers call."""

    def __init__(self, hubert: TinyHubert) -> None:
        self._hubert = hubert

    def extract_features(self, source: Tensor, output_layer: int, **_: Any) -> tuple[Tensor, None]:
        states = self._hubert.model(source.float(), output_hidden_states=True).hidden_states
        return states[min(output_layer, len(states) - 1)], None

    def final_proj(self, x: Tensor) -> Tensor:
        return self._hubert.projection(x)


@contextmanager
def _without_noise() -> Iterator[None]:
    kept = torch.randn_like, torch.rand
    torch.randn_like = lambda like, **_: torch.zeros_like(like)  # type: ignore[assignment]
    torch.rand = lambda *shape, **_: torch.zeros(*shape)  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.randn_like, torch.rand = kept


def steps_apart(ours: Tensor, theirs: Any) -> int:
    """The largest difference in steps of 16 bit, our samples made whole as theirs were."""
    assert len(ours) == len(theirs)
    # The peers scale to 32768 and cut the fraction off.
    whole = (ours.numpy().astype(np.float64) * 32768).astype(np.int64)
    return int(np.abs(whole - theirs.astype(np.int64)).max())
