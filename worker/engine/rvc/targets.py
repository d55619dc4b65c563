"""The RVC voices of a library as the engine offers them, and what each of them can do."""

from __future__ import annotations

import logging
from collections.abc import Mapping

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
        # These are replaced, never changed: other threads may be reading them.
        self._cards: Mapping[str, ShelfCard] = {}
        self._faults: Mapping[str, str] = {}
        self.renew()

    @property
    def offered(self) -> tuple[TargetVoice, ...]:
        """Every voice that can be asked for."""
        return tuple(_target(card) for card in self._cards.values())

    @property
    def faults(self) -> Mapping[str, str]:
        """What is wrong with the files of the others, by name."""
        return self._faults

    @property
    def examples(self) -> list[str]:
        """One voice of each configuration."""
        return list({card.sizes(): name for name, card in self._cards.items()}.values())

    def card(self, name: str) -> ShelfCard | None:
        """Return what a voice is, None if there is none of this name."""
        return self._cards.get(name)

    def renew(self) -> bool:
        """Look which voices there are; True if they are others than before."""
        before = self._cards, self._faults
        found = self._library.cards()
        self._cards = {
            name: card for name, card in found.items() if not isinstance(card, CheckpointError)
        }
        self._faults = {
            name: str(card) for name, card in found.items() if isinstance(card, CheckpointError)
        }
        for name, fault in self._faults.items():
            if before[1].get(name) != fault:
                logger.warning("RVC voice %s is left out: %s", name, fault)
        return (self._cards, self._faults) != before


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
