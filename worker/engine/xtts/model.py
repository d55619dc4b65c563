"""XTTS-v2 as a `Model` of the engine: tokens, decoder and vocoder under one roof."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import torch

from ..errors import (
    ChunkFailed,
    EngineError,
    EngineOutOfMemory,
    UnsupportedLanguage,
)
from ..full_precision import keep_float32_exact
from ..model import ModelOffer, Outcome
from ..request import ChunkRequest, Samples, Sound
from ..triton_support import has_triton
from . import tails
from .checkpoint import XttsCheckpoint, load
from .conditioning import maker_of
from .config import XttsConfig
from .decoder import Decoder
from .files import VOCABULARY_FILE
from .library import VoiceLibrary
from .placement import DeviceName, Placement, Precision
from .prompt import Prompt
from .sampling import Sampling
from .tokens import Tokenizer
from .turns import BURST_STEPS, steps_of
from .vocoder import FITTING_WIDTHS, ROWS, URGENT_ROWS, Utterance, Vocoder
from .voices import Cast
from .weights import CONDITIONING

#: How rows share a step: see `Decoder`.
Mode = Literal["invariant", "latency"]

#: Decides the sound beside the files; changes when the same files and settings sound otherwise.
REVISION: Final = "xtts-2"


@dataclass(frozen=True, slots=True)
class _Parts:
    """All that is made of a checkpoint."""

    checkpoint: XttsCheckpoint
    tokenizer: Tokenizer
    decoder: Decoder
    vocoder: Vocoder
    cast: Cast
    offer: ModelOffer

    def offered(self) -> ModelOffer:
        """Return the offer with the voices of now."""
        return replace(self.offer, voices=self.cast.offered, faults=self.cast.faults)


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
        guarded: bool = True,
        voices_directory: str | Path | None = None,
    ) -> None:
        """Speaks with the checkpoint's voices and those of `voices_directory`.

        `slots` None is as many as fit (see `Placement`); `guarded` is what is offered.
        """
        self._directory = Path(directory)
        self._device: DeviceName = device
        self._precision: Precision = precision
        self._mode = mode
        self._slots = slots
        self._burst_steps = burst_steps
        self._trims = trims
        self._guarded = guarded
        self._library = VoiceLibrary(Path(voices_directory)) if voices_directory else None
        self._parts: _Parts | None = None
        self._rows: dict[int, ChunkRequest] = {}
        # Of those whose samples are being made: whether they met the model's limit.
        self._capped: dict[str, bool] = {}
        # A GPU has a burst to do while the host looks at the one before.
        self._in_flight = 0

    def load(self) -> None:
        """Read the files, place the weights and record the graphs.

        Raises `CheckpointError`, `EngineOutOfMemory`, or `EngineError` for what is missing.
        """
        place = Placement.choose(self._device, self._precision)
        if place.precision == "fp32":
            keep_float32_exact()
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
        return self._loaded().offered()

    def renew(self) -> ModelOffer | None:
        """Look for voices that were added, changed or removed. See `Renewable`."""
        parts = self._parts
        if parts is None or not parts.cast.renew():
            return None
        return parts.offered()

    def check(self, request: ChunkRequest) -> None:
        """Raise for what cannot be spoken, so that no row of a batch ever fails by itself.

        `UnknownVoice`, `UnsupportedLanguage`, `ChunkTooLong`, or `ChunkFailed` for an unreadable
        text and for parameters without meaning. The text's ids are remembered.
        """
        parts = self._loaded()
        parts.cast.check(request)
        if request.language not in parts.offer.languages:
            obstacle = parts.tokenizer.obstacle(request.language)
            raise UnsupportedLanguage(f"xtts does not speak {request.language!r}: {obstacle}")
        parts.tokenizer.encode(request.text, request.language)
        try:
            _sampling(request, parts.checkpoint.config)
        except (TypeError, ValueError) as error:
            raise ChunkFailed(str(error)) from error

    def prefill(self, rows: Sequence[tuple[int, ChunkRequest]]) -> None:
        """Put checked requests into their slots, or raise `EngineOutOfMemory`."""
        parts = self._loaded()
        pinned = {slot: parts.cast.pinned(request) for slot, request in rows}
        prompts = [
            Prompt(
                slot,
                parts.tokenizer.encode(request.text, request.language),
                parts.cast.speaker(request).latents,
                _sampling(request, parts.checkpoint.config),
            )
            for slot, request in pinned.items()
        ]
        with _out_of_memory():
            parts.decoder.prefill(prompts)
        self._rows.update(pinned)

    def decode(self) -> Sequence[int]:
        """Advance every row by a burst of steps; return the slots that are known to have ended."""
        decoder = self._loaded().decoder
        with _out_of_memory():
            decoder.burst(steps_of(self._burst_steps, self._rows.values()))
        return tuple(decoder.poll(self._in_flight))

    def vocode(self, slots: Sequence[int], *, wait: bool) -> Mapping[str, Outcome]:
        """Begin the samples of ended rows; return those that are done."""
        parts = self._loaded()
        outcomes: dict[str, Outcome] = {}
        for slot in slots:
            request = self._rows[slot]
            latents = parts.decoder.latents(slot)
            utterance = Utterance(latents, parts.cast.speaker(request), request.speed)
            try:
                with _out_of_memory():
                    parts.vocoder.begin(request.id, utterance, urgent=request.interactive)
            except EngineOutOfMemory as error:
                outcomes[request.id] = error
                continue
            # Asked now: the next row in this slot has other codes.
            self._capped[request.id] = parts.decoder.is_capped(slot)
        self.release(slots)
        parts.vocoder.advance(flush=wait)
        for request_id, samples in parts.vocoder.finished(wait=wait and not outcomes):
            capped = self._capped.pop(request_id)
            outcomes[request_id] = self._finished(samples, capped=capped)
        return outcomes

    def release(self, slots: Sequence[int]) -> None:
        """Forget rows."""
        self._loaded().decoder.release(slots)
        for slot in slots:
            self._rows.pop(slot, None)

    def close(self) -> None:
        """Let go of the tensors, and give a GPU its memory back."""
        self._parts = None
        self._rows.clear()
        self._capped.clear()
        # The decoder's recorded steps refer to it: only the collector ends that circle.
        gc.collect()
        torch.cuda.empty_cache()

    def _assembled(self, place: Placement) -> _Parts:
        checkpoint = load(self._directory, place.device, place.dtype)
        # First, as it is what may be missing and costs no memory.
        tokenizer = Tokenizer(self._directory / VOCABULARY_FILE, checkpoint.gpt.max_text_ids)
        slots = self._slots or place.slots(checkpoint.gpt)
        maker = maker_of(self._directory)
        return _Parts(
            checkpoint=checkpoint,
            tokenizer=tokenizer,
            decoder=Decoder(checkpoint.gpt, slots, invariant=self._mode == "invariant"),
            vocoder=Vocoder(
                checkpoint.vocoder,
                dtype=place.vocoder_dtype,
                rows=None if place.is_cuda else 1,
                widths=tuple(ROWS) if place.is_cuda else FITTING_WIDTHS,
                urgent_rows=URGENT_ROWS if place.is_cuda else None,
                fit=not place.is_cuda,
                graphs=place.is_cuda,
                triton=has_triton(place.device),
                invariant=self._mode == "invariant",
            ),
            cast=Cast(checkpoint.speakers, place.device, self._library, maker),
            offer=ModelOffer(
                engine="xtts",
                revision="+".join((REVISION, checkpoint.revision, place.precision, self._mode)),
                device=place.name,
                sample_rate_hz=checkpoint.vocoder.sample_rate_hz,
                slots=slots,
                languages=tokenizer.readable(checkpoint.config.languages),
                voices=(),
                guarded=self._guarded,
            ),
        )

    def _finished(self, samples: Samples, *, capped: bool) -> Outcome:
        """Return what a take is to be in the end."""
        if not samples.size:
            return ChunkFailed("nothing is left of the text at this speed")
        if not self._trims:
            return Sound(samples, truncated=capped)
        return tails.ended(samples, self._loaded().offer.sample_rate_hz, capped=capped)

    def _loaded(self) -> _Parts:
        if self._parts is None:
            raise EngineError("the xtts engine is not loaded")
        return self._parts


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
