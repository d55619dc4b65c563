"""How long a text may take to be spoken: a wide band, outside of which a take is doubted. Pure.

A model that draws its speech by chance may ramble on, repeat itself, or stop in the middle. What
it then says has the wrong length for its text, and that is seen without listening.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from producer.languages import chunk_limit_chars

#: Decides which take is kept; changes whenever a band does.
REVISION: Final = "pace-1"

#: A chunk as long as its language allows is spoken in about this time: 250 characters of English,
#: 82 of Chinese. Chosen by the usual speed of readers, as are the next four.
FULL_CHUNK_S: Final = 17.0

#: So many times faster than that, or slower, nobody speaks.
FASTEST: Final = 2.5
SLOWEST: Final = 2.0

#: What pauses and a hesitant start may add to any text, at speed 1.
PAUSES_S: Final = 2.0

#: A digit or a symbol may be read out as a word of so many characters.
SYMBOL_CHARS: Final = 12

#: What is not read out, beside white space.
_PUNCTUATION: Final = frozenset(".,;:!?…-–—'\"()[]«»„“”‘’¡¿、。，！？；：「」『』（）।॥؟،؛۔")


@dataclass(frozen=True, slots=True)
class Band:
    """The lengths that a take may have."""

    shortest_s: float
    longest_s: float

    def excess(self, duration_s: float) -> float:
        """Return how many times too long or too short a duration is; 1 is within the band."""
        return max(1.0, duration_s / self.longest_s, self.shortest_s / max(duration_s, 1e-3))


def band_of(text: str, language: str, speed: float = 1.0) -> Band:
    """Return what a text may last; `speed` 2 halves it."""
    chars_per_s = chunk_limit_chars(language) / FULL_CHUNK_S * speed
    least = sum(map(str.isalnum, text))
    most = sum(map(_most_chars, text))
    return Band(
        shortest_s=least / (chars_per_s * FASTEST),
        longest_s=most / (chars_per_s / SLOWEST) + PAUSES_S / speed,
    )


def _most_chars(char: str) -> int:
    plain = char.isspace() or char in _PUNCTUATION or (char.isalpha() and not char.isdigit())
    return 1 if plain else SYMBOL_CHARS
