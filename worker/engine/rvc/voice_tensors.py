"""The tensors that a voice of a configuration has, by the names of the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from .voice_config import (
    ATTENTION_WINDOW,
    COARSE_PITCHES,
    END_KERNEL,
    FLOW_KERNEL,
    FLOW_LAYERS,
    FLOW_STEPS,
    VoiceConfig,
)

#: The convolutions that have weight norm in the file.
NORMED: Final = re.compile(
    r"dec\.ups\.\d+\.weight|dec\.resblocks\.\d+\.convs[12]\.\d+\.weight"
    r"|flow\.flows\.\d+\.enc\.(in_layers\.\d+|res_skip_layers\.\d+|cond_layer)\.weight"
)

_Shapes = Iterator[tuple[str, tuple[int, ...]]]


def shapes_of(config: VoiceConfig) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor, weight norm folded in."""
    speakers = (config.speakers, config.speaker_channels)
    return {
        **dict(_prior(config)),
        **dict(_flow(config)),
        **dict(_decoder(config)),
        "emb_g.weight": speakers,
    }


def flow_names() -> tuple[str, ...]:
    """Return the names of the flow's steps, in the order of training: every other is a flip."""
    return tuple(f"flow.flows.{2 * step}" for step in range(FLOW_STEPS))


def _map(name: str, *shape: int, bias: int | None = None) -> _Shapes:
    yield f"{name}.weight", shape
    yield f"{name}.bias", (shape[0] if bias is None else bias,)


def _prior(config: VoiceConfig) -> _Shapes:
    width, inner, kernel = config.hidden_channels, config.filter_channels, config.kernel
    yield from _map("enc_p.emb_phone", width, config.features)
    if config.has_pitch:
        yield "enc_p.emb_pitch.weight", (COARSE_PITCHES, width)
    for layer in range(config.layers):
        attention = f"enc_p.encoder.attn_layers.{layer}"
        for part in "qkvo":
            yield from _map(f"{attention}.conv_{part}", width, width, 1)
        for part in "kv":
            positions = 2 * ATTENTION_WINDOW + 1
            yield f"{attention}.emb_rel_{part}", (1, positions, width // config.heads)
        for norm in "12":
            for part in ("gamma", "beta"):
                yield f"enc_p.encoder.norm_layers_{norm}.{layer}.{part}", (width,)
        forward = f"enc_p.encoder.ffn_layers.{layer}"
        yield from _map(f"{forward}.conv_1", inner, width, kernel)
        yield from _map(f"{forward}.conv_2", width, inner, kernel)
    yield from _map("enc_p.proj", 2 * config.inter_channels, width, 1)


def _flow(config: VoiceConfig) -> _Shapes:
    width, half = config.hidden_channels, config.inter_channels // 2
    for name in flow_names():
        yield from _map(f"{name}.pre", width, half, 1)
        conditions = 2 * width * FLOW_LAYERS
        yield from _map(f"{name}.enc.cond_layer", conditions, config.speaker_channels, 1)
        for layer in range(FLOW_LAYERS):
            yield from _map(f"{name}.enc.in_layers.{layer}", 2 * width, width, FLOW_KERNEL)
            # The last one has nothing left to hand on.
            out = 2 * width if layer < FLOW_LAYERS - 1 else width
            yield from _map(f"{name}.enc.res_skip_layers.{layer}", out, width, 1)
        yield from _map(f"{name}.post", half, width, 1)


def _decoder(config: VoiceConfig) -> _Shapes:
    first = config.initial_channels
    yield from _map("dec.conv_pre", first, config.inter_channels, END_KERNEL)
    yield from _map("dec.cond", first, config.speaker_channels, 1)
    stages = zip(
        config.channels[:-1], config.channels[1:], config.upsample_kernels, config.source_strides,
        strict=True,
    )  # fmt: skip
    for stage, (into, out, kernel, stride) in enumerate(stages):
        yield from _map(f"dec.ups.{stage}", into, out, kernel, bias=out)
        if config.has_pitch:
            source_kernel = 2 * stride if stride > 1 else 1
            yield from _map(f"dec.noise_convs.{stage}", out, 1, source_kernel)
        for place, kernel_ in enumerate(config.block_kernels):
            block = f"dec.resblocks.{stage * len(config.block_kernels) + place}"
            for index in range(len(config.block_dilations[place])):
                for part in ("convs1", "convs2"):
                    yield from _map(f"{block}.{part}.{index}", out, out, kernel_)
    yield "dec.conv_post.weight", (1, config.channels[-1], END_KERNEL)
    if config.has_pitch:
        yield from _map("dec.m_source.l_linear", 1, 1)
