"""A GPT of any size with random weights: for what does not depend on their values."""

from __future__ import annotations

import torch

from worker.engine.xtts.weights import GptWeights, LayerWeights


def random_gpt(
    *,
    layers: int = 2,
    width: int = 64,
    heads: int = 4,
    audio_ids: int = 66,
    text_ids: int = 256,
    max_codes: int = 24,
    max_text_ids: int = 60,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    stop_bias: float = 2.0,
) -> GptWeights:
    """Return weights with peaked logits. With a higher `stop_bias` rows end earlier."""
    generator = torch.Generator(device).manual_seed(seed)

    def table(rows: int, columns: int = width, scale: float = 1.0) -> torch.Tensor:
        return torch.randn(rows, columns, generator=generator, device=device) * scale

    def vector(size: int, mean: float = 0.0) -> torch.Tensor:
        return mean + 0.1 * torch.randn(size, generator=generator, device=device)

    def linear(out: int, into: int) -> tuple[torch.Tensor, torch.Tensor]:
        return table(out, into, into**-0.5).to(dtype), vector(out).to(dtype)

    def layer() -> LayerWeights:
        norms = (vector(width, 1.0), vector(width)), (vector(width, 1.0), vector(width))
        return LayerWeights(
            *(*norms[0], *linear(3 * width, width), *linear(width, width)),
            *(*norms[1], *linear(4 * width, width), *linear(width, 4 * width)),
        )

    head_bias = vector(audio_ids)
    head_bias[-1] += stop_bias
    return GptWeights(
        text_embedding=table(text_ids),
        text_positions=table(max_text_ids + 3),
        mel_embedding=table(audio_ids),
        mel_positions=table(max_codes + 6),
        layers=tuple(layer() for _ in range(layers)),
        ln_f_weight=vector(width, 1.0),
        ln_f_bias=vector(width),
        final_norm_weight=vector(width, 1.0),
        final_norm_bias=vector(width),
        mel_head_weight=table(audio_ids, width, 3 * width**-0.5),
        mel_head_bias=head_bias,
        heads=heads,
        start_text_id=3,
        stop_text_id=0,
        start_mel_id=audio_ids - 2,
        stop_mel_id=audio_ids - 1,
    )
