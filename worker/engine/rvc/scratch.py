"""Samples on the disk: as many as there are, and no more of them in memory than are asked for."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor


class Scratch:
    """Samples in a file without a name, which is gone with its process. Not thread-safe."""

    def __init__(self, folder: Path, dtype: torch.dtype) -> None:
        """Make the file on the filesystem of `folder`. Raises `OSError`, as all methods do."""
        self._file: Any = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._dtype = np.dtype(str(dtype).removeprefix("torch."))
        self._samples = 0

    def __len__(self) -> int:
        return self._samples

    def append(self, samples: Tensor) -> None:
        """Add samples [n] at the end."""
        self._file.seek(0, os.SEEK_END)
        self._file.write(samples.detach().cpu().contiguous().numpy().astype(self._dtype).data)
        self._samples += len(samples)

    def __getitem__(self, span: slice) -> Tensor:
        """Return samples of a span with a step of one, on the host."""
        start, stop, step = span.indices(self._samples)
        if step != 1:
            raise ValueError(f"samples are read one after another, not with a step of {step}")
        self._file.seek(start * self._dtype.itemsize)
        found = np.empty(max(0, stop - start), self._dtype)
        if self._file.readinto(found.data) != found.nbytes:
            raise OSError("the file of scratch has lost its end")
        return torch.from_numpy(found)

    def close(self) -> None:
        """Give the disk back."""
        self._file.close()
