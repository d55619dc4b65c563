"""How fast RVC converts on this machine, stage by stage and end to end.

    python -m tests.bench.rvc_stages [--precision fp16] [--voices 8] [--vectors 100000]

True shapes, random weights; `rmvpe`, an index rate of 0.75. First a batch must equal its clips
alone, in float32 on the same code. Needs torch and numpy alone.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from worker.engine.rvc.clip import Clip
from worker.engine.rvc.content import Content
from worker.engine.rvc.converter import Converter
from worker.engine.rvc.highpass import high_passed
from worker.engine.rvc.pitch import Pitch
from worker.engine.rvc.synthesizer import Synthesizer, Utterance
from worker.engine.rvc.voice import Voice

from .rvc_networks import Random, true_content, true_rmvpe, true_voice

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}

#: Twice the rounding of a sample of 16 bit, and then some: sums are added up in another order.
_EQUAL = 1e-4


def main() -> None:
    """Measure what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", default="fp16", choices=_DTYPES)
    parser.add_argument("--voices", type=int, default=8)
    parser.add_argument("--vectors", type=int, default=100_000)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, nargs="+", default=[5.0, 30.0])
    given = parser.parse_args()
    device = torch.device(given.device)
    _check(Random(device, torch.float32))
    random = Random(device, _DTYPES[given.precision])
    content, pitch = Content(true_content(random)), Pitch(true_rmvpe(random))
    voices = [true_voice(number, random, given.vectors) for number in range(given.voices)]
    print(f"{'stage':<12} {'seconds':>7} {'clips':>5} {'ms':>9} {'x real time':>11}")
    for seconds in given.seconds:
        for rows in given.batches:
            waves = [_wave(seconds, device, seed) for seed in range(rows)]
            for name, work in _stages(waves, voices, content, pitch).items():
                _time(name, work, seconds, rows, device)


def _stages(
    waves: list[Tensor], voices: list[Voice], content: Content, pitch: Pitch
) -> dict[str, Callable[[], object]]:
    """Return each stage over all clips, as the converter calls it, and the whole."""
    synthesizer = Synthesizer()
    converter = Converter(content, pitch, synthesizer)
    clips = [
        Clip(wave, 16000, voices[place % len(voices)], seed=place)
        for place, wave in enumerate(waves)
    ]
    features = content.features(waves, ["v2"] * len(waves))
    spoken = [_utterance(row, seed) for seed, row in enumerate(features)]

    def retrieve() -> None:
        for place, voice in enumerate(voices[: len(waves)]):
            if voice.index is not None:
                voice.index.blend(torch.cat(features[place :: len(voices)]), 0.75)

    def speak() -> None:
        for place, voice in enumerate(voices[: len(waves)]):
            rows = spoken[place :: len(voices)]
            synthesizer.synthesize(voice.config, voice.weights, rows)

    return {
        "high-pass": lambda: high_passed(waves),
        "content": lambda: content.features(waves, ["v2"] * len(waves)),
        "pitch": lambda: pitch.f0(waves),
        "retrieval": retrieve,
        "synthesizer": speak,
        "end to end": lambda: converter.convert(clips),
    }


def _utterance(features: Tensor, seed: int) -> Utterance:
    twice = features.repeat_interleave(2, dim=0)
    frames = len(twice)
    f0_hz = torch.full((frames,), 150.0, device=twice.device)
    coarse = torch.full((frames,), 60, device=twice.device)
    return Utterance(twice, coarse, f0_hz, (0, frames), seed=seed)


def _time(
    name: str, work: Callable[[], object], seconds: float, rows: int, device: torch.device
) -> None:
    times_s = []
    for _ in range(2):
        work()
    for _ in range(5):
        _wait(device)
        started_s = time.perf_counter()
        work()
        _wait(device)
        times_s.append(time.perf_counter() - started_s)
    took_s = statistics.median(times_s)
    speed = rows * seconds / took_s
    print(f"{name:<12} {seconds:>7.1f} {rows:>5} {1000 * took_s:>9.2f} {speed:>11.0f}", flush=True)


def _check(random: Random) -> None:
    """A batch of two lengths and voices is its clips alone."""
    voices = [true_voice(number, random, 2000) for number in range(2)]
    converter = Converter(Content(true_content(random)), Pitch(true_rmvpe(random)), Synthesizer())
    clips = [
        Clip(_wave(1.0 + place / 3, random.device, place), 16000, voices[place % 2], seed=place)
        for place in range(3)
    ]
    for clip, found in zip(clips, converter.convert(clips), strict=True):
        [alone] = converter.convert([clip])
        assert isinstance(found, Tensor) and isinstance(alone, Tensor)
        apart = float((found - alone).abs().max())
        print(f"a batch and its clip alone, float32: {apart:.1e} apart")
        assert apart < _EQUAL or random.device.type == "cuda"


def _wave(seconds: float, device: torch.device, seed: int) -> Tensor:
    generator = torch.Generator(device).manual_seed(seed)
    return 0.1 * torch.randn(round(16000 * seconds), generator=generator, device=device)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
