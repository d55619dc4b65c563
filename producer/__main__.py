"""`python -m producer` is `voicefarm`."""

from __future__ import annotations

from .cli import main

main()
