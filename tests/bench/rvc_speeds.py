"""How fast RVC is: stage by stage, end to end, and the decoder in many shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from worker.engine.rvc.generator import generator_for
from worker.engine.rvc.highpass import high_passed
from worker.engine.rvc.voice import Voice
from worker.engine.triton_support import has_triton
from worker.engine.xtts.graphs import Graphs

from .rvc_floor import counted, rates, seconds
from .rvc_networks import Shapes
from .rvc_profile import show
from .rvc_scene import PAD_FRAMES, Scene, utterance_of, wave_of

#: Shapes of the decoder that are tried, and the frames of the largest.
_WIDTHS = (512, 544, 1056)
_ROWS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16)
_MOST_FRAMES = 8704


def stages(
    device: torch.device, dtype: torch.dtype, shapes: Shapes, voices: int,
    batches: Sequence[int], lengths_s: Sequence[float], *, quick: bool = False,
) -> bool:  # fmt: skip
    """Each stage and the whole, with the share of the floor that they reach.

    `quick` is the synthesizer and the whole alone, three times each, without the floor.
    """
    scene = Scene.of(device, dtype, shapes, voices)
    plain = replace(scene, synthesizer=Scene.of(device, dtype, shapes, 1, triton=False).synthesizer)
    flop_per_s, bytes_per_s = (1.0, 1.0) if quick else rates(device, dtype)
    if not quick:
        print(
            f"   multiplies {flop_per_s / 1e12:.3g} TFLOP/s, copies {bytes_per_s / 1e12:.3g} TB/s"
        )
    print(f"   {'stage':14} {'seconds':>7} {'clips':>5} {'ms':>9} {'x real time':>11}"
          f" {'GFLOP/s of audio':>16} {'of the floor':>12}")  # fmt: skip
    for length_s in lengths_s:
        for rows in batches:
            waves = [wave_of(length_s, device, seed) for seed in range(rows)]
            if quick:
                _tell_quickly(_stages(scene, waves), rows, length_s, device)
                continue
            works = _stages(scene, waves)
            plainly = _stages(plain, waves)
            audio_s = rows * length_s
            for name, work in works.items():
                found = counted(plainly[name])
                took_s = seconds(work, device)
                share = found.least_s(flop_per_s, bytes_per_s) / took_s
                print(
                    f"   {name:14} {length_s:7.1f} {rows:5} {1000 * took_s:9.2f} "
                    f"{audio_s / took_s:11.0f} {found.flop / audio_s / 1e9:16.1f} {share:12.0%}",
                    flush=True,
                )
    return True


def _tell_quickly(
    works: dict[str, Callable[[], object]], rows: int, length_s: float, device: torch.device
) -> None:
    for name in ("synthesizer", "end to end"):
        took_s = seconds(works[name], device, 3)
        print(
            f"   {name:14} {length_s:7.1f} {rows:5} {1000 * took_s:9.2f} "
            f"{rows * length_s / took_s:11.0f}",
            flush=True,
        )


def _padded(waves: list[Tensor]) -> list[Tensor]:
    """With a second more at both ends, as the converter hands it on."""
    return [torch.nn.functional.pad(wave, (16000, 16000)) for wave in waves]


def _stages(scene: Scene, waves: list[Tensor]) -> dict[str, Callable[[], object]]:
    """Return each stage over all recordings, as the converter calls it, and the whole."""
    voices = scene.voices
    padded = _padded(waves)
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

    What the synthesizer's fixed shapes should be is read off here.
    """
    voice = Scene.of(device, dtype, replace(shapes, vectors=0), 1).voices[0]
    widths, counts = ((64,), (1, 2)) if tiny else (_WIDTHS, _ROWS)
    is_fused = has_triton(device)
    print(f"   {'frames':>6} {'rows':>5} {'width':>6} {'from the host':>14} {'as a graph':>11}")
    for width in widths:
        for rows in counts:
            if rows * width > _MOST_FRAMES:
                continue
            work = _decoding(device, dtype, voice, rows, width, triton=is_fused)
            graph = Graphs(device).record(work)
            plain, replayed = (
                rows * width / 100 / seconds(each, device, 3) for each in (work, graph)
            )
            told = f"   {rows * width:6} {rows:5} {width:6} {plain:14.0f} {replayed:11.0f}"
            print(told, flush=True)
            del graph
    if not tiny:
        _look_at_the_worst(device, dtype, voice)
    print(f"   x real time of all frames, {'fused' if is_fused else 'plain'}; of a clip "
          f"{PAD_FRAMES} frames less than it has are kept")  # fmt: skip
    return True


def _look_at_the_worst(device: torch.device, dtype: torch.dtype, voice: Voice) -> None:
    """A shape that was six times as slow as others: by which kernel, and is there no better one?"""
    work = _decoding(device, dtype, voice, 4, 512, triton=has_triton(device))
    print("   4 rows of 512:")
    show(work, device)
    kept = torch.backends.cudnn.benchmark_limit
    torch.backends.cudnn.benchmark, torch.backends.cudnn.benchmark_limit = True, 0
    try:
        print(f"   the best of all kernels: {4 * 5.12 / seconds(work, device, 3):.0f}")
    finally:
        torch.backends.cudnn.benchmark, torch.backends.cudnn.benchmark_limit = False, kept


def _decoding(
    device: torch.device, dtype: torch.dtype, voice: Voice, rows: int, width: int, *, triton: bool
) -> Callable[[], None]:
    config, weights = voice.config, voice.weights.decoder
    z = torch.randn(rows, width, config.inter_channels, device=device).to(dtype)
    condition = torch.randn(rows, config.initial_channels, device=device).to(dtype)
    source = 0.1 * torch.randn(rows, width * config.samples_per_frame, device=device).to(dtype)
    network = generator_for(device, triton=triton)

    @torch.inference_mode()
    def work() -> None:
        network(config, weights, z, condition, source)

    return work
