"""Every library of the GPU image can be imported there: those of RVC, those of XTTS, the oracles.

    docker run --rm voicefarm-gpu:test

Elsewhere these are skipped, in CI too: the image has what a checkout may lack.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sysconfig
from pathlib import Path

import pytest

#: Read before the fixtures of all tests take settings away.
IN_THE_GPU_IMAGE = (
    Path("/app/docker/health.py").exists() and "NVIDIA_DRIVER_CAPABILITIES" in os.environ
)

pytestmark = pytest.mark.skipif(not IN_THE_GPU_IMAGE, reason="this is not the GPU image")

LIBRARIES = (
    *("torch", "torchaudio", "torchcodec", "triton", "TTS", "transformers", "safetensors"),
    *("espeakng_loader", "soundfile", "soxr", "numpy", "scipy", "librosa", "pynvml"),
    *("faiss", "fairseq", "parselmouth", "pyworld"),
    *("celery", "kombu", "redis", "prometheus_client", "pydantic_settings", "av", "lxml"),
)

#: What of the farm itself needs them.
OURS = (
    *("tasks.synthesize", "tasks.assemble", "worker.metrics", "worker.nvml"),
    *("worker.engine.registry", "worker.book.encoder"),
    *("worker.engine.xtts.model", "worker.engine.xtts.kernels", "worker.engine.rvc.converter"),
)


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_library_of_the_image_can_be_imported(name):
    assert importlib.import_module(name).__name__ == name


@pytest.mark.parametrize("name", OURS)
def test_a_part_of_the_farm_finds_all_that_it_needs(name, monkeypatch):
    monkeypatch.setenv("VOICEFARM_BROKER_URL", "redis://127.0.0.1:1/0")

    assert importlib.import_module(name).__name__ == name


def test_faiss_finds_the_nearest_vector():
    faiss, numpy = map(importlib.import_module, ("faiss", "numpy"))
    vectors = numpy.eye(8, dtype=numpy.float32)
    index = faiss.IndexFlatL2(8)
    index.add(vectors)

    _, nearest = index.search(vectors[3:4], 1)

    assert nearest.tolist() == [[3]]


def test_two_libraries_find_the_pitch_of_a_tone():
    numpy, praat, world = map(importlib.import_module, ("numpy", "parselmouth", "pyworld"))
    phase = 2 * numpy.pi * 220 * numpy.arange(16_000) / 16_000
    # A voice has overtones; without them harvest hears none.
    tone = sum(numpy.sin(phase * overtone) / overtone for overtone in range(1, 11)) / 3

    by_praat = praat.Sound(tone, 16_000).to_pitch().selected_array["frequency"]
    by_world, _ = world.harvest(tone, 16_000)

    for found in (by_praat, by_world):
        assert abs(float(numpy.median(found[found > 0])) - 220) < 2


def test_the_compiler_that_triton_needs_is_there(tmp_path):
    source = tmp_path / "stub.c"
    source.write_text("#include <Python.h>\nint one(void) { return 1; }\n")
    include = f"-I{sysconfig.get_paths()['include']}"

    built = subprocess.run(
        ["gcc", "-shared", "-fPIC", include, str(source), "-o", str(tmp_path / "stub.so")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert built.returncode == 0, built.stderr
