"""How fast RVC is: stage by stage, end to end, and the decoder in many shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from worker.engine.rvc.generator import generator_for
from worker.engine.rvc.highpass import high_passed
from worker.engine.triton_support import has_triton

from .rvc_floor import counted, rates, seconds
from .rvc_networks import Shapes
from .rvc_scene import PAD_FRAMES, Scene, utterance_of, wave_of


def stages(
    device: torch.device, dtype: torch.dtype, shapes: Shapes, voices: int,
    batches: Sequence[int], lengths_s: Sequence[float],
) -> bool:  # fmt: skip
    """Each stage and the whole, with the share of the floor that they reach."""
    scene = Scene.of(device, dtype, shapes, voices)
    plain = replace(scene, synthesizer=Scene.of(device, dtype, shapes, 1, triton=False).synthesizer)
    flop_per_s, bytes_per_s = rates(device, dtype)
    print(f"   multiplies {flop_per_s / 1e12:.3g} TFLOP/s, copies {bytes_per_s / 1e12:.3g} TB/s")
    print(f"   {'stage':12} {'seconds':>7} {'clips':>5} {'ms':>9} {'x real time':>11}"
          f" {'GFLOP/s of audio':>16} {'of the floor':>12}")  # fmt: skip
    for length_s in lengths_s:
        for rows in batches:
            waves = [wave_of(length_s, device, seed) for seed in range(rows)]
            works = _stages(scene, waves)
            plainly = _stages(plain, waves)
            audio_s = rows * length_s
            for name, work in works.items():
                found = counted(plainly[name])
                took_s = seconds(work, device)
                share = found.least_s(flop_per_s, bytes_per_s) / took_s
                print(
                    f"   {name:12} {length_s:7.1f} {rows:5} {1000 * took_s:9.2f} "
                    f"{audio_s / took_s:11.0f} {found.flop / audio_s / 1e9:16.1f} {share:12.0%}",
                    flush=True,
                )
    return True


def _stages(scene: Scene, waves: list[Tensor]) -> dict[str, Callable[[], object]]:
    """Return each stage over all recordings, as the converter calls it, and the whole."""
    voices = scene.voices
    # With a second more at both ends, as the converter hands it on.
    padded = [torch.nn.functional.pad(wave, (16000, 16000)) for wave in waves]
    features = scene.content.features(padded, ["v2"] * len(waves))
    spoken = [utterance_of(row, seed) for seed, row in enumerate(features)]
    clips = scene.clips(waves)
    converter = scene.converter()

    def retrieve() -> None:
        for place, voice in enumerate(voices[: len(waves)]):
            if voice.index is not None:
                voice.index.blend(torch.cat(features[place :: len(voices)]), 0.75)

    def speak() -> None:
        for place, voice in enumerate(voices[: len(waves)]):
            rows = spoken[place :: len(voices)]
            scene.synthesizer.synthesize(voice.config, voice.weights, rows)

    return {
        "high-pass": lambda: high_passed(waves),
        "content": lambda: scene.content.features(padded, ["v2"] * len(waves)),
        "pitch": lambda: scene.pitch.f0(padded),
        "retrieval": retrieve,
        "synthesizer": speak,
        "end to end": lambda: converter.convert(clips),
    }


def decoder_shapes(device: torch.device, dtype: torch.dtype, shapes: Shapes, *, tiny: bool) -> bool:
    """The decoder alone in batches of one width: where a library's choice of kernels is bad.

    What `Limits.frames`, `widest` and `grain` should be is read off here.
    """
    voice = Scene.of(device, dtype, replace(shapes, vectors=0), 1).voices[0]
    widths, frames = ((64,), (128,)) if tiny else ((128, 256, 512, 528, 1024, 1600),
                                                    (512, 1024, 2048, 4096, 8192))  # fmt: skip
    ways = [("plain", False, False)]
    if has_triton(device):
        ways += [("fused", True, False), ("fused, tried out", True, True)]
    print(f"   {'frames':>6} {'rows':>5} {'width':>6}" + "".join(f" {w[0]:>18}" for w in ways))
    for total in frames:
        for width in widths:
            rows = total // width
            if not rows:
                continue
            speeds = []
            for _, triton, tried in ways:
                torch.backends.cudnn.benchmark = tried
                work = _decoding(device, dtype, voice, rows, width, triton=triton)
                speeds.append(rows * width / 100 / seconds(work, device, 3))
            torch.backends.cudnn.benchmark = False
            told = "".join(f" {speed:18.0f}" for speed in speeds)
            print(f"   {total:6} {rows:5} {width:6}{told}", flush=True)
    print(f"   x real time of all frames; of a clip {PAD_FRAMES} frames less than it has are kept")
    return True


def _decoding(
    device: torch.device, dtype: torch.dtype, voice: object, rows: int, width: int, *, triton: bool
) -> Callable[[], object]:
    from worker.engine.rvc.voice import Voice

    assert isinstance(voice, Voice)
    config, weights = voice.config, voice.weights.decoder
    z = torch.randn(rows, width, config.inter_channels, device=device).to(dtype)
    condition = torch.randn(rows, config.initial_channels, device=device).to(dtype)
    source = 0.1 * torch.randn(rows, width * config.samples_per_frame, device=device).to(dtype)
    network = generator_for(device, triton=triton)

    @torch.inference_mode()
    def work() -> None:
        network(config, weights, z, condition, source)

    return work
