"""The table of `docs/reliability.md`: the fault suite, and a lost host at the real lease.

    python -m tests.bench.reliability

Exit code: that of the tests. It takes about six minutes, most of them waiting.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

_SUITE: Final = "tests/integration/faults"

#: Cases that lie elsewhere.
_MORE: Final = (
    "tests/integration/test_dead_workers.py",
    "tests/integration/test_sentinel.py",
)

#: The default of `VOICEFARM_LEASE_S`, which the suite shortens.
REAL_LEASE_S: Final = 90

_HEAD: Final = (
    "| fault | jobs | lost | files twice | computed again | seconds |\n"
    "| --- | ---: | ---: | ---: | ---: | ---: |\n"
)


def run(rows: Path, *arguments: str, **environment: str) -> int:
    """Run a part of the suite, which adds to `rows`."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *arguments],
        env={**os.environ, "FAULTS_REPORT": str(rows), **environment},
        stdout=sys.stderr,
        check=False,
    ).returncode


def main() -> int:
    with tempfile.TemporaryDirectory() as directory:
        rows = Path(directory) / "rows"
        code = run(rows, _SUITE)
        lost_host = run(rows, _SUITE, "-k", "lost", FAULTS_LEASE_S=str(REAL_LEASE_S))
        more = run(rows, *_MORE, "-k", "at_once or in_the_middle")
        print(_HEAD + rows.read_text(), end="")
    return code or lost_host or more


if __name__ == "__main__":
    sys.exit(main())
