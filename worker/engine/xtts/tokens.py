"""From a text to the ids that the GPT reads, as coqui-tts makes them.

Its tokenizer writes out numbers, symbols and abbreviations, then splits what is left into pieces
of words. On some texts that writing out fails; they are then read in a simpler way.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterator
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any, Final

from ..errors import ChunkFailed, ChunkTooLong, EngineError, UnsupportedLanguage

#: Spellings of languages that people use, beside those of a checkpoint.
_SPELLINGS: Final = ("en-gb", "en-us", "pt-br", "zh")

#: Texts whose ids are kept between the check of a request and its prefill.
_KEPT_TEXTS: Final = 4096

#: Languages whose digits coqui-tts 0.28 cannot read at all, and the digits' names.
_DIGITS: Final = {"hi": ("शून्य", "एक", "दो", "तीन", "चार", "पाँच", "छह", "सात", "आठ", "नौ")}

#: A number and a dot, which coqui-tts 0.28 takes for an ordinal and cannot read in Czech. Before
#: a small letter it is one; elsewhere the dot ends the sentence.
_CZECH_ORDINAL: Final = re.compile(r"([0-9]+)\.(?=\s+[^\W\d_A-ZÁČĎÉĚÍŇÓŘŠŤÚŮÝŽ])")
_CZECH_ENDING: Final = re.compile(r"([0-9]+)\.(?=\s|$)")


class Tokenizer:
    """Text to ids for the languages of one vocabulary. Thread-safe."""

    def __init__(self, vocabulary: Path, limit: int) -> None:
        """`limit` is the most ids that the model takes. Raises `EngineError` without coqui-tts."""
        try:
            module = import_module("TTS.tts.layers.xtts.tokenizer")
        except ImportError as error:
            raise EngineError(
                f"XTTS reads texts with coqui-tts, which is missing: {error}"
            ) from error
        # It would write texts into the log, and we count tokens ourselves.
        logging.getLogger(module.__name__).setLevel(logging.ERROR)
        self._reader: Any = module.VoiceBpeTokenizer(str(vocabulary))
        self._limit = limit
        # The Japanese reader is made at its first use, and is not said to bear two at a time.
        self._lock = Lock()
        self._ids = lru_cache(_KEPT_TEXTS)(self._read)

    def encode(self, text: str, language: str) -> tuple[int, ...]:
        """Return the ids of a text, without those that frame it.

        Raises `UnsupportedLanguage` where what reads the language is not installed, and
        `ChunkTooLong` or `ChunkFailed` for a text that is too long or cannot be read. What was
        asked for lately is remembered.
        """
        return self._ids(text, language.partition("-")[0])

    def readable(self, languages: Collection[str]) -> tuple[str, ...]:
        """Return those of `languages` that can be read here, however they are spelled."""
        known = {code.partition("-")[0] for code in languages}
        spellings = (code for code in _SPELLINGS if code.partition("-")[0] in known)
        return tuple(c for c in sorted({*languages, *spellings}) if not self.obstacle(c))

    def obstacle(self, language: str) -> str:
        """Return what keeps a language from being read here; empty if nothing does."""
        try:
            self.encode("a", language)
        except (UnsupportedLanguage, ChunkFailed) as failure:
            return str(failure)
        return ""

    def _read(self, text: str, language: str) -> tuple[int, ...]:
        failures = []
        for reading in _readings(text.strip(), language):
            try:
                ids = self._plainly_read(reading.lower(), language)
            except ChunkFailed as failure:
                failures.append(failure)
                continue
            if len(ids) > self._limit:
                raise ChunkTooLong(
                    f"the text has {len(ids)} tokens, the model takes {self._limit} at most"
                )
            return ids
        raise failures[0]

    def _plainly_read(self, text: str, language: str) -> tuple[int, ...]:
        try:
            with self._lock:
                return tuple(self._reader.encode(text, language))
        except ImportError as error:
            raise UnsupportedLanguage(
                f"{language!r} cannot be read here: {error}; pip install 'coqui-tts[{language}]'"
            ) from error
        # The libraries that write out numbers know any way to fail.
        except Exception as error:
            fault = f"{type(error).__name__}: {error}"
            raise ChunkFailed(f"the text cannot be read in {language!r}: {fault}") from error


def _readings(text: str, language: str) -> Iterator[str]:
    """Yield the text as it is, then in ways that ask less of the reader of numbers."""
    yield text
    if language == "cs":
        text = _CZECH_ORDINAL.sub(r"\1", text)
        text = _CZECH_ENDING.sub(r"\1 .", text)
        yield text
    yield re.sub("[0-9]", lambda digit: f" {_name(digit[0], language)} ", text)


def _name(digit: str, language: str) -> str:
    return _DIGITS[language][int(digit)] if language in _DIGITS else digit
