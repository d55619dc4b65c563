"""Benchmarks: programs that measure, never part of a test run."""
