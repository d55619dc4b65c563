"""Whether a batch is its recordings alone, stage by stage, and what half precision changes.

Each stage gets the same input both times, so that what differs is its own. What the pitch decides,
which band is the likeliest, is counted apart: there a millionth may become a semitone, and the
oscillator carries it on. So the whole way is shown twice, with a pitch that is given and with its
own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from worker.engine.full_precision import keep_float32_exact
from worker.engine.rvc.pitch import Pitch, decoded

from .rvc_networks import Shapes
from .rvc_scene import Scene, glide, utterance_of, wave_of

#: How far float32 may be from itself: one and a half steps of 16 bit.
LIMIT = 1e-4

SECONDS = (1.0, 1.37, 2.0, 3.3, 4.0, 5.0, 5.0, 7.7)


class _GivenPitch(Pitch):
    """Says the same for every recording of a length."""

    def __init__(self) -> None:
        pass

    def lines(self, waves_samples: Sequence[int], most_samples: int) -> list[list[int]]:
        return [list(range(len(waves_samples)))]

    def heard(self, waves: Sequence[Tensor]) -> list[Tensor]:
        return list(waves)

    def curves(self, heard: Sequence[Tensor], frames: Sequence[int]) -> list[Tensor]:
        return [glide(count, wave.device) for wave, count in zip(heard, frames, strict=True)]


def batch_is_alone(device: torch.device, shapes: Shapes) -> bool:
    """Float32: as torch comes, which on a GPU rounds, and exact, which must hold."""

    def apart() -> dict[str, float]:
        # Its own for each way: what a GPU has recorded stays as it was recorded.
        return _apart(Scene.of(device, torch.float32, replace(shapes, vectors=2000), 2))

    if device.type == "cuda":
        with _rounded():
            print("   float32 as torch comes (TF32 in cuDNN):")
            apart()
    print("   float32, exact:")
    beyond = [name for name, far in apart().items() if not far < LIMIT]
    print(f"   limit {LIMIT:.0e}: " + (f"NOT HELD by {', '.join(beyond)}" if beyond else "held"))
    return not beyond


def _apart(scene: Scene) -> dict[str, float]:
    """Print and return how far a batch is from its recordings alone."""
    waves = _waves(scene.device)
    stages = _stages(scene, waves, _features(scene, waves))
    found = {}
    for name, stage in stages.items():
        # The third time a GPU does again what it has recorded the second time.
        together = [stage(range(len(waves))) for _ in range(3)][-1]
        alone = [stage([place])[0] for place in range(len(waves))]
        found[name] = max(_distance(*pair) for pair in zip(together, alone, strict=True))
        print(f"      {name:24} {found[name]:.1e} apart, of a scale of {_scale(alone):.2f}")
        if name == "salience of pitches":
            _tell_decisions(together, alone)
    return found


def _stages(
    scene: Scene, waves: list[Tensor], features: list[Tensor]
) -> dict[str, Callable[[Sequence[int]], list[Tensor]]]:
    """Return each stage as what it makes of some of the recordings."""
    voice = scene.voices[0]
    index = voice.index
    assert index is not None

    def retrieval(places: Sequence[int]) -> list[Tensor]:
        rows = [features[place] for place in places]
        return list(index.blend(torch.cat(rows), 0.75).split([len(row) for row in rows]))

    def synthesizer(places: Sequence[int]) -> list[Tensor]:
        said = [utterance_of(features[place], place) for place in places]
        return scene.synthesizer.synthesize(voice.config, voice.weights, said)

    def whole(places: Sequence[int], pitch: Pitch | None) -> list[Tensor]:
        clips = scene.clips(waves)
        found = scene.converter(pitch).convert([clips[place] for place in places])
        return [one for one in found if isinstance(one, Tensor)]

    return {
        "content": lambda places: scene.content.features(
            [waves[place] for place in places], ["v2"] * len(places)
        ),
        "salience of pitches": lambda places: scene.pitch.salience([waves[p] for p in places]),
        "retrieval": retrieval,
        "synthesizer": synthesizer,
        "end to end, pitch given": lambda places: whole(places, _GivenPitch()),
        "end to end": lambda places: whole(places, None),
    }


def half_is_near(device: torch.device, shapes: Shapes) -> bool:
    """What half precision changes, each stage on the same input; nothing is asked of it."""
    few = replace(shapes, vectors=2000)
    exact, half = (Scene.of(device, dtype, few, 2) for dtype in (torch.float32, torch.float16))
    # A processor computes half precision a hundred times more slowly.
    waves = _waves(device)[: None if device.type == "cuda" else 2]
    places, features = range(len(waves)), _features(exact, waves)
    theirs = _stages(half, waves, features)
    for name, stage in _stages(exact, waves, features).items():
        wanted, found = stage(places), theirs[name](places)
        alone = [theirs[name]([place])[0] for place in places]
        far = max(_distance(*pair) for pair in zip(found, wanted, strict=True))
        apart = max(_distance(*pair) for pair in zip(found, alone, strict=True))
        noise = sum(float((a - b).square().sum()) for a, b in zip(found, wanted, strict=True))
        power = sum(float(b.square().sum()) for b in wanted)
        print(
            f"      {name:24} {far:.1e} from float32 ({_decibels(power, noise):.0f} dB below it), "
            f"a batch {apart:.1e} from alone"
        )
        if name == "salience of pitches":
            _tell_decisions(found, wanted)
    return True


def _waves(device: torch.device) -> list[Tensor]:
    return [wave_of(seconds, device, place) for place, seconds in enumerate(SECONDS)]


def _features(scene: Scene, waves: list[Tensor]) -> list[Tensor]:
    return [scene.content.features([wave], ["v2"])[0] for wave in waves]


def _tell_decisions(ours: list[Tensor], theirs: list[Tensor]) -> None:
    """Print in how many frames another pitch is the likeliest, and how close it was."""
    one, other = torch.cat(ours), torch.cat(theirs)
    bands = one.argmax(-1) != other.argmax(-1)
    curves = decoded(one), decoded(other)
    voiced = (curves[0] > 0) != (curves[1] > 0)
    same = ~bands & (curves[0] > 0) & (curves[1] > 0)
    off = float(((curves[0] - curves[1]) / curves[1])[same].abs().max()) if same.any() else 0.0
    best = other.topk(2, -1).values
    print(
        f"      {'':24} of {len(one)} frames another band in {int(bands.sum())}, voiced or not in "
        f"{int(voiced.sum())}; elsewhere the pitch within {off:.0e} of itself; the second band is "
        f"behind by {float((best[:, 0] - best[:, 1]).quantile(0.01)):.0e} in a hundredth of them"
    )


@contextmanager
def _rounded() -> Iterator[None]:
    """As torch is when nobody tells it anything else; a converter would tell it."""
    from worker.engine.rvc import stages

    kept = stages.keep_float32_exact
    stages.keep_float32_exact = lambda: None
    torch.backends.cudnn.allow_tf32 = True
    try:
        yield
    finally:
        stages.keep_float32_exact = kept
        keep_float32_exact()


def _distance(one: Tensor, other: Tensor) -> float:
    assert one.shape == other.shape
    return float((one - other).abs().max())


def _scale(rows: list[Tensor]) -> float:
    return float(torch.cat([row.flatten() for row in rows]).float().std())


def _decibels(power: float, noise: float) -> float:
    return float(10 * torch.log10(torch.tensor(power / max(noise, 1e-30))))
