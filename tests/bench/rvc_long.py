"""How much memory one long recording takes, from a file to a file.

    python -m tests.bench.rvc_long [--hours 3] [--rate 44100]

Tiny networks: their size is not the recording's. Needs the packages of the tests.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import torch

from tests.unit.worker.engine.rvc.peers import peer_module
from tests.unit.worker.engine.rvc.tiny_hubert import TinyHubert
from tests.unit.worker.engine.rvc.tiny_index import write_index
from tests.unit.worker.engine.rvc.tiny_rmvpe import TinyRmvpe
from tests.unit.worker.engine.rvc.tiny_voice import write_voice
from tests.unit.worker.engine.rvc.voices_and_speech import loaded, speech
from worker.engine.progress import Progress, Stage
from worker.engine.rvc.audio_file import AudioFile
from worker.engine.rvc.clip import Conversion
from worker.engine.rvc.content import Content
from worker.engine.rvc.content_file import read_content
from worker.engine.rvc.converter import Converter
from worker.engine.rvc.long_conversion import LongClip, LongConversion
from worker.engine.rvc.pitch import Pitch
from worker.engine.rvc.rmvpe_file import read_rmvpe
from worker.engine.rvc.synthesizer import Limits, Synthesizer

#: Seconds that are repeated.
_VERSE_S = 60


def main() -> None:
    """Convert a few minutes, then what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--hours", type=float, default=3.0)
    parser.add_argument("--rate", type=int, default=44100)
    parser.add_argument("--scratch", type=Path, default=None, help="default: the system's own")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.scratch) as name:
        folder = Path(name)
        converter = _converter(folder)
        for hours in (0.1, given.hours):
            source = _written(folder / "source.wav", hours, given.rate)
            _forget_peak()
            started_s = time.perf_counter()
            samples = _convert(converter, source, folder)
            took_s = time.perf_counter() - started_s
            print(
                f"{hours:4.1f} h at {given.rate} Hz: peak of the process {_memory_mb('VmHWM')} MB, "
                f"{samples} samples of {round(hours * 3600 * 32000)}, "
                f"{hours * 3600 / took_s:.1f} x real time",
                flush=True,
            )


def _converter(folder: Path) -> Converter:
    hubert = TinyHubert(768, 1, 12).write_folder(folder / "hubert")
    rmvpe = TinyRmvpe(peer_module("rvc_python", "lib.rmvpe")).write(folder / "rmvpe.pt")
    return Converter(
        Content(read_content(hubert)),
        Pitch(read_rmvpe(rmvpe)),
        Synthesizer(limits=Limits(scores=1 << 25, rows=4)),
        batch_s=90,
    )


def _written(file: Path, hours: float, rate_hz: int) -> AudioFile:
    """The same verse again and again, a bit louder each time, a breath between."""
    verse = np.interp(
        np.arange(_VERSE_S * rate_hz) / rate_hz,
        np.arange(_VERSE_S * 16000) / 16000,
        speech(_VERSE_S).numpy(),
    )
    with soundfile.SoundFile(file, "w", rate_hz, 1, "PCM_16") as output:
        count = round(hours * 3600 / _VERSE_S)
        for number in range(count):
            output.write(verse * (0.3 + 0.5 * number / count))
    return AudioFile(file)


def _memory_mb(name: str) -> int:
    """What the process has in memory, or had at most since `_forget_peak`."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in status if line.startswith(name))


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _convert(converter: Converter, source: AudioFile, folder: Path) -> int:
    voice = loaded(
        write_voice(folder / "voice.pth", "v2", 32000), write_index(folder / "voice.index", 768)
    )
    clip = LongClip(source, voice, Conversion(length="exact"))
    conversion = LongConversion(converter, clip, folder)
    told = Progress(Stage.READING, 0.0)
    for far in conversion.steps():
        if far.stage is not told.stage or far.share > told.share + 0.1:
            told = far
            memory = f"{_memory_mb('VmRSS')} MB now, {_memory_mb('VmHWM')} MB at most"
            print(f"   {far.stage:10} {far.share:4.0%}: {memory}", flush=True)
    samples = 0
    with soundfile.SoundFile(folder / "converted.wav", "w", 32000, 1, "PCM_16") as output:
        for block in conversion.blocks():
            output.write(block.numpy())
            samples += len(block)
    conversion.close()
    return samples


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
