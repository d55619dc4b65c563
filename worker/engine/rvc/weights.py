"""A voice's tensors as the synthesizer computes with them.

Signals are [rows, time, channels] throughout, channels innermost, which is how tensor cores read
half precision; a convolution of kernel 1 is then a linear map. What can be computed once is:
queries carry the scale of attention, every other step of the flow carries its flip, and the bias
of the source goes into that of the upsampling before it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .voice_config import FLOW_LAYERS, VoiceConfig
from .voice_file import VoiceWeights
from .voice_tensors import flow_names


@dataclass(frozen=True, slots=True)
class Affine:
    """A linear map, [out, in], or a convolution over time, [out, in, 1, kernel]."""

    weight: Tensor
    bias: Tensor  # [out]


@dataclass(frozen=True, slots=True)
class PriorLayer:
    """One layer of the prior: x = norm(x + attention(x)); x = norm(x + forward(x))."""

    qkv: Affine  # queries, scaled, keys, values
    output: Affine
    relative_keys: Tensor  # [21, head_dim]
    relative_values: Tensor  # [21, head_dim]
    norm_1: Affine  # both [hidden]
    widen: Affine
    narrow: Affine
    norm_2: Affine


@dataclass(frozen=True, slots=True)
class Prior:
    """From features and coarse pitch to the mean and spread of the latents."""

    features: Affine
    pitch: Tensor | None  # [256, hidden]
    layers: tuple[PriorLayer, ...]
    mean_and_spread: Affine


@dataclass(frozen=True, slots=True)
class FlowStep:
    """One coupling: one half of the channels decides what is taken from the other."""

    pre: Affine
    gates: tuple[Affine, ...]  # one for each layer, their conditions left out
    onward: tuple[Affine, ...]
    post: Affine
    #: Which half is changed, and is it the second one?
    changes_second: bool


@dataclass(frozen=True, slots=True)
class Stage:
    """One upsampling, what the source adds to it, and the residual blocks whose mean follows."""

    #: Its weight is that of a plain convolution, [rate out, in, 1, taps]: see `between`.
    upsampling: Affine
    #: From 2 * stride samples of the source, [2 * stride, channels]; from one in the last stage.
    source: Tensor | None
    #: For each kernel and each dilation the dilated convolution and the plain one.
    blocks: tuple[tuple[tuple[Affine, Affine], ...], ...]


@dataclass(frozen=True, slots=True)
class Decoder:
    """From latents and the source to samples."""

    first: Affine
    stages: tuple[Stage, ...]
    last: Tensor  # [1, in, 1, kernel]
    #: How loud the source is, and where it rests.
    source: Affine | None  # [1], [1]


@dataclass(frozen=True, slots=True)
class SynthesizerWeights:
    """All of it. What depends on the speaker alone is one linear map of the speaker."""

    speakers: Tensor  # [speakers, gin]
    #: To what the decoder's first convolution gets, and the gates of every step in order.
    conditions: Affine
    prior: Prior
    #: In the order of use, the reverse of training's.
    flow: tuple[FlowStep, ...]
    decoder: Decoder


def prepare(voice: VoiceWeights) -> SynthesizerWeights:
    """Return the weights of a voice in float32, on the CPU."""
    return _Preparation(voice).weights()


class _Preparation:
    def __init__(self, voice: VoiceWeights) -> None:
        self._config: VoiceConfig = voice.config
        self._tensors = voice.tensors
        self._rates = voice.config.upsample_rates

    def weights(self) -> SynthesizerWeights:
        names = flow_names()
        parts = ["dec.cond", *(f"{name}.enc.cond_layer" for name in reversed(names))]
        maps = [self._linear(part) for part in parts]
        return SynthesizerWeights(
            speakers=self._tensors["emb_g.weight"],
            conditions=_stacked(maps),
            prior=self._prior(),
            # A flip stands before each step, so that every other one finds its halves as they are.
            flow=tuple(
                self._step(name, flipped=place % 2 == 0)
                for place, name in enumerate(reversed(names))
            ),
            decoder=self._decoder(),
        )

    def _prior(self) -> Prior:
        return Prior(
            features=self._linear("enc_p.emb_phone"),
            pitch=self._tensors.get("enc_p.emb_pitch.weight"),
            layers=tuple(self._layer(index) for index in range(self._config.layers)),
            mean_and_spread=self._linear("enc_p.proj"),
        )

    def _layer(self, index: int) -> PriorLayer:
        attention = f"enc_p.encoder.attn_layers.{index}"
        forward = f"enc_p.encoder.ffn_layers.{index}"
        query = self._linear(f"{attention}.conv_q")
        scale = 1 / math.sqrt(self._config.hidden_channels // self._config.heads)
        scaled = Affine(query.weight * scale, query.bias * scale)
        others = [self._linear(f"{attention}.conv_{part}") for part in "kv"]
        return PriorLayer(
            qkv=_stacked([scaled, *others]),
            output=self._linear(f"{attention}.conv_o"),
            relative_keys=self._tensors[f"{attention}.emb_rel_k"][0],
            relative_values=self._tensors[f"{attention}.emb_rel_v"][0],
            norm_1=self._norm(f"enc_p.encoder.norm_layers_1.{index}"),
            widen=self._convolution(f"{forward}.conv_1"),
            narrow=self._convolution(f"{forward}.conv_2"),
            norm_2=self._norm(f"enc_p.encoder.norm_layers_2.{index}"),
        )

    def _step(self, name: str, *, flipped: bool) -> FlowStep:
        pre, post = self._linear(f"{name}.pre"), self._linear(f"{name}.post")
        if flipped:
            pre = Affine(pre.weight.flip(1), pre.bias)
            post = Affine(post.weight.flip(0), post.bias.flip(0))
        layers = range(FLOW_LAYERS)
        return FlowStep(
            pre=pre,
            gates=tuple(self._convolution(f"{name}.enc.in_layers.{layer}") for layer in layers),
            onward=tuple(self._linear(f"{name}.enc.res_skip_layers.{layer}") for layer in layers),
            post=post,
            changes_second=not flipped,
        )

    def _decoder(self) -> Decoder:
        source = None
        if self._config.has_pitch:
            loudness = self._linear("dec.m_source.l_linear")
            source = Affine(loudness.weight.flatten(), loudness.bias)
        return Decoder(
            first=self._convolution("dec.conv_pre"),
            stages=tuple(self._stage(index) for index in range(len(self._config.upsample_rates))),
            last=_laid_out(self._tensors["dec.conv_post.weight"]),
            source=source,
        )

    def _stage(self, index: int) -> Stage:
        upsampling = Affine(
            _laid_out(between(self._tensors[f"dec.ups.{index}.weight"], self._rates[index])),
            self._tensors[f"dec.ups.{index}.bias"],
        )
        source = None
        if self._config.has_pitch:
            weight = self._tensors[f"dec.noise_convs.{index}.weight"]
            source = weight[:, 0].T.contiguous()
            bias = upsampling.bias + self._tensors[f"dec.noise_convs.{index}.bias"]
            upsampling = Affine(upsampling.weight, bias)
        first = index * len(self._config.block_kernels)
        blocks = tuple(
            tuple(
                (
                    self._convolution(f"dec.resblocks.{first + place}.convs1.{dilation}"),
                    self._convolution(f"dec.resblocks.{first + place}.convs2.{dilation}"),
                )
                for dilation in range(len(dilations))
            )
            for place, dilations in enumerate(self._config.block_dilations)
        )
        return Stage(upsampling, source, blocks)

    def _linear(self, name: str) -> Affine:
        weight = self._tensors[f"{name}.weight"]
        return Affine(weight.flatten(1), self._tensors[f"{name}.bias"])

    def _convolution(self, name: str) -> Affine:
        return Affine(_laid_out(self._tensors[f"{name}.weight"]), self._tensors[f"{name}.bias"])

    def _norm(self, name: str) -> Affine:
        return Affine(self._tensors[f"{name}.gamma"], self._tensors[f"{name}.beta"])


def between(weight: Tensor, rate: int) -> Tensor:
    """Return a transposed convolution [in, out, kernel] as a plain one, [rate out, in, taps].

    Its output channels are those of `rate` positions, one behind the other: with the channels
    innermost that is the upsampled signal itself. cuDNN's transposed convolutions are bad for some
    sizes of a batch.
    """
    into, out, kernel = weight.shape
    padding = (kernel - rate) // 2
    reach = max((rate - 1 + padding) // rate, (kernel - 1 - padding) // rate)
    found = weight.new_zeros(rate, out, into, 2 * reach + 1)
    for place in range(rate):
        for step in range(-reach, reach + 1):
            tap = place + padding - rate * step
            if 0 <= tap < kernel:
                found[place, :, :, reach + step] = weight[:, :, tap].T
    return found.flatten(0, 1)


def _laid_out(weight: Tensor) -> Tensor:
    """Return [out, in, kernel] as [out, in, 1, kernel] with the channels innermost."""
    return weight.transpose(1, 2).contiguous().transpose(1, 2)[:, :, None]


def _stacked(maps: list[Affine]) -> Affine:
    return Affine(torch.cat([one.weight for one in maps]), torch.cat([one.bias for one in maps]))
