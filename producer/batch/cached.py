"""What of a batch is on the volume already: it will not be spoken again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..job import RvcSettings, SpeechJob
from ..speech_key import Maker, conversion_facts, file_key, spoken_keys, take_keys, texts_of
from ..voices import Catalogue, Offer
from ..volumes import Volumes

#: The manifest that the store writes beside each file.
_MANIFEST = "job.json"


class Cache:
    """Looks for the files of jobs, as the workers that there are would name them."""

    def __init__(self, catalogue: Catalogue, volumes: Volumes) -> None:
        # An older worker does not say what its keys are made of.
        self._offers = [offer for offer in catalogue.offers if offer.guard != ""]
        self._volumes = volumes

    @property
    def is_visible(self) -> bool:
        """True if something can be said: a worker has announced itself, the volume is here."""
        return bool(self._offers) and self._volumes.processed.is_dir()

    def has(self, job: SpeechJob) -> bool:
        """True if a worker would find its file there."""
        texts = texts_of(job)
        keys = (
            file_key(take_keys(spoken_keys(job, texts, maker), maker), job.output)
            for maker in self._makers(job)
        )
        return any((self._volumes.entry(key) / _MANIFEST).is_file() for key in keys)

    def _makers(self, job: SpeechJob) -> Iterator[Maker]:
        """Yield each way in which the farm would make a job."""
        for offer in self._offers:
            voice = next((one for one in offer.voices if one.name == job.voice), None)
            if voice is None or job.language not in offer.languages:
                continue
            maker = Maker(offer.engine, offer.revision, voice.revision, offer.guard)
            if job.convert is None:
                yield maker
            else:
                yield from _converting(maker, job.convert, offer)


def _converting(maker: Maker, settings: RvcSettings, offer: Offer) -> Iterator[Maker]:
    for target in offer.targets:
        if target.name == settings.voice:
            facts = conversion_facts(offer.converter, target.revision, settings)
            yield replace(maker, conversion=facts)
