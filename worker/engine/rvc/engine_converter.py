"""RVC as a `VoiceConverter` of the engine: shared networks, a shelf of voices, one converter."""

from __future__ import annotations

import gc
import logging
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from ..converter import Converting, LongSource, Portions, Source
from ..errors import (
    CheckpointError,
    EngineError,
    EngineOutOfMemory,
    NoConversion,
    UnknownVoice,
)
from ..lifecycle import Facts
from ..model import ConversionOffer
from ..progress import Progress, Stage
from ..request import ConversionRequest
from ..xtts.placement import DeviceName, Placement, Precision
from .asked import clip_of, conversion_of
from .audio_file import AudioFile
from .begun_batch import BegunBatch
from .clip import Clip
from .content import Content
from .content_file import read_content
from .converter import Converter
from .library import RvcLibrary
from .long_conversion import LongClip, LongConversion
from .pitch import Pitch
from .rmvpe_file import read_rmvpe
from .room import Rooms
from .shared_files import PITCH_FILE, VOICES, content_file, hash_of, missing_files
from .synthesizer import Synthesizer
from .targets import Targets, check_fit
from .voice import Voice
from .voices import VoiceShelf
from .warm_up import warm_up_networks, warm_up_voices

logger = logging.getLogger(__name__)

#: Decides the sound beside the files; changes when the same files sound otherwise.
REVISION: Final = "rvc-1"

#: What a step of the engine converts: a processor takes long for each second, and a GPU as much as
#: its memory lets it.
_CPU_PORTIONS: Final = Portions(1.0, 15.0)
_AWAITED_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class _Parts:
    """All that is made of the files."""

    content: Content
    pitch: Pitch
    converter: Converter
    shelf: VoiceShelf
    targets: Targets
    device: torch.device
    #: Of the shared networks.
    revision: str
    has_graphs: bool = False


