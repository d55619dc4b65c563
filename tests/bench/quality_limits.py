"""How far speech is from what the guard doubts: python -m tests.bench.quality_limits

Speaks sentences of Python's documentation with espeak-ng, in the voices of eight languages, and
looks at each as the guard does; then at each with its end said three times more.
"""

from __future__ import annotations

import random
import re
import time
from pydoc_data.topics import topics

import numpy as np

from producer.text import split
from worker.engine.espeak import EspeakModel
from worker.engine.request import ChunkRequest, Samples
from worker.quality import Quality, measure

LANGUAGES = ("en", "de", "fr", "es", "it", "pl", "pt", "ru")

#: Sentences of each language, and their length at most.
SENTENCES = 60
CHARS = 160


def sentences(chance: random.Random) -> list[str]:
    """Return some that have words."""
    prose = re.sub(r"[*=~^\-]{3,}|\s+", " ", " ".join(topics.values()))
    spoken = [chunk.strip() for chunk in split(prose, CHARS)]
    return chance.sample(
        [text for text in spoken if len(re.findall("[a-z]+", text)) > 5], SENTENCES
    )


def looped(samples: Samples, rate_hz: int, chance: random.Random) -> Samples:
    """Say the end three times more, each time a little differently."""
    noise = np.random.default_rng(chance.getrandbits(32))
    end = samples[-int(chance.uniform(0.6, 2.5) * rate_hz) :]
    again = [end * chance.uniform(0.8, 1.2) + noise.normal(0, 0.002, len(end)) for _ in range(3)]
    return np.concatenate([samples, *again]).astype(np.float32)


def measure_all() -> None:
    """Print what was found."""
    chance, model = random.Random(1), EspeakModel()
    model.load()
    offer = model.offer()
    found: list[Quality] = []
    loops, took_s, audio_s = 0, 0.0, 0.0
    for language in LANGUAGES:
        for text in sentences(chance):
            samples = model._speak(ChunkRequest("x", text, language, offer.voices[0].name, 1))
            begun_s = time.perf_counter()
            found.append(measure(samples, offer.sample_rate_hz))
            took_s += time.perf_counter() - begun_s
            audio_s += len(samples) / offer.sample_rate_hz
            loop = looped(samples, offer.sample_rate_hz, chance)
            loops += measure(loop, offer.sample_rate_hz).repeated_s > 0
    model.close()
    print(
        f"{len(found)} sentences: {max(one.silence_share for one in found):.2f} silent at most, "
        f"{max(one.clipped_share for one in found):.5f} clipped at most, "
        f"{sum(one.repeated_s > 0 for one in found)} repeat themselves, "
        f"{sum(one.excess > 1 for one in found)} are doubted; "
        f"of as many that do, {loops} are found; {took_s / audio_s * 1e4:.1f} ms for 10 s"
    )


if __name__ == "__main__":
    measure_all()
