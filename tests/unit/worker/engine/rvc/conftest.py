"""Fixtures of the RVC tests: small networks with random weights, their files, and the peers."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import missing

if os.environ.get("CI") and importlib.util.find_spec("torch") is None:
    # The modules here skip without it, and a CI that skips them has proven nothing.
    raise pytest.UsageError("torch is missing, and CI must have it")

if TYPE_CHECKING:
    from tests.unit.worker.engine.rvc.tiny_hubert import TinyHubert
    from tests.unit.worker.engine.rvc.tiny_rmvpe import TinyRmvpe
    from worker.engine.rvc.content import Content


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
