"""A small RMVPE with random weights, made and run by the peer's own code."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class TinyRmvpe:
    """The peer's network with one channel where the published one has sixteen."""

    def __init__(self, peer: Any, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self._peer = peer
        self.network = peer.E2E(1, 1, (2, 2), 5, 1, 1, 2).eval()
        with torch.no_grad():
            for module in self.network.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.running_mean.normal_(0, 0.1)
                    module.running_var.uniform_(0.5, 1.5)
                    module.weight.uniform_(0.5, 1.5)
                    module.bias.normal_(0, 0.1)
            self.network.fc[1].weight.mul_(6.0)
            self._leave_a_third_unvoiced()

    def _leave_a_third_unvoiced(self) -> None:
        self.network.fc[1].bias.zero_()
        wave = 0.1 * torch.randn(1, 47840)
        mel = self._peer.MelSpectrogram(False, 128, 16000, 1024, 160, None, 30, 8000)(wave)
        loudest = torch.logit(self.network(mel[..., :288]), eps=1e-6).amax(-1).flatten()
        self.network.fc[1].bias.fill_(math.log(0.03 / 0.97) - float(loudest.quantile(0.35)))

    def write(self, file: Path) -> Path:
        """As it is published."""
        torch.save(self.network.state_dict(), file)
        return file

    def judge(self) -> Any:
        """The peer's own way from samples to pitch, around this network."""
        peer = self._peer
        judge = peer.RMVPE.__new__(peer.RMVPE)
        judge.model, judge.is_half, judge.device = self.network, False, "cpu"
        judge.resample_kernel = {}
        judge.mel_extractor = peer.MelSpectrogram(False, 128, 16000, 1024, 160, None, 30, 8000)
        judge.cents_mapping = np.pad(20 * np.arange(360) + 1997.3794084376191, (4, 4))
        return judge

    @torch.no_grad()
    def f0(self, wave: Tensor) -> Tensor:
        """What the peer computes of a wave [samples]."""
        return torch.from_numpy(self.judge().infer_from_audio(wave.numpy(), thred=0.03))
