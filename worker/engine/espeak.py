"""espeak-ng as a model: real speech in more than a hundred languages, without model files.

It computes one row after another, much faster than real time, and holds a few rows only so
that the next one is always at hand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from .errors import EngineError, UnknownVoice, UnsupportedLanguage
from .espeak_speaker import EspeakSpeaker
from .model import ModelOffer, ModelVoice, Outcome
from .request import ChunkRequest, Samples, Sound

#: The tempo of speed 1, in words per minute.
NORMAL_WPM: Final = 175

#: The library speaks no slower, whatever it is asked for.
MINIMUM_WPM: Final = 80

#: It follows the asked tempo up to here (measured: 700 words per minute last 0.249 of 175's).
MAXIMUM_WPM: Final = 700

#: One unit of the word gap at `MINIMUM_WPM` (measured on an English sentence).
WORD_GAP_S: Final = 0.032

#: Codes that others use, and the library's own.
_ALIASES: Final = {"zh-cn": "cmn"}

#: The priority of a language file that names none, as in the library.
_PRIORITY: Final = 5

_PLAIN_NAME: Final = re.compile(r"[a-z0-9_-]+")


class EspeakModel:
    """A `Model` over the library and the data of the espeakng-loader wheel."""

    def __init__(self, *, slots: int = 4) -> None:
        self._slots = slots
        self._speaker: EspeakSpeaker | None = None
        self._languages: dict[str, str] = {}
        self._variants: dict[str, str] = {}
        self._rows: dict[int, ChunkRequest] = {}

    def load(self) -> None:
        """Find the library and read what it speaks. Raises `EngineError` without the wheel."""
        try:
            import espeakng_loader
        except ImportError as error:
            raise EngineError(
                "the espeak engine needs espeakng-loader: pip install 'voicefarm[embedded]'"
            ) from error
        data = Path(espeakng_loader.get_data_path())
        self._speaker = EspeakSpeaker(Path(espeakng_loader.get_library_path()), data)
        self._languages = languages_of(data)
        self._variants = variants_of(data)

    def warm_up(self) -> None:
        """Speak a word, so that a broken library shows before the first job."""
        self._speak(ChunkRequest(id="", text="ready", language="en", voice="default", seed=0))

    def offer(self) -> ModelOffer:
        """Tell what can be asked for."""
        speaker = self._loaded()
        revision = f"espeak-ng-{speaker.version}"
        voices = [ModelVoice("default", revision)]
        voices += [ModelVoice(name, f"{revision}+{name}") for name in sorted(self._variants)]
        return ModelOffer(
            engine="espeak",
            revision=revision,
            device="cpu",
            sample_rate_hz=speaker.sample_rate_hz,
            slots=self._slots,
            languages=tuple(sorted(self._languages)),
            voices=tuple(voices),
        )

    def check(self, request: ChunkRequest) -> None:
        """Raise `UnknownVoice` or `UnsupportedLanguage`."""
        if request.voice != "default" and request.voice not in self._variants:
            raise UnknownVoice(f"espeak has no voice {request.voice!r}")
        if request.language not in self._languages:
            raise UnsupportedLanguage(f"espeak does not speak {request.language!r}")

    def prefill(self, rows: Sequence[tuple[int, ChunkRequest]]) -> None:
        """Keep the rows for their turn."""
        self._rows.update(rows)

    def decode(self) -> Sequence[int]:
        """Return the row that has been here longest."""
        return list(self._rows)[:1]

    def vocode(self, slots: Sequence[int], *, wait: bool) -> Mapping[str, Outcome]:
        """Speak the rows."""
        requests = [self._rows.pop(slot) for slot in slots]
        return {request.id: self._outcome(request) for request in requests}

    def release(self, slots: Sequence[int]) -> None:
        """Forget rows."""
        for slot in slots:
            self._rows.pop(slot, None)

    def close(self) -> None:
        """End the process that speaks."""
        if self._speaker is not None:
            self._speaker.close()

    def _outcome(self, request: ChunkRequest) -> Outcome:
        try:
            return Sound(self._speak(request))
        except EngineError as error:
            return error

    def _speak(self, request: ChunkRequest) -> Samples:
        variant = self._variants.get(request.voice)
        rate_wpm, word_gap = tempo(request.speed)
        return self._loaded().speak(
            request.text,
            voice=self._languages[request.language] + (f"+{variant}" if variant else ""),
            rate_wpm=rate_wpm,
            word_gap=word_gap,
            seed=request.seed,
        )

    def _loaded(self) -> EspeakSpeaker:
        if self._speaker is None:
            raise EngineError("the espeak engine is not loaded")
        return self._speaker


def tempo(speed: float) -> tuple[int, int]:
    """Return words per minute and word gap for a speed.

    What the library cannot stretch, longer pauses between the words make up for.
    """
    wanted_wpm = NORMAL_WPM * speed
    rate_wpm = round(min(max(wanted_wpm, MINIMUM_WPM), MAXIMUM_WPM))
    missing_s = 60 / wanted_wpm - 60 / MINIMUM_WPM
    return rate_wpm, max(0, round(missing_s / WORD_GAP_S))


def languages_of(data: Path) -> dict[str, str]:
    """Return each language's code, in lower case, and its file below `lang`.

    Several files may claim a code; the smallest priority number has it, as in the library.
    """
    claims = []
    for path in sorted(path for path in (data / "lang").rglob("*") if path.is_file()):
        words = [line.split() for line in path.read_text("utf-8").splitlines()]
        codes = [found for found in words if found[:1] == ["language"]]
        named = [found[1] for found in words if found[:1] == ["dictionary"]]
        dictionary = named[0] if named else codes[0][1].partition("-")[0]
        # Some languages come without one, and would be spoken as silence.
        if not (data / f"{dictionary}_dict").is_file():
            continue
        file = path.relative_to(data / "lang").as_posix()
        for _, code, *priority in codes:
            claims.append((int(priority[0]) if priority else _PRIORITY, file, code.lower()))
    found = {code: file for _, file, code in sorted(claims, reverse=True)}
    return found | {alias: found[code] for alias, code in _ALIASES.items() if code in found}


def variants_of(data: Path) -> dict[str, str]:
    """Return each variant's name, in lower case, and its file's; odd names are left out."""
    files = [path.name for path in sorted((data / "voices" / "!v").iterdir())]
    return {name.lower(): name for name in files if _PLAIN_NAME.fullmatch(name.lower())}
