"""Takes of random weights, and their texts, are as long as the benchmark of the farm says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from producer.languages import chunk_limit_chars
from producer.text import split
from tests.conftest import needed
from worker.engine.xtts.sampling import Sampling, SamplingRows, counter_noise, sample

from .farm_models import stop_bias
from .farm_texts import SENTENCE_CHARS, WORDS, chapters
from .xtts_published import write_description

IDS = 1026
ROWS = 1024


@pytest.mark.parametrize("codes", [30.0, 129.0])
def test_the_stop_id_is_drawn_once_in_so_many_codes_also_when_others_are_penalised(codes) -> None:
    # given logits of a head without weights, and rows that have drawn many ids already
    logits = torch.zeros(ROWS, IDS)
    logits[:, -1] = stop_bias(IDS, codes)
    seen = torch.rand(ROWS, IDS, generator=torch.Generator().manual_seed(0)) < 0.1
    seen[:, -1] = False
    rows = SamplingRows.of([Sampling(seed=seed) for seed in range(ROWS)], IDS)

    # when a few steps of each are drawn
    steps = 8
    stops = sum(
        int((sample(logits, seen, rows, torch.full((ROWS,), step), counter_noise) == IDS - 1).sum())
        for step in range(steps)
    )

    # then the share of stops is theirs, within four deviations
    expected = ROWS * steps / codes
    assert abs(stops - expected) < 4 * expected**0.5


def test_a_chunk_of_a_chapter_has_as_many_ids_as_a_sentence_has_letters(tmp_path: Path) -> None:
    # given
    tokenizers = needed("tokenizers")
    write_description(tmp_path, words=WORDS)
    vocabulary = tokenizers.Tokenizer.from_file(str(tmp_path / "vocab.json"))

    # when
    chunks = split(chapters(1, 30, ["anna"])[0]["text"], chunk_limit_chars("en"))
    ids = [len(vocabulary.encode(text.strip().replace(" ", "[SPACE]")).ids) for text in chunks]

    # then
    assert ids == [SENTENCE_CHARS] * 30
