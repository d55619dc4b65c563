"""What 100,000 waiting items cost: python -m tests.bench.batch_intake [ITEMS]

Writes a file of JSON lines, queues it from a process of its own into an empty Valkey, and tells
the rate, what an item costs Redis beyond its text, and the client's peak memory.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import redis

from producer import VoiceFarm
from producer.embedded import EmbeddedBroker

#: About as long as a sentence.
TEXT = "This is one sentence of a very long list, and it has the number {n} in it to be its own. "


def submit(url: str, home: str, file: str) -> None:
    """Be the client: queue the file and tell how long it took and how much memory."""
    with VoiceFarm(url, home=home) as farm:
        farm.broker.redis.ping()
        begun_s = time.monotonic()
        farm.batch(Path(file))
        took_s = time.monotonic() - begun_s
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"took_s": took_s, "peak_bytes": peak_bytes}))


def measure(items: int) -> None:
    """Print one line of facts."""
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        file, chars = home / "lines.jsonl", 0
        with file.open("w") as lines:
            for n in range(items):
                text = TEXT.format(n=n).strip()
                chars += len(text)
                lines.write(json.dumps({"custom_id": f"line-{n}", "text": text}) + "\n")
        with (
            EmbeddedBroker(home / "farm") as broker,
            redis.Redis.from_url(broker.start()) as client,
        ):
            before_bytes = client.info("memory")["used_memory"]
            command = [sys.executable, "-m", __spec__.name, "client", broker.start(), str(home)]
            said = subprocess.run([*command, str(file)], capture_output=True, check=True, text=True)
            used_bytes = client.info("memory")["used_memory"] - before_bytes
    facts = json.loads(said.stdout)
    print(
        f"{items:,} items of {chars / items:.0f} characters: "
        f"{items / facts['took_s']:,.0f} items/s, "
        f"{(used_bytes - chars) / items:,.0f} bytes of Redis an item beyond its text, "
        f"client at most {facts['peak_bytes'] / 2**20:,.0f} MiB"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["client"]:
        submit(*sys.argv[2:5])
    else:
        measure(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
