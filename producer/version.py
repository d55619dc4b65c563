"""The version of voicefarm, read by the wheel, the CLI and the worker's readiness."""

VERSION = "0.1.0"
