"""What the farm is given to say: sentences without end, each its own, and chapters of them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any, Final

#: Of words that the vocabulary of the measurements spells letter by letter.
_LETTERS: Final = "abcdefghijklmnoprstuvwxyz"

#: Words that it knows as wholes: each begins with a letter that the others have not.
WORDS: Final = tuple(
    "q" + "".join(random.Random(number).choices(_LETTERS, k=5)) for number in range(64)
)

#: Letters of a sentence, and so the ids: as many as about 6 s of speech have in the published
#: vocabulary.
SENTENCE_CHARS: Final = 36

#: How long it may take to say what counts as one sentence. [s]
SENTENCE_S: Final = (3.0, 9.0)

#: Words of a sentence in a chapter. They are as many ids as a sentence has letters, and more than
#: half of the letters that a chunk may have, so that each is a chunk.
CHUNK_WORDS: Final = 18


def sentence(number: int, chars: int = SENTENCE_CHARS) -> str:
    """Return the sentence of this number: words of random letters, `chars` long."""
    draw, text = random.Random(number), ""
    while len(text) < chars - 1:
        text += "".join(draw.choices(_LETTERS, k=draw.randint(2, 8))) + " "
    begin = text[: chars - 1]
    return (begin[:-1] + "e" if begin.endswith(" ") else begin) + "."


def chunk(number: int) -> str:
    """Return the sentence of this number of a chapter."""
    return " ".join(random.Random(number).choices(WORDS, k=CHUNK_WORDS)) + "."


def jobs(numbers: Sequence[int], voices: Sequence[str], **fields: Any) -> Iterator[dict[str, Any]]:
    """Yield a job of one chunk for each number, as `submit_many` takes them; voices take turns."""
    for number in numbers:
        yield {"text": sentence(number), "voice": voices[number % len(voices)], **fields}


def chapters(count: int, chunks: int, voices: Sequence[str]) -> list[dict[str, Any]]:
    """Return a book: so many chapters of so many chunks."""
    book = []
    for chapter in range(count):
        numbers = range(-1 - chapter * chunks, -1 - (chapter + 1) * chunks, -1)
        text = " ".join(map(chunk, numbers))
        book.append({"text": text, "voice": voices[0], "custom_id": f"chapter-{chapter + 1}"})
    return book
