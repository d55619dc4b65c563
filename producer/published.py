"""The models that are published for all to fetch: which files, how large, and their hashes.

Names, sizes and hashes are fixed here. Whoever serves the files decides none of them, so a
mirror needs no trust, and nothing that a server says becomes a path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: Ends the name of a file that is not whole yet, beside the place of the whole one.
PART_SUFFIX: Final = ".part"


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """One file of a model."""

    name: str
    size_bytes: int
    sha256: str
    #: False if the model can speak without it.
    needed: bool = True

    def part(self, directory: Path) -> Path:
        """Return where the file is while it is not whole."""
        return directory / (self.name + PART_SUFFIX)

    def held_bytes(self, directory: Path) -> int:
        """Return how much of the file is in `directory`, whole or not."""
        for file in (directory / self.name, self.part(directory)):
            if file.is_file():
                return file.stat().st_size
        return 0


@dataclass(frozen=True, slots=True)
class PublishedModel:
    """A model at one revision of its repository."""

    #: Of the directory below `models` where its files belong.
    directory: str
    repository: str
    revision: str
    licence: str
    #: What everybody must know of the licence before the files are fetched.
    terms: str
    #: Small ones first: what is wrong with the server is known sooner.
    files: tuple[PublishedFile, ...]

    def url(self, hub: str, name: str) -> str:
        """Return where a file of the repository is to be had."""
        return f"{hub.rstrip('/')}/{self.repository}/resolve/{self.revision}/{name}"


#: The last revision, of 2023-12-11. Sizes and hashes are those that several public projects have
#: on record for it; the hub was not at hand when this was written.
XTTS_V2: Final = PublishedModel(
    directory="xtts",
    repository="coqui/XTTS-v2",
    revision="6c2b0d75eae4b7047358e3b6bd9325f857d43f77",
    licence="Coqui Public Model License 1.0.0 (CPML)",
    terms="The model and what it speaks may be used for non-commercial purposes only.",
    files=(
        PublishedFile(
            "config.json",
            4_368,
            "ef262b1454dd2a77e1461b0b2cd53e19b8a7624cc131b837d36df67356bc75e8",
        ),
        PublishedFile(
            "vocab.json",
            361_219,
            "928260878a59da8a72a2a5b7687fea29d5106137669d90945430fe17e415304a",
        ),
        PublishedFile(
            "speakers_xtts.pth",
            7_754_818,
            "f0f6137c19a4eab0cbbe4c99b5babacf68b1746e50da90807708c10e645b943b",
            needed=False,
        ),
        PublishedFile(
            "model.pth",
            1_867_929_118,
            "c7ea20001c6a0a841c77e252d8409f6a74fb423e79b3206a0771ba5989776187",
        ),
    ),
)

#: Every model that can be fetched, by its name on the command line.
MODELS: Final[Mapping[str, PublishedModel]] = {"xtts-v2": XTTS_V2}
