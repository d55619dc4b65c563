"""libespeak-ng through ctypes: text in, samples out.

The library is one set of global variables. It remembers, beyond what it lets anyone reset,
how far its pitch wobble has come, so that the same text sounds a little different each
time. Opened anew for every text it starts from the same state, and the same request gives
the same samples. That costs 0.6 ms of some 4 ms that a sentence takes (measured).
"""

from __future__ import annotations

import ctypes
import threading
from _ctypes import dlclose
from pathlib import Path
from typing import Final

import numpy as np

from .errors import ChunkFailed, EngineError
from .request import Samples

# From <espeak-ng/speak_lib.h>.
_OUTPUT_SYNCHRONOUS: Final = 2
_DONT_EXIT: Final = 0x8000
_RATE: Final = 1
_WORD_GAP: Final = 7
_CHARS_UTF8: Final = 1
#: A sentence's pause at the end, as the command line has it. Without the flags for SSML and
#: for phonemes nothing in a text is markup.
_END_PAUSE: Final = 0x1000
_BY_CHARACTER: Final = 1

#: Samples (NULL at the end), how many, events; returns 0 to go on.
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)

#: The library exists once in a process: who speaks holds this.
_LIBRARY: Final = threading.Lock()

#: Control characters are commands to the library, or end its text; none can be heard.
_NO_COMMANDS: Final = dict.fromkeys([*range(0x20), 0x7F], " ")


class EspeakLibrary:
    """One shared library and its data directory."""

    def __init__(self, library: Path, data: Path) -> None:
        """Open it once, to learn `version` and `sample_rate_hz`. Raises `EngineError`."""
        self._library = library
        self._data = data
        with _LIBRARY:
            espeak = self._open()
            try:
                espeak.espeak_Info.restype = ctypes.c_char_p
                self.version: str = espeak.espeak_Info(None).decode()
                self.sample_rate_hz = self._initialize(espeak)
            finally:
                self._close(espeak)

    def speak(self, text: str, *, voice: str, rate_wpm: int, word_gap: int, seed: int) -> Samples:
        """Return the samples of `text`; equal arguments give equal samples.

        `voice` is a file below the data's `lang`, with `+variant` if one is wanted; `word_gap`
        is in the library's own unit; `seed` decides the noise of breathy voices.
        """
        with _LIBRARY:
            espeak = self._open()
            try:
                self._initialize(espeak)
                if espeak.espeak_SetVoiceByName(voice.encode()) != 0:
                    raise ChunkFailed(f"espeak-ng cannot load its voice {voice!r}")
                espeak.espeak_SetParameter(_RATE, rate_wpm, 0)
                espeak.espeak_SetParameter(_WORD_GAP, word_gap, 0)
                espeak.espeak_ng_SetRandSeed(ctypes.c_long(seed & 0x7FFFFFFF))
                return _synthesize(espeak, text)
            finally:
                self._close(espeak)

    def _open(self) -> ctypes.CDLL:
        try:
            return ctypes.CDLL(str(self._library))
        except OSError as error:
            raise EngineError(f"libespeak-ng cannot be opened: {error}") from error

    def _initialize(self, espeak: ctypes.CDLL) -> int:
        data = str(self._data).encode()
        sample_rate_hz: int = espeak.espeak_Initialize(_OUTPUT_SYNCHRONOUS, 0, data, _DONT_EXIT)
        if sample_rate_hz <= 0:
            raise EngineError(f"libespeak-ng cannot use its data in {self._data}")
        return sample_rate_hz

    def _close(self, espeak: ctypes.CDLL) -> None:
        espeak.espeak_Terminate()
        dlclose(espeak._handle)


def _synthesize(espeak: ctypes.CDLL, text: str) -> Samples:
    parts: list[bytes] = []

    def collect(samples: int | None, count: int, _: int | None) -> int:
        if samples and count > 0:
            parts.append(ctypes.string_at(samples, 2 * count))
        return 0

    callback = _Callback(collect)
    espeak.espeak_SetSynthCallback(callback)
    encoded = text.translate(_NO_COMMANDS).encode("utf-8", errors="replace")
    status = espeak.espeak_Synth(
        encoded, ctypes.c_size_t(len(encoded) + 1), 0, _BY_CHARACTER, 0,
        _CHARS_UTF8 | _END_PAUSE, None, None,
    )  # fmt: skip
    if status != 0:
        raise ChunkFailed(f"espeak-ng cannot speak this text (status {status})")
    return np.frombuffer(b"".join(parts), np.int16).astype(np.float32) / np.float32(32768)
