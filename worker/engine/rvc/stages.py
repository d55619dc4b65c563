"""The stages of a conversion, each over many recordings or stretches of them at once.

    pitch -> content -> retrieval -> synthesizer

Nothing here knows whether a recording is in memory or on the disk.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import torch
from torch import Tensor

from ..errors import ChunkFailed
from ..full_precision import keep_float32_exact
from .content import Content
from .host_pitch import praat_f0, world_f0
from .mel import frames_of
from .mixture import Retrieved, protected, retrieved
from .pitch import Piece, Pitch, pieces_of
from .pitch_curve import bridged, coarse, middle_hz, semitones_between, shifted
from .recording import Recording
from .splitting import FRAME, RATE_HZ, Splitting
from .stretches import Stretch
from .synthesizer import Synthesizer

#: Recordings share a batch if the shortest has this share of the longest one's length.
_ALIKE: Final = 0.75

#: Frames from which on RMVPE's recurrence does not wait for others: 320 MB in half precision.
_RECURRING: Final = 1 << 16

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Part:
    """One stretch of a recording."""

    recording: Recording
    number: int

    @property
    def stretch(self) -> Stretch:
        """Where it is."""
        return self.recording.stretches[self.number]

    @property
    def samples(self) -> int:
        """How long it is, at 16 kHz, with all that is around it."""
        return self.stretch.end - self.stretch.start


class Stages:
    """The networks on one device. Used by one thread at a time."""

    def __init__(
        self,
        content: Content,
        pitch: Pitch,
        synthesizer: Synthesizer,
        splitting: Splitting | None = None,
        batch_s: int = 320,
    ) -> None:
        """`batch_s` bounds the seconds of a batch of content or pitch, and so its memory.

        Also in half precision, rates and spectrograms are float32, which a GPU must not round.
        """
        keep_float32_exact()
        self.content = content
        self.splitting = splitting or Splitting()
        self.batch_samples = batch_s * RATE_HZ
        self._pitch = pitch
        self._synthesizer = synthesizer

    def find_pitch(
        self, recordings: Sequence[Recording]
    ) -> Iterator[tuple[Recording, Exception | None] | int]:
        """Give the pitch to those whose voice has one; yield each that has it, or why it has not.

        Only some pieces of long recordings are in memory at a time; after each batch of them there
        is the number of those that are done by then.
        """
        by_network = [one for one in recordings if _has(one, network=True)]
        pieces = [(one, piece) for one in by_network for piece in _pieces(one)]
        found: dict[Recording, dict[int, Tensor]] = defaultdict(dict)
        heard: list[tuple[Recording, Piece, int, Tensor]] = []
        done = 0
        for batch in self._lines(pieces):
            waves = [_cut(*pair) for pair in batch]
            for (one, piece), wave, row in zip(batch, waves, self._pitch.heard(waves), strict=True):
                heard.append((one, piece, frames_of(len(wave)), row))
            done += len(batch)
            yield done
            # A processor gains nothing by waiting, and would need the memory.
            if sum(one[2] for one in heard) >= _RECURRING or batch[0][0].device.type == "cpu":
                self._recur(heard, found)
        self._recur(heard, found)
        _follow(
            by_network, [[curve for _, curve in sorted(found[one].items())] for one in by_network]
        )
        yield from ((one, None) for one in by_network)
        for one in recordings:
            if _has(one, network=False):
                curves: list[Tensor] = []
                try:
                    for piece in _pieces(one):
                        curves.append(piece.kept(_host_f0(one, piece)))
                        done += 1
                        yield done
                    _follow([one], [curves])
                except ChunkFailed as error:
                    yield one, error
                else:
                    yield one, None

    def _lines(
        self, pieces: Sequence[tuple[Recording, Piece]]
    ) -> Iterator[list[tuple[Recording, Piece]]]:
        """Yield the pieces that share a line of RMVPE's network."""
        sizes = [_samples(*pair) for pair in pieces]
        for line in self._pitch.lines(sizes, self.batch_samples):
            yield [pieces[place] for place in line]

    def _recur(
        self,
        heard: list[tuple[Recording, Piece, int, Tensor]],
        found: dict[Recording, dict[int, Tensor]],
    ) -> None:
        """Find the pitch in what was heard, and forget that."""
        if not heard:
            return
        curves = self._pitch.curves([one[3] for one in heard], [one[2] for one in heard])
        for (one, piece, _, _), curve in zip(heard, curves, strict=True):
            found[one][piece.keep_from] = piece.kept(curve)
        heard.clear()

    def features(self, parts: Sequence[Part]) -> dict[Part, Tensor]:
        """Return what each says, whoever says it."""
        found: dict[Part, Tensor] = {}
        for batch in self._batched([(part, part.samples) for part in parts]):
            waves = [part.recording.span(part.stretch.start, part.stretch.end) for part in batch]
            versions = [part.recording.voice.config.version for part in batch]
            found.update(zip(batch, self.content.features(waves, versions), strict=True))
        return found

    def blended(self, parts: Sequence[Part], plain: Mapping[Part, Tensor]) -> list[Tensor]:
        """Return the features of each, those of its voice's own recordings mixed in."""
        mixed: dict[Part, Tensor] = {}
        for group in grouped(parts, lambda part: id(part.recording.voice)):
            conversions = [part.recording.conversion for part in group]
            index = group[0].recording.voice.index
            found = retrieved(index, [plain[part] for part in group], conversions)
            mixed.update(zip(group, found, strict=True))
        whole: dict[Part, Tensor] = {}
        for group in grouped(parts, lambda part: plain[part].shape[1]):
            rows = [
                Retrieved(mixed[part], plain[part], part.stretch.frames,
                          part.recording.curve(part.stretch), part.recording.conversion.protect)
                for part in group
            ]  # fmt: skip
            whole.update(zip(group, protected(rows), strict=True))
        return [whole[part] for part in parts]

    def spoken(self, parts: Sequence[Part], features: Sequence[Tensor]) -> list[Tensor]:
        """Return the samples of each at the rate of its voice."""
        samples: dict[Part, Tensor] = {}
        said = zip(parts, features, strict=True)
        utterances = {part: part.recording.utterance(part.number, row) for part, row in said}
        for group in grouped(parts, lambda part: id(part.recording.voice)):
            voice = group[0].recording.voice
            rows = [utterances[part] for part in group]
            found = self._synthesizer.synthesize(voice.config, voice.weights, rows)
            samples.update(zip(group, found, strict=True))
        return [samples[part] for part in parts]

    def _batched(self, sized: Sequence[tuple[Item, int]]) -> Iterator[list[Item]]:
        """Yield what is computed together: about equally long, and not too much at once."""
        batch: list[Item] = []
        longest = 0
        for item, samples in sorted(sized, key=lambda pair: -pair[1]):
            full = (len(batch) + 1) * longest > self.batch_samples
            if batch and (full or samples < _ALIKE * longest):
                yield batch
                batch = []
            if not batch:
                longest = samples
            batch.append(item)
        if batch:
            yield batch


