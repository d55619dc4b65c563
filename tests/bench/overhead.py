"""What the farm costs a job beside stock Celery: `python -m tests.bench.overhead`.

The engine does nothing, so that what is left is the way there and back: the ledger, the
message, admission, the store. All contenders run in turns on one server, because the
machine may be shared: only ratios within one run can be compared.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from redis import Redis

from producer.embedded import EmbeddedBroker

from .contenders import Contender, Farm, PinnedStockCelery, StockCelery
from .measurement import Load, Measurement, measure
from .report import Report, server_version


def main(arguments: Sequence[str]) -> int:
    """Measure, print the table and the targets; 1 if `--check` finds a target missed."""
    options = _options(arguments)
    # What was started is stopped on the way out, so SIGTERM must leave one.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    load = Load(
        queued=max(options.queued, options.jobs),
        drained=options.jobs,
        steady=options.steady,
        steady_per_s=options.rate,
        concurrency=options.concurrency,
    )
    with tempfile.TemporaryDirectory(prefix="voicefarm-bench-", dir=options.dir) as name:
        broker = EmbeddedBroker(Path(name))
        try:
            url = broker.start()
            with Redis.from_url(url) as redis:
                server = server_version(redis)
                measurements = _rounds(options.rounds, load, url, redis, Path(name))
        finally:
            broker.stop()
    report = Report(measurements, StockCelery.name)
    if options.json:
        command = " ".join(["python -m tests.bench.overhead", *arguments])
        options.json.write_text(json.dumps(report.record(load, command, server)) + "\n")
    print(report.table())
    print()
    targets = report.targets()
    for met, line in targets:
        print("met:   " if met else "MISSED:", line)
    return 1 if options.check and not all(met for met, _ in targets) else 0


def _rounds(rounds: int, load: Load, url: str, redis: Redis, directory: Path) -> list[Measurement]:
    """Measure in turns, so that a busy minute of the machine hits every contender."""
    contenders: list[Contender] = [
        StockCelery(url, directory, load.concurrency),
        PinnedStockCelery(url, directory, load.concurrency),
        Farm(url, directory, load.concurrency, store="off"),
        Farm(url, directory, load.concurrency, store="volume"),
    ]
    measurements = []
    for number in range(1, rounds + 1):
        for contender in contenders:
            print(f"round {number} of {rounds}: {contender.name}", file=sys.stderr)
            measurements.append(measure(contender, number, load, redis, directory))
    return measurements


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.overhead",
        description="What the farm costs a job beside stock Celery.",
    )
    add = parser.add_argument
    add("--rounds", type=int, default=3, help="how often each is measured (%(default)s)")
    add("--queued", type=int, default=10_000, help="jobs queued at once (%(default)s)")
    add("--jobs", type=int, default=1_000, help="how many of them are run (%(default)s)")
    add("--steady", type=int, default=100, help="jobs submitted one by one (%(default)s)")
    add("--rate", type=float, default=50.0, help="of these, how many a second (%(default)s)")
    add("--concurrency", type=int, default=64, help="task threads of a worker (%(default)s)")
    add("--dir", type=Path, help="where the files lie meanwhile (the system's choice)")
    add("--json", type=Path, metavar="PATH", help="write every measurement to this file")
    add("--check", action="store_true", help="exit with 1 if a target is missed")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
