"""Fixtures of the RVC tests: small networks with random weights, their files, and the peers."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import missing

if os.environ.get("CI") and importlib.util.find_spec("torch") is None:
    # The modules here skip without it, and a CI that skips them has proven nothing.
    raise pytest.UsageError("torch is missing, and CI must have it")

if TYPE_CHECKING:
    from tests.unit.worker.engine.rvc.tiny_hubert import TinyHubert
    from tests.unit.worker.engine.rvc.tiny_rmvpe import TinyRmvpe
    from worker.engine.rvc.content import Content
    from worker.engine.rvc.engine_converter import RvcConverter


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny tensors are slower on two."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def hubert() -> TinyHubert:
    """Twelve narrow layers."""
    if importlib.util.find_spec("transformers") is None:
        missing("transformers")
    from tests.unit.worker.engine.rvc.tiny_hubert import TinyHubert

    return TinyHubert()


@pytest.fixture(scope="session")
def hubert_folder(hubert: TinyHubert, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a folder of Hugging Face."""
    return hubert.write_folder(tmp_path_factory.mktemp("hubert") / "folder")


@pytest.fixture(scope="session")
def rmvpe() -> TinyRmvpe:
    """The peers' own network with few channels."""
    from tests.unit.worker.engine.rvc.peers import peer_module
    from tests.unit.worker.engine.rvc.tiny_rmvpe import TinyRmvpe

    return TinyRmvpe(peer_module("rvc_python", "lib.rmvpe"))


@pytest.fixture(scope="session")
def rmvpe_file(rmvpe: TinyRmvpe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a file."""
    return rmvpe.write(tmp_path_factory.mktemp("rmvpe") / "rmvpe.pt")


@pytest.fixture(scope="session")
def wide_content(tmp_path_factory: pytest.TempPathFactory) -> Content:
    """A content encoder whose features fit voices of both versions."""
    if importlib.util.find_spec("transformers") is None:
        missing("transformers")
    from tests.unit.worker.engine.rvc.tiny_hubert import TinyHubert
    from worker.engine.rvc.content import Content
    from worker.engine.rvc.content_file import read_content

    folder = tmp_path_factory.mktemp("hubert") / "wide"
    return Content(read_content(TinyHubert(768, 2, 12).write_folder(folder)))


@pytest.fixture(scope="session")
def fairseq_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of fairseq whose features fit voices of both versions."""
    from tests.unit.worker.engine.rvc.tiny_hubert import TinyHubert

    folder = tmp_path_factory.mktemp("wide")
    return TinyHubert(768, 2, 12).write_fairseq(folder / "hubert_base.pt")


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Voice files as people have them, and an index."""
    from tests.unit.worker.engine.rvc.tiny_index import write_index
    from tests.unit.worker.engine.rvc.tiny_voice import write_voice

    folder = tmp_path_factory.mktemp("voices")
    return {
        "anna": write_voice(folder / "anna.pth", "v2", 40000, seed=1),
        "bert": write_voice(folder / "bert.pth", "v1", 32000, seed=2),
        "flat": write_voice(folder / "flat.pth", "v2", 48000, f0=False, seed=3),
        "index": write_index(folder / "anna.index", 768),
    }


@pytest.fixture
def models(tmp_path: Path, fairseq_file: Path, rmvpe_file: Path, sources: dict[str, Path]) -> Path:
    """A directory as `models/rvc` is."""
    from worker.engine.rvc.library import RvcLibrary

    directory = tmp_path / "rvc"
    directory.mkdir()
    shutil.copy(fairseq_file, directory / "hubert_base.pt")
    shutil.copy(rmvpe_file, directory / "rmvpe.pt")
    library = RvcLibrary(directory / "voices")
    library.add("anna", sources["anna"], sources["index"], median_hz=220.0)
    library.add("bert", sources["bert"])
    library.add("flat", sources["flat"])
    return directory


@pytest.fixture
def opened(models: Path) -> Callable[..., RvcConverter]:
    """Opens a converter over `models`, or over another directory."""
    from worker.engine.rvc.engine_converter import RvcConverter

    def open_(directory: Path = models, **given: Any) -> RvcConverter:
        converter = RvcConverter(directory, device="cpu", **given)
        converter.load()
        converter.warm_up()
        return converter

    return open_