def grouped(items: Sequence[Item], key: Callable[[Item], Hashable]) -> list[list[Item]]:
    """Return the items with the same key together, in the order in which they came."""
    groups: dict[Hashable, list[Item]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return list(groups.values())


def _has(one: Recording, *, network: bool) -> bool:
    by_network = one.conversion.f0_method == "rmvpe"
    return one.voice.config.has_pitch and by_network == network


def pieces_in(one: Recording) -> int:
    """Return how many pieces of a recording `find_pitch` computes."""
    return len(_pieces(one)) if one.voice.config.has_pitch else 0


def _pieces(one: Recording) -> list[Piece]:
    return pieces_of(one.padded_samples // FRAME + 1)


def _samples(one: Recording, piece: Piece) -> int:
    return min(one.padded_samples, piece.end * FRAME) - piece.start * FRAME


def _cut(one: Recording, piece: Piece) -> Tensor:
    return one.span(piece.start * FRAME, piece.start * FRAME + _samples(one, piece))


def _host_f0(one: Recording, piece: Piece) -> Tensor:
    """Return the pitch of a piece by a method of the processor."""
    wave = _cut(one, piece).cpu().numpy()
    frames = min(piece.end, one.frames) - piece.start
    if one.conversion.f0_method == "pm":
        found = praat_f0(wave, frames)
    else:
        found = world_f0(wave, frames, one.conversion.filter_radius)
    return torch.from_numpy(found).to(one.device)


def _follow(recordings: Sequence[Recording], curves: Sequence[Sequence[Tensor]]) -> None:
    """Give recordings their pitch, whose curves are in pieces, as their voices are to follow it."""
    if not recordings:
        return
    whole, semitones = [], []
    for one, pieces in zip(recordings, curves, strict=True):
        f0_hz = (torch.cat(list(pieces)) if len(pieces) > 1 else pieces[0])[: one.frames]
        semitones.append(np.full(len(f0_hz), _semitones(f0_hz, one), np.float64))
        whole.append(bridged(f0_hz) if one.conversion.unvoiced == "interp" else f0_hz)
    followed = shifted(torch.cat(whole), np.concatenate(semitones))
    counts = [len(f0_hz) for f0_hz in whole]
    rows = zip(followed.float().split(counts), coarse(followed).split(counts), strict=True)
    for one, (f0_hz, steps) in zip(recordings, rows, strict=True):
        one.follow(f0_hz, steps)


def _semitones(f0_hz: Tensor, one: Recording) -> float:
    """Return by how much the curve of a recording is moved."""
    if one.conversion.pitch != "auto":
        return one.conversion.pitch
    source_hz, aim_hz = middle_hz(f0_hz), one.voice.median_hz
    return semitones_between(source_hz, aim_hz) if source_hz and aim_hz else 0