class RvcConverter:
    """A `VoiceConverter` over a directory of RVC's files. Plain JSON makes one.

    What is missing or broken in the directory keeps nobody from speaking: it is told in the
    offer, and by `check`.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        device: DeviceName = "auto",
        precision: Precision = "auto",
        voices_mb: int | None = None,
        graphs: bool = True,
    ) -> None:
        """Hold voices of `voices_mb` at most; None is a share of what is free at the load.

        With `graphs` false, a GPU that has the memory for CUDA graphs does without.
        """
        self._graphs = graphs
        self._directory = Path(directory)
        self._device: DeviceName = device
        self._precision: Precision = precision
        self._voices_bytes = None if voices_mb is None else voices_mb << 20
        self._parts: _Parts | None = None
        self._obstacle: EngineError = NoConversion("RVC is not loaded yet")
        # Memory that nobody else may take while the engine loads.
        self._kept_free: torch.Tensor | None = None
        self.portions = _CPU_PORTIONS

    def load(self) -> None:
        """Read the shared networks. Raises `EngineError` for a device that is not there."""
        place = Placement.choose(self._device, self._precision)
        try:
            if missing := missing_files(self._directory):
                raise NoConversion(f"{self._directory} has no {' and no '.join(missing)}")
            with _out_of_memory():
                self._parts = self._assembled(place)
        except (NoConversion, CheckpointError) as error:
            self._obstacle = error
            logger.warning("voices cannot be converted: %s", error)

    def warm_up(self) -> None:
        """Run the shared networks, and on a GPU a voice of each kind."""
        self._kept_free = None
        parts = self._parts
        if parts is None:
            return
        samples = parts.converter.stages.batch_samples
        with _out_of_memory():
            warm_up_networks(parts.content, parts.pitch, parts.device, samples)
        if parts.device.type == "cuda":
            # Once for what a library prepares, and once to record it.
            times = 2 if parts.has_graphs else 1
            names, most_s = parts.targets.examples, self.portions.whole_s
            warm_up_voices(self.convert, names, most_s=most_s, times=times)

    def offer(self) -> ConversionOffer:
        """Tell what can be asked for."""
        if self._parts is None:
            is_broken = isinstance(self._obstacle, CheckpointError)
            return ConversionOffer(REVISION, (), str(self._obstacle), is_broken)
        targets = self._parts.targets
        return ConversionOffer(self._parts.revision, targets.offered, faults=targets.faults)

    def renew(self) -> bool:
        """Look which voices there are; True if they are others than before."""
        return self._parts is not None and self._parts.targets.renew()

    def check(self, request: ConversionRequest) -> None:
        """Raise for what cannot be converted, and begin to fetch the voice."""
        if self._parts is None:
            raise self._obstacle.again()
        shelf = self._parts.shelf
        card = self._parts.targets.card(request.voice)
        revision = request.revision or (card.revision if card else "")
        if card is None or card.revision != revision:
            # It has changed or gone since the job began, but may still be on the shelf.
            if not shelf.is_here(request.voice, revision):
                if fault := self._parts.targets.faults.get(request.voice):
                    raise CheckpointError.saying(fault)
                raise UnknownVoice(f"there is no RVC voice {request.voice!r} here, or another one")
            return
        check_fit(card, request)
        shelf.fetch(card.name, revision)

    def convert(self, sources: Sequence[Source]) -> Converting:
        """Begin to convert, or raise `EngineOutOfMemory`."""
        if self._parts is None:
            raise self._obstacle.again()
        try:
            return self._begun(self._parts, sources)
        except EngineOutOfMemory:
            if len(sources) > 1:
                raise
        # Alone: the memory of voices that nobody uses now is given up for it.
        self._parts.shelf.give_way()
        torch.cuda.empty_cache()
        return self._begun(self._parts, sources)

    def _begun(self, parts: _Parts, sources: Sequence[Source]) -> BegunBatch:
        """Convert into as many voices at once as there is room for, and then into the others."""
        begun = BegunBatch(sources)
        left = sorted({(source.voice, source.wanted.revision) for source in sources})
        while left:
            # A voice may go when the device has been told all: it does one thing after the other.
            with ExitStack() as held, _out_of_memory():
                voices = self._voices(left, held)
                clips: dict[str, Clip] = {}
                for source in sources:
                    voice = voices.get((source.voice, source.wanted.revision))
                    if isinstance(voice, Exception):
                        begun.fail(source.id, voice)
                    elif voice is not None:
                        clips[source.id] = clip_of(source, voice)
                if clips:
                    begun.add(clips, parts.converter.convert(list(clips.values())))
            left = [one for one in left if one not in voices]
        return begun

    def convert_long(self, source: LongSource) -> Generator[Progress, None, int]:
        """Convert one recording bit by bit, exactly as `convert` would if it could hold it."""
        if self._parts is None:
            raise self._obstacle.again()
        wanted = (source.voice, source.wanted.revision)
        with ExitStack() as held:
            voice = self._voices([wanted], held)[wanted]
        if isinstance(voice, Exception):
            raise voice
        # The shelf may let go of it now: what is under way for long must not keep others out.
        clip = LongClip(
            AudioFile(source.file),
            voice,
            conversion_of(source.wanted),
            speaker=int(source.wanted.parameters.get("speaker", 0)),
            seed=source.wanted.seed,
        )
        long = LongConversion(self._parts.converter, clip, source.scratch)
        with closing(long), _out_of_memory(), source.target.open("wb") as target:
            yield from long.steps()
            for samples in long.blocks():
                target.write(samples.float().cpu().numpy().tobytes())
                yield Progress(Stage.FINISHING, 1.0)
        return clip.output_rate_hz

    def facts(self) -> Facts:
        """Return what the shelf holds and has done."""
        if self._parts is None:
            return {"rvc_obstacle": str(self._obstacle)}
        return {f"rvc_{name}": fact for name, fact in self._parts.shelf.facts().plain().items()}

    def close(self) -> None:
        """Let go of the tensors, and give a GPU its memory back."""
        if self._parts is not None:
            self._parts.shelf.close()
        self._parts = self._kept_free = None
        gc.collect()
        torch.cuda.empty_cache()

    def _assembled(self, place: Placement) -> _Parts:
        content_path = content_file(self._directory)
        assert content_path is not None  # noqa: S101 - `missing_files` has looked
        pitch_path = self._directory / PITCH_FILE
        dtype = place.vocoder_dtype
        content = Content(read_content(content_path, place.device, dtype))
        pitch = Pitch(read_rmvpe(pitch_path, place.device, dtype))
        precision = str(dtype).removeprefix("torch.")
        revision = "+".join((REVISION, hash_of(content_path), hash_of(pitch_path), precision))
        return self._placed(place, content, pitch, RvcLibrary(self._directory / VOICES), revision)

    def _placed(
        self, place: Placement, content: Content, pitch: Pitch, library: RvcLibrary, revision: str
    ) -> _Parts:
        """Share out the memory beside the networks."""
        rooms = Rooms.on(place.device, self._voices_bytes)
        batch_s = int(_CPU_PORTIONS.whole_s)
        if place.is_cuda:
            self.portions = Portions(min(_AWAITED_S, rooms.together_s), rooms.together_s)
            self._kept_free = rooms.kept_free(place.device)
            batch_s = int(rooms.together_s / 2)
        shelf = VoiceShelf(
            library,
            place.device,
            place.vocoder_dtype,
            device_bytes=rooms.voices_bytes,
            host_bytes=rooms.host_bytes if place.is_cuda else 0,
        )
        has_graphs = place.is_cuda and self._graphs and not rooms.is_tight
        synthesizer = Synthesizer(graphs=has_graphs)
        converter = Converter(content, pitch, synthesizer, batch_s=batch_s)
        targets = Targets(library)
        return _Parts(content, pitch, converter, shelf, targets, place.device, revision, has_graphs)

    def _voices(
        self, wanted: Sequence[tuple[str, str]], held: ExitStack
    ) -> dict[tuple[str, str], Voice | EngineError]:
        """Return the first voices by name and revision, held until `held` ends, or what is wrong.

        They are as many as fit beside one another, and one at least, or `EngineOutOfMemory`.
        """
        assert self._parts is not None  # noqa: S101 - `convert` has looked
        found: dict[tuple[str, str], Voice | EngineError] = {}
        for name, revision in wanted:
            try:
                voice = held.enter_context(self._parts.shelf.held(name, revision or None))
            except EngineOutOfMemory:
                if not found:
                    raise
                return found
            except EngineError as error:
                found[name, revision] = error
            else:
                found[name, revision] = voice
        return found


@contextmanager
def _out_of_memory() -> Iterator[None]:
    """Say it in the engine's words."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        torch.cuda.empty_cache()
        raise EngineOutOfMemory(str(error)) from error
