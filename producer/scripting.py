"""What the farm's scripts in Redis have in common."""

from __future__ import annotations

from typing import Final

#: The first line of a script that also runs when the memory of Redis is full. Those that take
#: a job on, end it or give it back do: they free more than they need, and a worker that could
#: not write down what it has in hand would lose it.
ALSO_WHEN_FULL: Final = "#!lua flags=allow-oom\n"
