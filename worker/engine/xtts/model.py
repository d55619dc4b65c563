"""XTTS-v2 as a `Model` of the engine: tokens, decoder and vocoder under one roof."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import torch
from torch import Tensor

from ..errors import (
    ChunkFailed,
    EngineError,
    EngineOutOfMemory,
    UnknownVoice,
    UnsupportedLanguage,
)
from ..model import ModelOffer, ModelVoice
from ..request import ChunkRequest, Samples
from . import tails, voices
from .checkpoint import XttsCheckpoint, load
from .config import XttsConfig
from .decoder import Decoder
from .files import VOCABULARY_FILE
from .placement import DeviceName, Placement, Precision
from .prompt import Prompt
from .sampling import Sampling
from .speakers import Speaker
from .tokens import Tokenizer
from .vocoder import Utterance, Vocoder
from .weights import CONDITIONING

#: How rows share a step: see `Decoder`.
Mode = Literal["invariant", "latency"]

#: Decides the sound beside the files; changes when the same files and settings sound otherwise.
REVISION: Final = "xtts-1"

#: Steps between two looks at which rows have ended. An ended row idles for half of them.
BURST_STEPS: Final = 8

#: Windows that the vocoder computes together on a GPU. A processor is best off with one.
_CUDA_WINDOWS: Final = 16

#: Spellings of the languages that people use, beside those of the checkpoint.
_SPELLINGS: Final = ("en-gb", "en-us", "pt-br", "zh")


@dataclass(frozen=True, slots=True)
class _Parts:
    """All that is made of a checkpoint."""

    checkpoint: XttsCheckpoint
    tokenizer: Tokenizer
    decoder: Decoder
    vocoder: Vocoder
    voices: Mapping[str, Speaker]
    offer: ModelOffer


class XttsModel:
    """A `Model` over a directory of XTTS-v2 files. Plain JSON makes one.

    In full precision on a processor its samples are those of coqui-tts, but for the ends of
    takes (see `tails`), which `trims` false leaves as they are.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        device: DeviceName = "auto",
        precision: Precision = "auto",
        mode: Mode = "invariant",
        slots: int | None = None,
        burst_steps: int = BURST_STEPS,
        trims: bool = True,
    ) -> None:
        """`slots` None is as many as fit (see `Placement`)."""
        self._directory = Path(directory)
        self._device: DeviceName = device
        self._precision: Precision = precision
        self._mode = mode
        self._slots = slots
        self._burst_steps = burst_steps
        self._trims = trims
        self._parts: _Parts | None = None
        self._rows: dict[int, ChunkRequest] = {}
        # A GPU has a burst to do while the host looks at the one before.
        self._in_flight = 0

    def load(self) -> None:
        """Read the files, place the weights and record the graphs.

        Raises `CheckpointError`, `EngineOutOfMemory`, or `EngineError` for what is missing.
        """
        place = Placement.choose(self._device, self._precision)
        if place.precision == "fp32":
            # Otherwise the convolutions of a GPU would round to ten bits.
            torch.backends.cuda.matmul.allow_tf32 = False
            torch.backends.cudnn.allow_tf32 = False
        with _out_of_memory():
            self._parts = self._assembled(place)
        self._in_flight = 1 if place.is_cuda else 0

    @torch.inference_mode()
    def warm_up(self) -> None:
        """Run one short row from its prompt to its samples, and every window of the vocoder."""
        parts = self._loaded()
        weights = parts.checkpoint.gpt
        silence = weights.mel_embedding.new_zeros(CONDITIONING, weights.width)
        with _out_of_memory():
            parts.decoder.prefill([Prompt(0, [weights.start_text_id], silence, max_codes=1)])
            parts.decoder.burst(1)
            parts.decoder.poll()
            parts.decoder.release([0])
            parts.vocoder.warm_up()

    def offer(self) -> ModelOffer:
        """Tell what can be asked for."""
        return self._loaded().offer

    def check(self, request: ChunkRequest) -> None:
        """Raise for what cannot be spoken, so that no row of a batch ever fails by itself.

        `UnknownVoice`, `UnsupportedLanguage`, or `ChunkFailed` for a text that is too long or
        unreadable and for parameters without meaning. The text's ids are remembered.
        """
        parts = self._loaded()
        if request.voice not in parts.voices:
            raise UnknownVoice(f"xtts has no voice {request.voice!r}")
        if request.language not in parts.offer.languages:
            raise UnsupportedLanguage(f"xtts does not speak {request.language!r}")
        parts.tokenizer.encode(request.text, request.language)
        try:
            _sampling(request, parts.checkpoint.config)
        except (TypeError, ValueError) as error:
            raise ChunkFailed(str(error)) from error

    def prefill(self, rows: Sequence[tuple[int, ChunkRequest]]) -> None:
        """Put checked requests into their slots, or raise `EngineOutOfMemory`."""
        parts = self._loaded()
        prompts = [
            Prompt(
                slot,
                parts.tokenizer.encode(request.text, request.language),
                parts.voices[request.voice].latents,
                _sampling(request, parts.checkpoint.config),
            )
            for slot, request in rows
        ]
        with _out_of_memory():
            parts.decoder.prefill(prompts)
        self._rows.update(rows)

    def decode(self) -> Sequence[int]:
        """Advance every row by a burst of steps; return the slots that are known to have ended."""
        decoder = self._loaded().decoder
        with _out_of_memory():
            decoder.burst(self._burst_steps)
        return tuple(decoder.poll(self._in_flight))

    def vocode(self, slots: Sequence[int]) -> Sequence[Samples | Exception]:
        """Return the samples of ended rows, all computed together."""
        parts = self._loaded()
        requests = [self._rows[slot] for slot in slots]
        utterances = [
            Utterance(parts.decoder.latents(slot), parts.voices[request.voice], request.speed)
            for slot, request in zip(slots, requests, strict=True)
        ]
        takes = [
            sound if isinstance(sound, Exception) else self._finished(slot, sound)
            for slot, sound in zip(slots, self._sounds(utterances), strict=True)
        ]
        self.release(slots)
        return takes

    def release(self, slots: Sequence[int]) -> None:
        """Forget rows."""
        self._loaded().decoder.release(slots)
        for slot in slots:
            self._rows.pop(slot, None)

    def close(self) -> None:
        """Let go of the tensors, and give a GPU its memory back."""
        self._parts = None
        self._rows.clear()
        # The decoder's recorded steps refer to it: only the collector ends that circle.
        gc.collect()
        torch.cuda.empty_cache()

    def _assembled(self, place: Placement) -> _Parts:
        checkpoint = load(self._directory, place.device, place.dtype)
        # First, as it is what may be missing and costs no memory.
        tokenizer = Tokenizer(self._directory / VOCABULARY_FILE, checkpoint.gpt.max_text_ids)
        slots = self._slots or place.slots(checkpoint.gpt)
        named = voices.by_name(checkpoint.speakers)
        return _Parts(
            checkpoint=checkpoint,
            tokenizer=tokenizer,
            decoder=Decoder(checkpoint.gpt, slots, invariant=self._mode == "invariant"),
            vocoder=Vocoder(
                checkpoint.vocoder,
                dtype=place.vocoder_dtype,
                layout="channels_last" if place.is_cuda else "time",
                rows=_CUDA_WINDOWS if place.is_cuda else 1,
                graphs=place.is_cuda,
            ),
            voices=named,
            offer=ModelOffer(
                engine="xtts",
                revision="+".join((REVISION, checkpoint.revision, place.precision, self._mode)),
                device=place.name,
                sample_rate_hz=checkpoint.vocoder.sample_rate_hz,
                slots=slots,
                languages=_languages(checkpoint.config),
                voices=tuple(ModelVoice(name, one.revision) for name, one in named.items()),
            ),
        )

    def _sounds(self, utterances: Sequence[Utterance]) -> list[Tensor | Exception]:
        """Return the samples of each utterance on its device; what does not fit, halved."""
        try:
            return [*self._loaded().vocoder.vocode(utterances)]
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            if len(utterances) == 1:
                return [EngineOutOfMemory(str(error))]
        middle = len(utterances) // 2
        return self._sounds(utterances[:middle]) + self._sounds(utterances[middle:])

    def _finished(self, slot: int, sound: Tensor) -> Samples | Exception:
        """Return what a take is to be in the end."""
        parts = self._loaded()
        samples: Samples = sound.cpu().numpy()
        if not samples.size:
            return ChunkFailed("nothing is left of the text at this speed")
        if not self._trims:
            return samples
        weights, codes = parts.checkpoint.gpt, parts.decoder.codes(slot)
        if len(codes) == weights.max_codes and codes[-1] != weights.stop_mel_id:
            return tails.faded(samples, parts.offer.sample_rate_hz)
        return tails.trimmed(samples, parts.offer.sample_rate_hz)

    def _loaded(self) -> _Parts:
        if self._parts is None:
            raise EngineError("the xtts engine is not loaded")
        return self._parts


def _languages(config: XttsConfig) -> tuple[str, ...]:
    known = {code.partition("-")[0] for code in config.languages}
    spellings = (code for code in _SPELLINGS if code.partition("-")[0] in known)
    return tuple(sorted({*config.languages, *spellings}))


def _sampling(request: ChunkRequest, config: XttsConfig) -> Sampling:
    """Return how a request draws; what it leaves open is the checkpoint's own.

    `length_penalty` has no part in it: the reference heeds it in beam search alone.
    """
    given = {name: value for name, value in request.parameters.items() if value is not None}
    return Sampling(
        temperature=float(given.get("temperature", config.temperature)),
        top_k=int(given.get("top_k", config.top_k)),
        top_p=float(given.get("top_p", config.top_p)),
        repetition_penalty=float(given.get("repetition_penalty", config.repetition_penalty)),
        seed=request.seed,
    )


@contextmanager
def _out_of_memory() -> Iterator[None]:
    """Say it in the engine's words."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        torch.cuda.empty_cache()
        raise EngineOutOfMemory(str(error)) from error
