"""The process in which espeak-ng speaks: `python espeak_child.py LIBRARY DATA`.

libespeak-ng is a set of global variables: it remembers between two texts how far its pitch
wobble has come, it leaks memory when it is closed and opened again, and there are texts
that crash it. So every text is spoken by a fork of a process that has never spoken: the same
request gives the same samples, nothing is left behind, and a crash takes one text with it.

A request is a line of JSON on stdin, an answer is a status, a length and so many bytes on
stdout; the first answer comes unasked. Only the standard library is imported, so that the
process is small and forks fast.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import struct
import sys
from typing import Any, BinaryIO, Final

#: Status and length of an answer.
HEADER: Final = struct.Struct("!iI")
DONE: Final = 0
FAILED: Final = 1

#: A text that takes longer hangs: an hour of speech takes some ten seconds.
_LIMIT_S: Final = 120

# From <espeak-ng/speak_lib.h>.
_OUTPUT_SYNCHRONOUS: Final = 2
_DONT_EXIT: Final = 0x8000
_RATE: Final = 1
_WORD_GAP: Final = 7
_BY_CHARACTER: Final = 1
_CHARS_UTF8: Final = 1
#: A sentence's pause at the end, as the command line has it. Without the flags for SSML and
#: for phonemes nothing in a text is markup.
_END_PAUSE: Final = 0x1000

#: Samples (NULL at the end), how many, events; returns 0 to go on.
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)

#: Control characters are commands to the library, or end its text; none can be heard.
_NO_COMMANDS: Final = dict.fromkeys([*range(0x20), 0x7F], " ")


def main(library: str, data: str) -> None:
    """Tell the version and the rate, then answer requests until stdin ends."""
    # Ctrl-C reaches the whole terminal; what it means is the parent's to decide.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    # What the library prints must not get between the answers.
    os.dup2(2, 1)
    espeak = ctypes.CDLL(library)
    rate_hz = espeak.espeak_Initialize(_OUTPUT_SYNCHRONOUS, 0, data.encode(), _DONT_EXIT)
    espeak.espeak_Info.restype = ctypes.c_char_p
    facts = {"version": espeak.espeak_Info(None).decode(), "sample_rate_hz": rate_hz}
    _send(answers, DONE if rate_hz > 0 else FAILED, json.dumps(facts).encode())
    for line in sys.stdin.buffer:
        pid = os.fork()
        if pid == 0:
            signal.alarm(_LIMIT_S)
            _answer(answers, espeak, json.loads(line))
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code != 0:
            _send(answers, FAILED, f"espeak-ng was ended by {_name(code)} on this text".encode())


def _answer(answers: BinaryIO, espeak: ctypes.CDLL, request: dict[str, Any]) -> None:
    try:
        _send(answers, DONE, _speak(espeak, **request))
    except RuntimeError as error:
        _send(answers, FAILED, str(error).encode())


def _speak(
    espeak: ctypes.CDLL, text: str, voice: str, rate_wpm: int, word_gap: int, seed: int
) -> bytes:
    """Return the samples, 16 bit."""
    parts: list[bytes] = []

    def collect(samples: int | None, count: int, _: int | None) -> int:
        if samples and count > 0:
            parts.append(ctypes.string_at(samples, 2 * count))
        return 0

    callback = _Callback(collect)
    espeak.espeak_SetSynthCallback(callback)
    if espeak.espeak_SetVoiceByName(voice.encode()) != 0:
        raise RuntimeError(f"espeak-ng cannot load its voice {voice!r}")
    espeak.espeak_SetParameter(_RATE, rate_wpm, 0)
    espeak.espeak_SetParameter(_WORD_GAP, word_gap, 0)
    espeak.espeak_ng_SetRandSeed(ctypes.c_long(seed & 0x7FFFFFFF))
    encoded = text.translate(_NO_COMMANDS).encode("utf-8", errors="replace")
    status = espeak.espeak_Synth(
        encoded, ctypes.c_size_t(len(encoded) + 1), 0, _BY_CHARACTER, 0,
        _CHARS_UTF8 | _END_PAUSE, None, None,
    )  # fmt: skip
    if status != 0:
        raise RuntimeError(f"espeak-ng cannot speak this text (status {status})")
    return b"".join(parts)


def _send(answers: BinaryIO, status: int, payload: bytes) -> None:
    answers.write(HEADER.pack(status, len(payload)) + payload)
    answers.flush()


def _name(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"status {code}"


if __name__ == "__main__":
    main(*sys.argv[1:])
