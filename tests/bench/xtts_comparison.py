"""One set of chunks, spoken by coqui-tts and by us from the same checkpoint on one device."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from worker.engine.engine import Engine
from worker.engine.request import ChunkRequest
from worker.engine.triton_support import has_triton
from worker.engine.xtts.checkpoint import load
from worker.engine.xtts.decoder import Decoder
from worker.engine.xtts.model import XttsModel
from worker.engine.xtts.prompt import Prompt
from worker.engine.xtts.sampling import Noise, Sampling
from worker.engine.xtts.speakers import Speaker
from worker.engine.xtts.vocoder import Utterance, Vocoder
from worker.engine.xtts.weights import CONDITIONING, GptWeights

from .xtts_copies import CODE_S, FIVE_SECONDS
from .xtts_published import (
    EMBEDDING,
    Sizes,
    Stock,
    drawing_like_ours,
    drawn_model,
    write_description,
)
from .xtts_rows import prompt_of, takes_of

#: Ids of the chunks that are compared: 8 to 56.
_SHORTEST: Final = 8
_LENGTHS: Final = 49

#: Names of the voices, and texts that are spoken at once by the whole engine.
_VOICES: Final = ("anna", "bert")
_TEXTS: Final = 8


@dataclass(frozen=True, eq=False)
class Spoken:
    """What one chunk became, on the host."""

    ids: list[int]
    latents: Tensor  # [ids, D]
    samples: Tensor  # [n]


class Comparison:
    """One checkpoint, one set of chunks, two voices."""

    def __init__(self, directory: Path, device: torch.device, sizes: Sizes, chunks: int) -> None:
        self.directory = directory
        self.device = device
        self.cuda = device.type == "cuda"
        self.sizes = sizes
        self.chunks = chunks
        self._model = drawn_model(device, sizes)
        write_description(directory, sizes)
        state = {name: tensor.cpu() for name, tensor in self._model.state_dict().items()}
        torch.save({"model": state}, directory / "model.pth")
        voices = {
            name: {
                "gpt_cond_latent": torch.randn(1, CONDITIONING, sizes.width),
                "speaker_embedding": torch.randn(1, EMBEDDING, 1),
            }
            for name in _VOICES
        }
        torch.save(voices, directory / "speakers_xtts.pth")
        self._speakers = list(load(directory, device).speakers.values())
        self._theirs: list[Spoken] = []

    def equal_to_coqui(self) -> bool:
        """Speak all chunks twice in float32 and compare."""
        with exact():
            checkpoint = load(self.directory, self.device)
            prompts = self._prompts(checkpoint.gpt)
            self._theirs = list(self._spoken_by_stock(prompts))
            decoder = Decoder(checkpoint.gpt, self.chunks)
            takes = takes_of(decoder, prompts)
            vocoder = Vocoder(
                checkpoint.vocoder,
                rows=None if self.cuda else 1,
                layout="channels_last" if self.cuda else "time",
                graphs=self.cuda,
                triton=has_triton(self.device),
            )
            utterances = [
                Utterance(latents.to(self.device), self._speaker(number))
                for number, (_, latents) in enumerate(takes)
            ]
            samples = vocoder.vocode(utterances)
        ours = [Spoken(*take, wave) for take, wave in zip(takes, samples, strict=True)]
        pairs = list(zip(ours, self._theirs, strict=True))
        same = [(one, other) for one, other in pairs if one.ids == other.ids]
        lengths = sum(len(one.samples) == len(other.samples) for one, other in same)
        loud = max(float(other.samples.abs().max()) for other in self._theirs)
        print(
            f"   ids of {len(same)} chunks of {len(pairs)} equal; of these latents within "
            f"{max(_apart(one.latents, other.latents) for one, other in same):.1e}, {lengths} as "
            f"long, samples within "
            f"{max(_apart(one.samples, other.samples) for one, other in same):.1e} of {loud:.2f}"
        )
        return len(same) == len(pairs) == lengths

    def half_precision(self) -> bool:
        """Force coqui-tts' ids upon our half precision; compare latents."""
        gpt = self.gpt()
        longest = max(len(one.ids) for one in self._theirs)
        ids = torch.tensor([one.ids + [0] * (longest - len(one.ids)) for one in self._theirs])
        flat = Sampling(temperature=1e4, top_k=0, top_p=1.0, repetition_penalty=1.0)
        prompts = [
            replace(prompt, sampling=replace(flat, seed=number))
            for number, prompt in enumerate(self._prompts(gpt))
        ]
        takes = takes_of(Decoder(gpt, self.chunks, noise=_forcing(ids.to(self.device))), prompts)
        pairs = list(zip(takes, self._theirs, strict=True))
        errors = [float((m[1] - t.latents).norm() / t.latents.norm()) for m, t in pairs]
        same = all(mine[0] == theirs.ids for mine, theirs in pairs)
        print(
            f"   {gpt.dtype}, ids forced ({same}): latents off by {statistics.mean(errors):.2e} of "
            f"their norm, {max(errors):.2e} in the worst chunk"
        )
        return same

    def whole(self) -> bool:
        """Speak through the engine, as a worker does, a text alone and among others."""
        engine = Engine(XttsModel(self.directory, trims=False, guarded=False))
        engine.start()
        engine.ready.result()
        offer = engine.offer()
        voice = offer.voices[0].name
        requests = [
            ChunkRequest(str(number), "speak well. " * (number + 1), "en", voice, number)
            for number in range(_TEXTS)
        ]
        alone = engine.submit(requests[0]).result().samples
        futures = [engine.submit(request) for request in requests]
        takes = [future.result() for future in futures]
        engine.close()
        same = np.array_equal(alone, takes[0].samples)
        longest_s = max(take.duration_s for take in takes)
        print(
            f"   {offer.slots} slots on {offer.device}, {offer.revision.split('+')[2]}: a text "
            f"alone and among {_TEXTS - 1} others bit for bit {same}, {longest_s:.1f} s the longest"
        )
        return same and bool(np.abs(alone).max() > 0)

    def stock_speed(self, *, half: bool) -> float:
        """Return the speed of coqui-tts, chunks of 5 s one after the other."""
        stock = Stock(self._model, half=half)
        voice = self._speaker(0)
        prompt = Prompt(0, list(range(3, 63)), voice.latents, max_codes=FIVE_SECONDS)
        stock.speak(replace(prompt, max_codes=8), voice.embedding)
        took_s = []
        for _ in range(3):
            start_s = time.perf_counter()
            stock.speak(prompt, voice.embedding)
            took_s.append(time.perf_counter() - start_s)
        return FIVE_SECONDS * CODE_S / statistics.median(took_s)

    def gpt(self) -> GptWeights:
        """Return our GPT in the precision that is timed."""
        return load(self.directory, self.device, torch.bfloat16).gpt

    def _speaker(self, number: int) -> Speaker:
        return self._speakers[number % len(self._speakers)]

    def _prompts(self, gpt: GptWeights) -> list[Prompt]:
        return [
            prompt_of(
                gpt,
                number,
                number,
                codes=_SHORTEST + number * 7 % _LENGTHS,
                voice=self._speaker(number).latents,
            )
            for number in range(self.chunks)
        ]

    def _spoken_by_stock(self, prompts: Sequence[Prompt]) -> Iterator[Spoken]:
        stock = Stock(self._model)
        for number, prompt in enumerate(prompts):
            with drawing_like_ours(prompt.sampling.seed):
                yield Spoken(*stock.speak(prompt, self._speaker(number).embedding))


@contextmanager
def exact() -> Iterator[None]:
    """Let a GPU multiply in float32, as a CPU does, and not in ten bits."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def _forcing(ids: Tensor) -> Noise:
    """Noise in which the row with seed n draws `ids[n]`, one after the other."""

    def noise(seeds: Tensor, steps: Tensor, count: int) -> Tensor:
        rows, columns = seeds.clamp(0, ids.shape[0] - 1), steps.clamp(0, ids.shape[1] - 1)
        flat = torch.ones(len(seeds), count, device=ids.device)
        return flat.scatter_(1, ids[rows, columns][:, None], 1e-20)

    return noise


def _apart(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max())
