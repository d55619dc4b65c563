"""What a voice file says of its networks: eighteen values in a list, and three entries beside it.

The list has no names. In order: spec_channels, segment_size, inter_channels, hidden_channels,
filter_channels, n_heads, n_layers, kernel_size, p_dropout, resblock, resblock_kernel_sizes,
resblock_dilation_sizes, upsample_rates, upsample_initial_channel, upsample_kernel_sizes,
spk_embed_dim, gin_channels, sr.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

from ..errors import CheckpointError

Version = Literal["v1", "v2"]

#: Frames of features in a second.
FRAMES_PER_S: Final = 100

#: Width of the features that a voice of each version was trained on.
FEATURES: Final[Mapping[str, int]] = {"v1": 256, "v2": 768}

#: The sizes that no file states. Kernel of the flow's convolutions, its layers and its steps.
FLOW_KERNEL: Final = 5
FLOW_LAYERS: Final = 3
FLOW_STEPS: Final = 4

#: How far, in frames, a frame's attention tells positions apart; ids of the coarse pitch.
ATTENTION_WINDOW: Final = 10
COARSE_PITCHES: Final = 256

#: Kernel of the decoder's first and last convolution.
END_KERNEL: Final = 7

_ENTRIES: Final = 18

#: How rates are also written.
_RATES: Final = {"24k": 24000, "32k": 32000, "40k": 40000, "48k": 48000}

#: Networks that a voice may be made with elsewhere, by the only names that are known here.
_VOCODERS: Final = ("HiFi-GAN", "NSF-HiFi-GAN", "")
_EMBEDDERS: Final = ("contentvec", "hubert", "hubert_base", "")


@dataclass(frozen=True, slots=True)
class VoiceConfig:
    """The sizes of one voice's networks. Equal configurations have equal tensors."""

    version: Version
    #: Whether the voice is told the pitch; one that is not cannot be moved in pitch.
    has_pitch: bool
    sample_rate_hz: int
    inter_channels: int
    hidden_channels: int
    filter_channels: int
    heads: int
    layers: int
    #: Of the feed-forward layers.
    kernel: int
    block_kernels: tuple[int, ...]
    #: One row for each kernel.
    block_dilations: tuple[tuple[int, ...], ...]
    upsample_rates: tuple[int, ...]
    upsample_kernels: tuple[int, ...]
    initial_channels: int
    speakers: int
    speaker_channels: int

    def fields(self) -> dict[str, Any]:
        """Return the fields as JSON has them; `config_of_fields` reads them again."""
        found: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return found

    @property
    def features(self) -> int:
        """Width of the features."""
        return FEATURES[self.version]

    @property
    def samples_per_frame(self) -> int:
        """Samples that one frame becomes."""
        return math.prod(self.upsample_rates)

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the decoder before the stages and after each of them."""
        return tuple(
            self.initial_channels >> stage for stage in range(len(self.upsample_rates) + 1)
        )

    @property
    def source_strides(self) -> tuple[int, ...]:
        """Samples of the source for each position after each stage."""
        rates = self.upsample_rates
        return tuple(math.prod(rates[stage + 1 :]) for stage in range(len(rates)))

    @property
    def halo_frames(self) -> int:
        """How far a sample sees, in frames to each side; rounded up."""
        reach = float(END_KERNEL // 2)
        positions = 1  # of a frame, after the stages so far
        for rate, kernel in zip(self.upsample_rates, self.upsample_kernels, strict=True):
            reach += (kernel - 1) // 2 / rate / positions
            positions *= rate
            reach += self._block_reach / positions
        return math.ceil(reach + END_KERNEL // 2 / positions)

    @property
    def _block_reach(self) -> int:
        """How far the widest residual block sees, in positions."""
        return max(
            sum(kernel // 2 * (dilation + 1) for dilation in dilations)
            for kernel, dilations in zip(self.block_kernels, self.block_dilations, strict=True)
        )

    @classmethod
    def read(cls, file: Path, found: Mapping[str, Any], speakers: int) -> VoiceConfig:
        """Read the entries of a voice file. Raises `CheckpointError` that names the entry.

        The number of speakers is that of the tensor: what the list says of it is often wrong.
        """
        _check_kind(file, found)
        return _Reader(file, found.get("config")).config(
            version=found.get("version", "v1"),
            has_pitch=found.get("f0", 1),
            speakers=speakers,
        )


def config_of_fields(fields: Mapping[str, Any]) -> VoiceConfig:
    """Return a configuration from its fields as JSON has them. Raises `TypeError`."""

    def fixed(value: Any) -> Any:
        return tuple(fixed(one) for one in value) if isinstance(value, list) else value

    return VoiceConfig(**{name: fixed(value) for name, value in fields.items()})


def _check_kind(file: Path, found: Mapping[str, Any]) -> None:
    for entry, known in (("vocoder", _VOCODERS), ("embedder_model", _EMBEDDERS)):
        name = found.get(entry) or ""
        if name not in known:
            raise CheckpointError(
                file, f"{entry} is {name!r}; only voices with {known[0]!r} can be used"
            )


class _Reader:
    """Takes the list apart."""

    def __init__(self, file: Path, entries: object) -> None:
        if not isinstance(entries, Sequence) or len(entries) != _ENTRIES:
            raise CheckpointError(file, f"config is no list of {_ENTRIES} values")
        self._file = file
        self._entries = entries

    def config(self, version: object, has_pitch: object, speakers: int) -> VoiceConfig:
        if version not in FEATURES:
            raise CheckpointError(self._file, f"version is {version!r}, wanted 'v1' or 'v2'")
        if str(has_pitch) not in ("0", "1", "True", "False"):
            raise CheckpointError(self._file, f"f0 is {has_pitch!r}, wanted 0 or 1")
        config = VoiceConfig(
            version=cast(Version, version),
            has_pitch=str(has_pitch) in ("1", "True"),
            sample_rate_hz=self._rate(17),
            inter_channels=self._size(2, "inter_channels"),
            hidden_channels=self._size(3, "hidden_channels"),
            filter_channels=self._size(4, "filter_channels"),
            heads=self._size(5, "n_heads"),
            layers=self._size(6, "n_layers"),
            kernel=self._size(7, "kernel_size"),
            block_kernels=self._sizes(10, "resblock_kernel_sizes"),
            block_dilations=self._dilations(),
            upsample_rates=self._sizes(12, "upsample_rates"),
            upsample_kernels=self._sizes(14, "upsample_kernel_sizes"),
            initial_channels=self._size(13, "upsample_initial_channel"),
            speakers=speakers,
            speaker_channels=self._size(16, "gin_channels"),
        )
        self._check(config)
        return config

    def _check(self, config: VoiceConfig) -> None:
        rates, kernels = config.upsample_rates, config.upsample_kernels
        wrong = {
            f"resblock is {self._entries[9]!r}, wanted '1'": str(self._entries[9]) != "1",
            "inter_channels is odd": config.inter_channels % 2,
            "n_heads does not divide hidden_channels": config.hidden_channels % config.heads,
            "kernel_size is even": config.kernel % 2 == 0,
            "resblock_kernel_sizes are not all odd": any(k % 2 == 0 for k in config.block_kernels),
            "resblock_dilation_sizes are not one row for each kernel": len(config.block_kernels)
            != len(config.block_dilations),
            "upsample_kernel_sizes do not fit upsample_rates": len(rates) != len(kernels)
            or any(k < r or (k - r) % 2 for k, r in zip(kernels, rates, strict=False)),
            "upsample_initial_channel cannot be halved at every stage": config.initial_channels
            % 2 ** len(rates),
            f"upsample_rates make {config.samples_per_frame} samples of a frame, which is not "
            f"{config.sample_rate_hz} Hz": config.samples_per_frame * FRAMES_PER_S
            != config.sample_rate_hz,
        }
        for fault, is_so in wrong.items():
            if is_so:
                raise CheckpointError(self._file, f"config: {fault}")

    def _rate(self, place: int) -> int:
        rate = self._entries[place]
        return _RATES[rate] if rate in _RATES else self._size(place, "sr")

    def _size(self, place: int, name: str) -> int:
        return self._number(self._entries[place], name)

    def _sizes(self, place: int, name: str) -> tuple[int, ...]:
        return self._numbers(self._entries[place], name)

    def _dilations(self) -> tuple[tuple[int, ...], ...]:
        name, rows = "resblock_dilation_sizes", self._entries[11]
        if not isinstance(rows, Sequence) or not rows:
            raise CheckpointError(self._file, f"config: {name} is {rows!r}, wanted lists")
        return tuple(self._numbers(row, name) for row in rows)

    def _numbers(self, found: object, name: str) -> tuple[int, ...]:
        if not isinstance(found, Sequence) or isinstance(found, str) or not found:
            raise CheckpointError(self._file, f"config: {name} is {found!r}, wanted a list")
        return tuple(self._number(number, name) for number in found)

    def _number(self, found: object, name: str) -> int:
        if not isinstance(found, int) or isinstance(found, bool) or found < 1:
            raise CheckpointError(
                self._file, f"config: {name} is {found!r}, wanted a whole number above 0"
            )
        return found
