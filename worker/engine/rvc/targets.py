"""The RVC voices of a library as the engine offers them, and what each of them can do."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

from ..errors import CheckpointError, UnfitVoice
from ..model import TargetVoice
from ..request import ConversionRequest
from .library import RvcLibrary
from .shelf_file import ShelfCard

logger = logging.getLogger(__name__)


class Targets:
    """What can be converted into now. `renew` may run beside the engine's thread."""

    def __init__(self, library: RvcLibrary) -> None:
        self._library = library
        # Replaced, never changed: other threads may be reading it.
        self._cards: Mapping[str, ShelfCard] = {}
        self._told: dict[str, str] = {}
        self.renew()

    @property
    def offered(self) -> tuple[TargetVoice, ...]:
        """Every voice that can be asked for."""
        return tuple(_target(card) for card in self._cards.values())

    def card(self, name: str) -> ShelfCard | None:
        """Return what a voice is, None if there is none of this name."""
        return self._cards.get(name)

    def renew(self) -> bool:
        """Look which voices there are; True if they are others than before."""
        before, self._cards = self._cards, dict(self._usable())
        return self._cards != before

    def _usable(self) -> Iterator[tuple[str, ShelfCard]]:
        """Yield the voices that can be used; a fault is told once."""
        faults = {}
        for name, card in self._library.cards().items():
            if not isinstance(card, CheckpointError):
                yield name, card
                continue
            faults[name] = str(card)
            if self._told.get(name) != str(card):
                logger.warning("RVC voice %s is left out: %s", name, card)
        self._told = faults


def check_fit(card: ShelfCard, request: ConversionRequest) -> None:
    """Raise `UnfitVoice` for what the voice cannot do, as far as its card tells."""
    config, pitch = card.sizes(), request.parameters.get("pitch", 0)
    if pitch and not config.has_pitch:
        raise UnfitVoice(f"voice {card.name} was trained without pitch: set pitch to 0")
    if pitch == "auto" and card.median_hz is None:
        raise UnfitVoice(
            f"the middle of the pitch of voice {card.name} is not known: set pitch to a "
            "number of semitones, or add the voice again with --pitch-from or --pitch-hz"
        )
    if int(request.parameters.get("speaker", 0)) >= config.speakers:
        raise UnfitVoice(f"voice {card.name} has {config.speakers} speakers, counted from 0")


def _target(card: ShelfCard) -> TargetVoice:
    config = card.sizes()
    return TargetVoice(
        card.name, card.revision, config.sample_rate_hz, config.has_pitch, card.median_hz
    )
