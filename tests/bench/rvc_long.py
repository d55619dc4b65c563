"""How much memory one long recording takes, from a file to a file.

    python -m tests.bench.rvc_long [--hours 3] [--rate 44100] [--small]

Tiny networks: their size is not the recording's. Needs the packages of the tests. With `--small`
stretches are 10 s instead of 38, features 256 wide instead of 768: what a batch takes is less then,
and hours take minutes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
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
from worker.engine.rvc.splitting import Splitting
from worker.engine.rvc.synthesizer import Limits, Synthesizer
from worker.engine.rvc.voice import Voice

#: Seconds that are repeated.
_VERSE_S = 60


def main() -> None:
    """Convert a few minutes, then what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--hours", type=float, default=3.0)
    parser.add_argument("--rate", type=int, default=44100)
    parser.add_argument("--small", action="store_true", help="short stretches, narrow features")
    parser.add_argument("--scratch", type=Path, default=None, help="default: the system's own")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.scratch) as name:
        folder = Path(name)
        converter = _converter(folder, SMALL if given.small else LARGE)
        voice = _voice(folder, SMALL if given.small else LARGE)
        for hours in (0.1, given.hours):
            source = _written(folder / "source.wav", hours, given.rate)
            _forget_peak()
            started_s = time.perf_counter()
            samples = _convert(converter, voice, source, folder)
            took_s = time.perf_counter() - started_s
            print(
                f"{hours:4.1f} h at {given.rate} Hz: peak of the process {_memory_mb('VmHWM')} MB, "
                f"{samples} samples of {round(hours * 3600 * 32000)}, "
                f"{hours * 3600 / took_s:.1f} x real time",
                flush=True,
            )


@dataclass(frozen=True)
class Shapes:
    """What takes long, and no more memory the longer a recording is."""

    version: str
    hubert: TinyHubert
    splitting: Splitting
    batch_s: int


LARGE = Shapes("v2", TinyHubert(768, 1, 12), Splitting(), batch_s=90)
SMALL = Shapes("v1", TinyHubert(64, 1), Splitting(1, 2, 10, 12), batch_s=24)


def _voice(folder: Path, shapes: Shapes) -> Voice:
    width = {"v1": 256, "v2": 768}[shapes.version]
    return loaded(
        write_voice(folder / "voice.pth", shapes.version, 32000),
        write_index(folder / "voice.index", width),
    )


def _converter(folder: Path, shapes: Shapes) -> Converter:
    hubert = shapes.hubert.write_folder(folder / "hubert")
    rmvpe = TinyRmvpe(peer_module("rvc_python", "lib.rmvpe")).write(folder / "rmvpe.pt")
    return Converter(
        Content(read_content(hubert)),
        Pitch(read_rmvpe(rmvpe)),
        Synthesizer(limits=Limits(scores=1 << 25, rows=4)),
        splitting=shapes.splitting,
        batch_s=shapes.batch_s,
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


def _convert(converter: Converter, voice: Voice, source: AudioFile, folder: Path) -> int:
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
