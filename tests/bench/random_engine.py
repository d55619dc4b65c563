"""XTTS and RVC of the true shapes with random weights, as an engine has them, without any file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import torch

from tests.unit.worker.engine.rvc.tiny_voice import config_of, tensors_of
from worker.engine.model import ModelOffer
from worker.engine.request import ChunkRequest
from worker.engine.rvc.content import Content
from worker.engine.rvc.engine_converter import RvcConverter
from worker.engine.rvc.pitch import Pitch
from worker.engine.rvc.shelf_file import ShelfCard, ShelvedVoice
from worker.engine.rvc.voice_file import VoiceWeights
from worker.engine.triton_support import has_triton
from worker.engine.xtts import model as xtts
from worker.engine.xtts.decoder import Decoder
from worker.engine.xtts.placement import Placement
from worker.engine.xtts.speakers import Speaker
from worker.engine.xtts.vocoder import Vocoder
from worker.engine.xtts.voices import Cast

from .rvc_networks import Random, Shapes, content_of, index_of, rmvpe_of
from .xtts_pipeline import random_vocoder
from .xtts_rows import _NEVER, TRUE_SHAPES, prompt_of, random_gpt

#: Voices that speak, and into which it is converted.
VOICES = 8


class RandomXtts(xtts.XttsModel):
    """Speaks noise of a length: the text of a request is a number of codes."""

    def __init__(self, layers: int, slots: int | None) -> None:
        super().__init__("nowhere", slots=slots, trims=False)
        self._layers = layers

    def prefill(self, rows: Sequence[tuple[int, ChunkRequest]]) -> None:
        parts = self._loaded()
        pinned = {slot: parts.cast.pinned(request) for slot, request in rows}
        prompts = [
            prompt_of(
                parts.checkpoint.gpt,
                slot,
                request.seed,
                codes=int(request.text),
                voice=parts.cast.speaker(request).latents,
            )
            for slot, request in pinned.items()
        ]
        with xtts._out_of_memory():
            parts.decoder.prefill(prompts)
        self._rows.update(pinned)

    def _assembled(self, place: Placement) -> xtts._Parts:
        shape = TRUE_SHAPES | {"layers": self._layers}
        gpt = random_gpt(**shape, device=str(place.device), dtype=place.dtype, stop_bias=_NEVER)
        vocoder = random_vocoder(place.device)
        slots = self._slots or place.slots(gpt)
        generator = torch.Generator().manual_seed(2)
        speakers = {
            f"speaker-{number}": Speaker.of(
                torch.randn(32, gpt.width, generator=generator),
                torch.randn(512, generator=generator),
            )
            for number in range(VOICES)
        }
        config = SimpleNamespace(temperature=0.75, top_k=50, top_p=0.85, repetition_penalty=5.0)
        checkpoint: Any = SimpleNamespace(gpt=gpt, vocoder=vocoder, config=config)
        return xtts._Parts(
            checkpoint=checkpoint,
            tokenizer=cast(Any, SimpleNamespace(encode=lambda _text, _language: [])),
            decoder=Decoder(gpt, slots, invariant=True),
            vocoder=Vocoder(
                vocoder,
                dtype=place.vocoder_dtype,
                layout="channels_last" if place.is_cuda else "time",
                rows=None if place.is_cuda else 1,
                graphs=place.is_cuda,
                triton=has_triton(place.device),
            ),
            cast=Cast(speakers, place.device, None, cast(Any, None)),
            offer=ModelOffer(
                engine="xtts", revision="random", device=place.name,
                sample_rate_hz=vocoder.sample_rate_hz, slots=slots, languages=("en",), voices=(),
                guarded=False,
            ),
        )  # fmt: skip


@dataclass(frozen=True)
class RandomLibrary:
    """Voices that are drawn when they are read. All have the same index, each its own copy."""

    shapes: Shapes

    def cards(self) -> Mapping[str, ShelfCard]:
        return {name: self.card(name) for name in map("voice-{}".format, range(VOICES))}

    def card(self, name: str) -> ShelfCard:
        config = config_of("v2", 40000, sizes=self.shapes.voice)
        return ShelfCard(
            name=name, revision=f"{name}-random", config=config.fields(),
            vectors=self.shapes.vectors, model_sha256="", created_at="",
        )  # fmt: skip

    def read(self, name: str) -> ShelvedVoice:
        card = self.card(name)
        config = card.sizes()
        weights = VoiceWeights(config, tensors_of(config, int(name.split("-")[1])))
        return ShelvedVoice(card, weights, index_of(0, self.shapes.vectors))


class RandomRvc(RvcConverter):
    """Converts into random voices, which its shelf holds as it holds any."""

    def __init__(self, shapes: Shapes, *, graphs: bool = True) -> None:
        super().__init__("nowhere", graphs=graphs)
        self._shapes = shapes

    def load(self) -> None:
        place = Placement.choose("auto", "auto")
        dtype, device = place.vocoder_dtype, place.device
        content = Content(content_of(Random(device, dtype, 1), self._shapes))
        pitch = Pitch(rmvpe_of(Random(device, dtype, 2), self._shapes))
        library: Any = RandomLibrary(self._shapes)
        self._parts = self._placed(place, content, pitch, library, "random")
