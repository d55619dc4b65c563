"""What coqui-tts makes of a prompt, up to where its vocoder begins."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from worker.engine.xtts.prompt import Prompt


def spoken_by_coqui(model: Any, prompt: Prompt) -> tuple[Tensor, Tensor]:
    """The ids [L] and latents [L, D] that `Xtts.inference` has on its way."""
    sampling = prompt.sampling
    voice = prompt.conditioning[None]
    ids = torch.tensor([list(prompt.text_ids)], dtype=torch.int32, device=voice.device)
    limit = {} if prompt.max_codes is None else {"max_new_tokens": prompt.max_codes}
    with torch.no_grad():
        codes = model.gpt.generate(
            cond_latents=voice,
            text_inputs=ids,
            do_sample=not sampling.greedy,
            temperature=sampling.temperature,
            top_k=sampling.top_k,
            top_p=sampling.top_p,
            repetition_penalty=sampling.repetition_penalty,
            num_return_sequences=1,
            num_beams=1,
            length_penalty=1.0,
            output_attentions=False,
            **limit,
        )
        latents = model.gpt(
            ids,
            torch.tensor([ids.shape[1]], device=voice.device),
            codes,
            torch.tensor([codes.shape[1] * model.gpt.code_stride_len], device=voice.device),
            cond_latents=voice,
            return_attentions=False,
            return_latent=True,
        )
    return codes[0], latents[0]
