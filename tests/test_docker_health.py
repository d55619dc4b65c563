"""Is the environment of a worker whole? Run in the images:

    docker run --rm voicefarm-gpu:test

Outside of an image the volumes of the farm, the system's libraries and torch may be somewhere else
or not at all; what cannot be asked there is skipped with the reason, in CI too. That the images
pass is proven where they are built.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from worker.http_door import HttpDoor, told

#: Read before the fixtures of all tests take the settings of the farm away.
HOME = os.environ.get("VOICEFARM_HOME")
DRIVER_CAPABILITIES = os.environ.get("NVIDIA_DRIVER_CAPABILITIES")
BUILT_IN = Path("/app/docker/health.py")

DIRECTORIES = ("uploads", "processed", "temp", "logs", "models")

in_an_image = pytest.mark.skipif(
    HOME is None or not BUILT_IN.exists(), reason="this is no image of the farm"
)
in_the_gpu_image = pytest.mark.skipif(
    DRIVER_CAPABILITIES is None or not BUILT_IN.exists(), reason="this is not the GPU image"
)


def directory(name: str) -> Path:
    assert HOME is not None
    return Path(HOME) / name


class TestDockerEnvironment:
    def test_python_version(self):
        assert sys.version_info >= (3, 10)

    @in_an_image
    def test_required_directories_exist(self):
        assert [name for name in DIRECTORIES if not directory(name).is_dir()] == []

    @in_an_image
    def test_directories_writable(self):
        for name in DIRECTORIES:
            with tempfile.TemporaryFile(dir=directory(name)) as file:
                assert file.write(b"written") == len(b"written")

    @in_the_gpu_image
    def test_rvc_models_directory(self):
        assert directory("models/rvc").is_dir()

    @in_the_gpu_image
    def test_nvidia_environment_variables(self):
        """What the driver must bring; which GPUs are seen is said by who starts the container."""
        assert set((DRIVER_CAPABILITIES or "").split(",")) >= {"compute", "utility"}

    @in_the_gpu_image
    def test_cuda_environment(self):
        """CUDA comes with torch's own wheels, so no variable has to say where it is."""
        torch = importlib.import_module("torch")

        assert torch.version.cuda is not None
        assert "CUDA_HOME" not in os.environ

    @in_an_image
    def test_runs_without_rights_of_root(self):
        assert os.getuid() == 10001
        assert not os.access("/app", os.W_OK)


class TestSystemDependencies:
    @in_the_gpu_image
    def test_ffmpeg_available(self):
        program = shutil.which("ffmpeg")
        assert program is not None

        said = subprocess.run([program, "-version"], capture_output=True, text=True, check=True)

        assert said.stdout.startswith("ffmpeg version")

    def test_libsndfile_available(self):
        numpy = importlib.import_module("numpy")
        soundfile = importlib.import_module("soundfile")
        file = io.BytesIO()

        soundfile.write(file, numpy.zeros(160, numpy.float32), 16_000, format="WAV")
        file.seek(0)

        assert soundfile.info(file).frames == 160

    @pytest.mark.skipif(
        importlib.util.find_spec("torch") is None, reason="torch is not needed here"
    )
    def test_torch_installed(self):
        torch = importlib.import_module("torch")

        assert float(torch.ones(2, 2).sum()) == 4

    @pytest.mark.skipif(
        importlib.util.find_spec("torchaudio") is None, reason="torchaudio is not needed here"
    )
    def test_torchaudio_installed(self):
        torch, torchaudio = map(importlib.import_module, ("torch", "torchaudio"))

        resampled = torchaudio.functional.resample(torch.zeros(1, 240), 24_000, 16_000)

        assert tuple(resampled.shape) == (1, 160)
        assert torchaudio.__version__.split(".")[:2] == torch.__version__.split(".")[:2]


class TestHealthCheckEndpoint:
    @pytest.mark.parametrize(("ready", "exit_code"), [(True, 0), (False, 1)])
    def test_health_endpoint_responds(self, ready, exit_code):
        door = HttpDoor(0, {"/readyz": lambda: told(ready, {"state": "ready" if ready else ""})})
        try:
            checked = health_check(door.port)
        finally:
            door.close()

        assert checked.returncode == exit_code, checked.stdout
        assert '"state"' in checked.stdout

    def test_a_container_without_a_worker_is_unhealthy(self):
        door = HttpDoor(0, {})
        door.close()

        assert health_check(door.port).returncode == 1


def health_check(port: int) -> subprocess.CompletedProcess[str]:
    """Run the health check of the images against a port."""
    script = Path(__file__).parents[1] / "docker" / "health.py"
    return subprocess.run(
        [sys.executable, "-I", str(script)],
        env={"VOICEFARM_HTTP_PORT": str(port)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
