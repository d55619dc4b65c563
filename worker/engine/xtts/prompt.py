"""What goes in front of a row's audio: a voice and a text. And how texts share one pass."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from torch import Tensor

from .sampling import Sampling
from .weights import CONDITIONING, GptWeights

#: Packed texts begin at multiples of this, so that a kernel's block of tokens has one owner.
PROMPT_BLOCK: Final = 16


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """One row to decode."""

    slot: int
    #: Without `[START]` and `[STOP]`.
    text_ids: Sequence[int]
    #: The voice [32, D] float32. What becomes of it is kept for the next prompt with this tensor.
    conditioning: Tensor
    sampling: Sampling = field(default_factory=Sampling)
    #: The most ids to draw; None is as many as the model can.
    max_codes: int | None = None

    @property
    def text_width(self) -> int:
        """Positions of the text, with `[START]` and `[STOP]`."""
        return len(self.text_ids) + 2

    @property
    def length(self) -> int:
        """Positions before the first of the audio."""
        return CONDITIONING + self.text_width

    def check(self, weights: GptWeights) -> None:
        """Raise `ValueError` for what would index past a table: on a GPU that ends the process."""
        if len(self.text_ids) > weights.max_text_ids:
            raise ValueError(
                f"a text of {len(self.text_ids)} ids: {weights.max_text_ids} is the most"
            )
        if wrong := [one for one in self.text_ids if not 0 <= one < weights.text_ids]:
            raise ValueError(f"text id {wrong[0]} is not from 0 to {weights.text_ids - 1}")
        if self.conditioning.shape != (CONDITIONING, weights.width):
            raise ValueError(
                f"the voice has latents of shape {tuple(self.conditioning.shape)}, "
                f"the model wants {(CONDITIONING, weights.width)}"
            )
        if self.max_codes is not None and not 1 <= self.max_codes <= weights.max_codes:
            raise ValueError(f"max_codes must be 1 to {weights.max_codes}, not {self.max_codes}")


@dataclass(frozen=True, slots=True)
class Span:
    """Where the tokens of one prompt lie in a pass, and where they go."""

    slot: int
    #: Of the first token: its place in the pass, and its position in the slot.
    start: int
    position: int
    length: int


def packed(widths: Iterable[int], capacity: int) -> list[list[int]]:
    """Return where texts of these widths go: for each pass the indices of its texts, in order.

    A pass has `capacity` tokens, and each text begins at a multiple of `PROMPT_BLOCK`. The
    longest are placed first, each into the first pass that has room.
    """
    passes: list[list[int]] = []
    room: list[int] = []
    sizes = [-(-width // PROMPT_BLOCK) * PROMPT_BLOCK for width in widths]
    for index in sorted(range(len(sizes)), key=lambda index: -sizes[index]):
        size = sizes[index]
        place = next((place for place, left in enumerate(room) if left >= size), len(room))
        if place == len(room):
            passes.append([])
            room.append(capacity)
        passes[place].append(index)
        room[place] -= size
    return passes
