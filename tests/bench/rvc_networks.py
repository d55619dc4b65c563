"""RVC's networks with the true shapes and random weights: speed does not depend on the weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tests.unit.worker.engine.rvc.tiny_voice import TINY, TRUE, config_of, tensors_of
from worker.engine.rvc.content_weights import FIRST_TAPS, KERNELS, ContentLayer, ContentWeights
from worker.engine.rvc.index_file import IndexFile
from worker.engine.rvc.parcel import parcel
from worker.engine.rvc.retrieval import Index
from worker.engine.rvc.rmvpe_file import PITCHES, Block, Convolution, Rise, RmvpeWeights
from worker.engine.rvc.voice import Voice
from worker.engine.rvc.voice_file import VoiceWeights
from worker.engine.rvc.weights import prepare


@dataclass(frozen=True)
class Shapes:
    """How large the networks are."""

    #: Of HuBERT: channels of its front end, its layers. It is 768 wide.
    content: tuple[int, int]
    #: Of RMVPE: channels of its widest level but one, blocks of a level, blocks of the bottom.
    pitch: tuple[int, int, int]
    #: As `tiny_voice` has them.
    voice: tuple[Any, ...]
    vectors: int


#: The published ones, and some that run anywhere.
TRUE_SHAPES = Shapes((512, 12), (256, 4, 16), TRUE, 100_000)
TINY_SHAPES = Shapes((32, 2), (16, 1, 1), TINY, 1_000)


#: What makes logits of random recurrences several units apart.
_LOUD = 8


class Random:
    """Draws tensors on a device."""

    def __init__(self, device: torch.device, dtype: torch.dtype, seed: int = 0) -> None:
        self.device, self.dtype = device, dtype
        self._generator = torch.Generator(device).manual_seed(seed)

    def normal(self, *shape: int, fan: int = 1, dtype: torch.dtype | None = None) -> Tensor:
        drawn = torch.randn(shape, generator=self._generator, device=self.device)
        return (drawn / fan**0.5).to(dtype or self.dtype)

    def ones(self, *shape: int) -> Tensor:
        return torch.ones(shape, device=self.device, dtype=self.dtype)

    def convolution(
        self, out: int, into: int, kernel: int = 3, *, turned: bool = False
    ) -> Convolution:
        shape = (into, out) if turned else (out, into)
        weight = self.normal(*shape, kernel, kernel, fan=into * kernel**2)
        return Convolution(
            weight.contiguous(memory_format=torch.channels_last), self.normal(out, fan=100)
        )


def content_of(random: Random, shapes: Shapes, width: int = 768) -> ContentWeights:
    """HuBERT base, or less of it."""
    channels, depth = shapes.content
    inner = 4 * width
    first = random.normal(FIRST_TAPS, channels, fan=10, dtype=torch.float32)
    first[KERNELS[0] :] = 0
    one, zero = random.ones(width), 0 * random.ones(width)
    return ContentWeights(
        first=first,
        first_norm_weight=torch.ones(channels, device=random.device),
        first_norm_bias=torch.zeros(channels, device=random.device),
        convolutions=tuple(
            random.normal(taps * channels, channels, fan=taps * channels // 2)
            for taps in KERNELS[1:]
        ),
        features_norm_weight=random.ones(channels),
        features_norm_bias=0 * random.ones(channels),
        features_weight=random.normal(width, channels, fan=channels),
        features_bias=zero,
        position_weight=random.normal(width, width // 16, 128, fan=8 * width),
        position_bias=zero,
        norm_weight=one,
        norm_bias=zero,
        layers=tuple(
            ContentLayer(
                *(random.normal(3 * width, width, fan=width), random.normal(3 * width, fan=100)),
                *(random.normal(width, width, fan=width), zero, one, zero),
                *(random.normal(inner, width, fan=width), random.normal(inner, fan=100)),
                *(random.normal(width, inner, fan=inner), zero, one, zero),
            )
            for _ in range(depth)
        ),
        final_weight=random.normal(256, width, fan=width),
        final_bias=random.normal(256, fan=100),
        heads=12,
    )


def rmvpe_of(random: Random, shapes: Shapes) -> RmvpeWeights:
    """E2E(4, 1, (2, 2)) with its 90.4 million parameters, or less of it."""
    widest, each, deep = shapes.pitch

    def blocks(into: int, out: int, count: int = each) -> tuple[Block, ...]:
        made = []
        for place in range(count):
            enters = into if place == 0 else out
            shortcut = random.convolution(out, enters, 1) if enters != out else None
            made.append(
                Block(random.convolution(out, enters), random.convolution(out, out), shortcut)
            )
        return tuple(made)

    widths = [widest >> level for level in (4, 3, 2, 1, 0)]
    recurrence = nn.GRU(384, 256, batch_first=True, bidirectional=True)
    with torch.no_grad():
        for tensor in recurrence.parameters():
            tensor.copy_(random.normal(*tensor.shape, fan=3 * 256))
    recurrence.requires_grad_(False).to(random.device, random.dtype).flatten_parameters()
    return RmvpeWeights(
        scale=random.ones(1),
        shift=0 * random.ones(1),
        down=tuple(blocks(into, out) for into, out in zip([1, *widths], widths, strict=False)),
        bottom=blocks(widest, 2 * widest, deep),
        up=tuple(
            Rise(random.convolution(out, 2 * out, turned=True), blocks(2 * out, out))
            for out in reversed(widths)
        ),
        last=random.convolution(3, widths[0]),
        recurrence=recurrence,
        # So that some pitches are likely and most are not, as in a network that has learnt.
        head_weight=_LOUD * random.normal(PITCHES, 512, fan=512),
        head_bias=random.normal(PITCHES, fan=100) - 3,
    )


def voice_of(number: int, random: Random, shapes: Shapes) -> Voice:
    """A v2 voice of 40 kHz with an index."""
    config = config_of("v2", 40000, sizes=shapes.voice)
    weights = prepare(VoiceWeights(config, tensors_of(config, number)))
    placed = parcel(weights, random.dtype).moved(lambda memory: memory.to(random.device)).tree
    index = Index(index_of(0, shapes.vectors), random.device)
    return Voice(f"voice-{number}", config, placed, index)


@lru_cache(maxsize=1)
def index_of(number: int, vectors: int) -> IndexFile:
    """Lists of even length around random centroids."""
    draws = np.random.default_rng(number)
    lists = max(1, vectors // 39)
    centroids = draws.standard_normal((lists, 768), dtype=np.float32)
    starts = np.linspace(0, vectors, lists + 1).astype(np.int64)
    rows = np.repeat(centroids, np.diff(starts), axis=0)
    rows += draws.standard_normal(rows.shape, dtype=np.float32)
    return IndexFile(centroids, rows, np.arange(vectors), starts)
