"""The names under which jobs ask for voices: those of the checkpoint, and those of the library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Lock
from typing import Final

from ..errors import UnknownVoice
from ..model import ModelVoice
from .library import KeptVoice, VoiceLibrary
from .names import LONGEST_CHARS, plain
from .speakers import Speaker

#: The voice of a request that names none.
DEFAULT: Final = "default"

#: What of a voice's revision tells it from another of the same name.
_MARK_CHARS: Final = 8


class Voices:
    """All voices of one model. Thread-safe.

    Voices of the library may come, go and change while the model runs. What has been offered
    once stays to be had under its name and revision, so that a job ends with the voice that it
    began with.
    """

    def __init__(
        self,
        speakers: Mapping[str, Speaker],
        library: VoiceLibrary,
        model: str,
        place: Callable[[KeptVoice], Speaker],
    ) -> None:
        """`speakers` are the checkpoint's own; `place` puts a voice of `model` on its device."""
        self._speakers = speakers
        self._library = library
        self._model = model
        self._place = place
        self._lock = Lock()
        self._state: object = None
        self._offered: tuple[ModelVoice, ...] = ()
        self._named: dict[str, Speaker] = {}
        self._by_revision: dict[tuple[str, str], Speaker] = {}

    def offered(self) -> tuple[ModelVoice, ...]:
        """Return all voices, after a look at whether the library has changed."""
        with self._lock:
            state = self._library.state()
            if state != self._state:
                self._read()
                self._state = state
            return self._offered

    def find(self, name: str, revision: str = "") -> Speaker:
        """Return a voice that was offered, or raise `UnknownVoice`; "" is its latest revision."""
        found = self._by_revision.get((name, revision)) if revision else self._named.get(name)
        if found is not None:
            return found
        if name in self._named:
            raise UnknownVoice(f"voice {name!r} has changed since; queue the job again")
        raise UnknownVoice(f"xtts has no voice {name!r}")

    def _read(self) -> None:
        own = {kept.card.name: self._place(kept) for kept in self._library.voices(self._model)}
        named = by_name(self._speakers) | own
        if named:
            named.setdefault(DEFAULT, named[min(named)])
        self._offered = tuple(
            ModelVoice(name, one.revision, own=name in own) for name, one in named.items()
        )
        self._by_revision.update({(name, one.revision): one for name, one in named.items()})
        self._named = named


def by_name(speakers: Mapping[str, Speaker]) -> dict[str, Speaker]:
    """Return a checkpoint's voices under plain names.

    The first of them is `default` too, unless one has that name. Where two names become the
    same, or nothing is left of one, the beginning of the voice's revision tells them apart.
    """
    named: dict[str, Speaker] = {}
    for name, speaker in sorted(speakers.items()):
        word = plain(name)
        if not word or word in named:
            mark = speaker.revision[:_MARK_CHARS]
            word = f"{word[: LONGEST_CHARS - _MARK_CHARS - 1] or 'voice'}-{mark}"
        named[word] = speaker
    if named:
        named.setdefault(DEFAULT, named[min(named)])
    return named
