"""Where the worker's code is: in the checkout that this package lies in, if it does.

The wheel carries the client alone. A checkout or the image has `worker` and `tasks` beside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).resolve().parent


def find_checkout(package: Path = _PACKAGE) -> Path | None:
    """Return the directory above `package` if the worker's code lies there, else None."""
    root = package.parent
    has_worker = (root / "worker" / "engine" / "engine.py").is_file() and (root / "tasks").is_dir()
    return root if has_worker else None
