"""Many voices: those in use, and as many others as there is room for, ready to convert.

    disk      every voice, checked once (see `library`)
    host      memory that the device copies from at full speed; a GPU's only
    device    what `Converter` computes with

How it is used, by the engine's one thread:

    shelf = VoiceShelf(RvcLibrary(folder), device, torch.float16, device_bytes=.., host_bytes=..)
    waiting = shelf.ask("anna", revision)   # a Future: done at once if the voice is here
    voice = waiting.result()                # or `shelf.acquire("anna", revision)`, which waits
    shelf.fetch("bert", revision)           # whoever asks for it soon will wait less
    try:
        converter.convert([Clip(samples, rate_hz, voice, ...), ...])
    finally:
        shelf.release(voice)                # once for every `ask` that has given a voice

A voice that was asked for and is not released is in use and stays where it is. The rest of the
room belongs to those that were used last. One that does not fit beside what is in use ends with
`EngineOutOfMemory`: convert into fewer voices at once, or ask again after a release.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Protocol

import torch

from ..errors import EngineClosed, EngineOutOfMemory, LibraryError, UnknownVoice
from .byte_lru import ByteLru
from .packed_voice import PackedVoice
from .parcel import parcel
from .retrieval import Index
from .shelf_file import ShelfCard, ShelvedVoice
from .voice import Voice
from .weights import prepare

logger = logging.getLogger(__name__)


class Source(Protocol):
    """Where voices come from: `RvcLibrary`."""

    def card(self, name: str) -> ShelfCard:
        """Return what a voice is now. Raises `LibraryError` or `CheckpointError`."""

    def read(self, name: str) -> ShelvedVoice:
        """Read it. Raises the same."""


@dataclass(frozen=True, slots=True)
class ShelfFacts:
    """What the shelf holds and has done, for metrics."""

    voices: int
    voices_in_use: int
    device_bytes: int
    host_bytes: int
    #: Of voices that were asked for: were there, came from host memory, came from the disk.
    hits: int
    host_hits: int
    misses: int
    #: Voices that had to make room.
    evictions: int
    failures: int

    def plain(self) -> dict[str, int]:
        """Return them by name."""
        return asdict(self)


#: Name and revision.
_Key = tuple[str, str]


class VoiceShelf:
    """Voices on one device. Any thread may call; voices are loaded one after another."""

    def __init__(
        self,
        source: Source,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        *,
        device_bytes: int,
        host_bytes: int = 0,
    ) -> None:
        """Keep `device_bytes` of voices on the device, and `host_bytes` of them beside it.

        The device's memory is the host's own on a processor, so that `host_bytes` is for GPUs.
        Voices are copied on the default stream, behind what the converter has queued there.
        """
        self._source = source
        self._device = torch.device(device)
        self._dtype = dtype
        self._lock = threading.Lock()
        self._loader = ThreadPoolExecutor(1, "rvc-voices")
        self._ready: ByteLru[_Key, Voice] = ByteLru(device_bytes)
        #: Touched by the loader alone.
        self._host: ByteLru[_Key, PackedVoice] = ByteLru(host_bytes)
        self._budget_bytes = device_bytes
        self._loading: dict[_Key, list[Future[Voice]]] = {}
        self._fetching: set[_Key] = set()
        self._hits = self._host_hits = self._misses = self._failures = 0
        self._is_closed = False

    def ask(self, name: str, revision: str | None = None) -> Future[Voice]:
        """Return what becomes the voice, held for the caller; `revision` None is today's.

        It ends with `UnknownVoice` if there is none of that name or it has become another one,
        with `CheckpointError` if its file is broken, with `EngineOutOfMemory`, or with
        `EngineClosed`. However many ask for a voice at once, it is loaded once.
        """
        asked: Future[Voice] = Future()
        # What is asked for is given: nobody else would release it.
        asked.set_running_or_notify_cancel()
        try:
            key = (name, revision or self._card(name).revision)
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to who asks
            asked.set_exception(error)
            return asked
        with self._lock:
            found = self._ready.get(key, hold=True)
            self._hits += found is not None
            is_closed = self._is_closed and found is None
            if found is None and not is_closed:
                self._loading.setdefault(key, []).append(asked)
                if len(self._loading[key]) == 1:
                    self._loader.submit(self._load, key)
        if found is not None:
            asked.set_result(found)
        elif is_closed:
            asked.set_exception(EngineClosed("the engine is closing"))
        return asked

    def fetch(self, name: str, revision: str) -> None:
        """Bring a voice as near as there is room for it; errors are told to whoever asks for it.

        Nobody holds it by that, and on a GPU no other voice goes for it.
        """
        key = (name, revision)
        with self._lock:
            is_known = key in self._ready or key in self._fetching or key in self._loading
            if is_known or self._is_closed:
                return
            self._fetching.add(key)
            self._loader.submit(self._fetch, key)

    def acquire(self, name: str, revision: str | None = None) -> Voice:
        """Return a voice, held for the caller, and wait until it is here. Raises as `ask` ends."""
        return self.ask(name, revision).result()

    def release(self, voice: Voice) -> None:
        """End one hold. Raises `KeyError` for a voice that nobody holds."""
        with self._lock:
            self._ready.release((voice.name, voice.revision))

    @contextmanager
    def held(self, name: str, revision: str | None = None) -> Iterator[Voice]:
        """Hold a voice for as long as a block takes."""
        voice = self.acquire(name, revision)
        try:
            yield voice
        finally:
            self.release(voice)

    def is_here(self, name: str, revision: str) -> bool:
        """Tell whether `ask` would be done at once."""
        with self._lock:
            return (name, revision) in self._ready

    def facts(self) -> ShelfFacts:
        """Return what the shelf holds and has done."""
        with self._lock:
            return ShelfFacts(
                voices=len(self._ready),
                voices_in_use=self._ready.held,
                device_bytes=self._ready.size_bytes,
                host_bytes=self._host.size_bytes,
                hits=self._hits,
                host_hits=self._host_hits,
                misses=self._misses,
                evictions=self._ready.evictions,
                failures=self._failures,
            )

    def give_way(self) -> None:
        """Let go of all voices on the device that nobody uses."""
        with self._lock:
            self._ready.clear()

    def close(self) -> None:
        """Load nothing more. What was asked for by then is still given."""
        with self._lock:
            self._is_closed = True
        self._loader.shutdown(wait=True)

    def _load(self, key: _Key) -> None:
        try:
            found = self._here(key) or self._placed(self._packed(key), key)
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to who asked
            with self._lock:
                self._failures += 1
                waiting = self._loading.pop(key)
            for asked in waiting:
                asked.set_exception(error)
            return
        with self._lock:
            waiting = self._loading.pop(key)
            for _ in waiting[1:]:
                self._ready.get(key, hold=True)
        for asked in waiting:
            asked.set_result(found)

    def _here(self, key: _Key) -> Voice | None:
        """Return a voice that was fetched in the meantime, held once."""
        with self._lock:
            return self._ready.get(key, hold=True)

    def _fetch(self, key: _Key) -> None:
        try:
            with self._lock:
                is_here = key in self._ready
            if not is_here:
                packed = self._packed(key)
                with self._lock:
                    is_room = self._ready.has_room(packed.size_bytes)
                # Where there is no room on the host either, it would be read in vain.
                if is_room or key not in self._host:
                    self.release(self._placed(packed, key))
        except Exception as error:  # noqa: BLE001 - it comes again when somebody asks
            logger.debug("voice %s was not fetched: %s", key[0], error)
        finally:
            with self._lock:
                self._fetching.discard(key)

    def _packed(self, key: _Key) -> PackedVoice:
        """Return a voice in the host's memory."""
        found = self._host.get(key)
        if found is not None:
            self._host_hits += 1
            return found
        self._misses += 1
        name, revision = key
        if self._card(name).revision != revision:
            raise UnknownVoice(f"voice {name} is another one than was asked for: submit again")
        read = self._source.read(name)
        if read.card.revision != revision:
            raise UnknownVoice(f"voice {name} was replaced just now: submit again")
        packed = PackedVoice(
            name,
            revision,
            read.weights.config,
            parcel(prepare(read.weights), self._dtype),
            None if read.index is None else Index(read.index),
            read.card.median_hz,
        )
        return packed if self._device.type == "cpu" else self._kept_on_host(key, packed)

    def _kept_on_host(self, key: _Key, packed: PackedVoice) -> PackedVoice:
        if not self._host.fits(packed.size_bytes):
            return packed
        self._host.room_for(packed.size_bytes)
        pinned = packed.moved(lambda tensor: tensor.pin_memory())
        self._host.put(key, pinned, pinned.size_bytes)
        return pinned

    def _placed(self, packed: PackedVoice, key: _Key) -> Voice:
        """Return a voice on the device, where it is held once."""
        with self._lock:
            if not self._ready.room_for(packed.size_bytes):
                raise EngineOutOfMemory(
                    f"voice {packed.name} needs {packed.size_bytes >> 20} MB beside those that "
                    f"are in use, of the {self._budget_bytes >> 20} MB that voices may have"
                )
        if self._device.type != "cpu":
            packed = packed.moved(lambda one: one.to(self._device, non_blocking=True))
        voice = packed.voice()
        with self._lock:
            self._ready.put(key, voice, packed.size_bytes, holders=1)
        return voice

    def _card(self, name: str) -> ShelfCard:
        try:
            return self._source.card(name)
        except LibraryError as error:
            raise UnknownVoice(str(error)) from error
