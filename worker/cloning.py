"""Voices made of recordings: judged, made, and kept in the library below `models/voices`.

Imports torch only when a voice is made: recordings are judged before that costs anything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from producer.cli.voices import CONSENT
from producer.volumes import Volumes

from .config import WorkerSettings
from .engine.names import check_name
from .engine.xtts.errors import BadSample
from .engine.xtts.files import missing_files
from .engine.xtts.library import KeptVoice, Maker, SampleCard, VoiceCard, VoiceLibrary
from .engine.xtts.sample import Sample, read_sample
from .engine.xtts.sample_check import Verdict, faults_together, judge
from .errors import UnfitRecordings, WorkerError

#: Seconds of a recording that the published model hears at most.
HEARD_S: Final = 30


@dataclass(frozen=True, slots=True)
class Judged:
    """One recording and what can be said of it."""

    file: Path
    sample: Sample | None
    verdict: Verdict | None
    faults: tuple[str, ...]


def judged(files: Sequence[Path]) -> list[Judged]:
    """Read and judge recordings; what cannot be read is a fault like any other."""
    found = []
    for file in files:
        try:
            sample = read_sample(file, HEARD_S)
        except BadSample as error:
            found.append(Judged(file, None, None, (str(error),)))
            continue
        verdict = judge(sample, HEARD_S, alone=len(files) == 1)
        faults = tuple(f"{file.name}: {fault}" for fault in verdict.faults)
        found.append(Judged(file, sample, verdict, faults))
    return found


def library_of(settings: WorkerSettings) -> VoiceLibrary:
    """Return the library of this farm."""
    return VoiceLibrary(Volumes(settings.home).models / "voices")


def add_voice(settings: WorkerSettings, name: str, files: Sequence[Path]) -> VoiceCard:
    """Make a voice of recordings whose speaker has agreed, and keep it under `name`.

    Raises `UnfitRecordings`, `LibraryError`, `CheckpointError`, or `WorkerError` without a model.
    """
    check_name(name)
    found = judged(files)
    faults = [fault for one in found for fault in one.faults]
    faults += faults_together([one.verdict for one in found if one.verdict]) if not faults else []
    if faults:
        raise UnfitRecordings("\n".join(faults))
    directory = Volumes(settings.home).models / "xtts"
    if missing := missing_files(directory):
        raise WorkerError(
            f"{directory} has no {', '.join(missing)}: a voice is made with the model's own "
            "networks; `voicefarm models get xtts-v2` fetches them"
        )
    return _kept(settings, name, [one.sample for one in found if one.sample], directory)


def _kept(
    settings: WorkerSettings, name: str, samples: Sequence[Sample], directory: Path
) -> VoiceCard:
    from .engine.xtts.conditioning import Conditioning, maker_of

    maker = maker_of(directory)
    voice = Conditioning.read(directory).voice(samples)
    card = VoiceCard(
        name=name,
        key=_key(samples, maker),
        model=maker.model,
        settings=dict(maker.settings),
        samples=tuple(SampleCard.of(sample) for sample in samples),
        consent=CONSENT,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    library_of(settings).add(KeptVoice(card, voice.latents.numpy(), voice.embedding.numpy()))
    return card


def _key(samples: Sequence[Sample], maker: Maker) -> str:
    """Return the hash of all that decides a voice."""
    facts: Mapping[str, object] = {
        "samples": [sample.sha256 for sample in samples],
        "settings": dict(maker.settings),
        "model": maker.model,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
