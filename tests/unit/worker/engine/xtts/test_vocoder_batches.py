"""Which utterances the vocoder computes together, and who waits for whom."""

from __future__ import annotations

from dataclasses import replace

import pytest

# Where torch is missing, nothing below can be imported.
# ruff: noqa: E402
torch = pytest.importorskip("torch")


from tests.unit.worker.engine.xtts.utterances import LENGTHS, latents_of, off_by
from worker.engine.xtts.vocoder import (
    PATIENCE,
    Utterance,
    Vocoder,
)
from worker.engine.xtts.window_batch import WindowBatch


def test_windows_wait_for_others_but_not_for_ever(checkpoint, speaker):
    # Given batches of four, and two utterances of one window each
    vocoder = Vocoder(checkpoint.vocoder, rows=4, widths=[34])
    frames = Utterance(latents_of(0, 8), speaker)
    for name in ("one", "two"):
        vocoder.begin(name, frames)

    # When nothing joins them
    turns = []
    for turn in range(PATIENCE + 1):
        vocoder.advance()
        turns += [turn] * len(vocoder.finished())

    # Then they are computed all the same, after a while
    assert turns == [PATIENCE] * 2
    assert not vocoder.finished(wait=True)


def test_a_full_batch_goes_at_once_and_the_rest_when_it_is_asked_for(checkpoint, speaker):
    vocoder = Vocoder(checkpoint.vocoder, rows=2, widths=[34])
    for name in "abc":
        vocoder.begin(name, Utterance(latents_of(0, 8), speaker))

    vocoder.advance()
    at_once = [name for name, _ in vocoder.finished(wait=True)]
    vocoder.advance(flush=True)

    assert at_once == ["a", "b"]
    assert [name for name, _ in vocoder.finished(wait=True)] == ["c"]


def test_an_urgent_utterance_does_not_wait(checkpoint, speaker):
    vocoder = Vocoder(checkpoint.vocoder, rows=4, widths=[34])
    vocoder.begin("now", Utterance(latents_of(0, 8), speaker), urgent=True)

    vocoder.advance()

    assert [name for name, _ in vocoder.finished()] == ["now"]


@pytest.mark.parametrize("codes", LENGTHS)
def test_an_urgent_utterance_has_smaller_batches_of_its_own_and_the_same_sound(
    checkpoint, vocoder, speaker, monkeypatch, codes
):
    # Given a vocoder with batches of two kinds, and others that wait for theirs to fill
    both = Vocoder(checkpoint.vocoder, rows=8, widths=[34, 64], urgent_rows={34: 1, 64: 2})
    sizes = []
    compute = WindowBatch.compute
    monkeypatch.setattr(
        WindowBatch, "compute", lambda *asked: sizes.append(asked[0].room) or compute(*asked)
    )
    latents = latents_of(codes, codes)
    (wanted,) = vocoder.vocode([Utterance(latents, speaker)])
    sizes.clear()
    both.begin("book", Utterance(latents_of(0, 8), speaker))

    # When one comes that somebody waits for
    both.begin("now", Utterance(latents, speaker), urgent=True)
    both.advance()

    # Then it is made at once, and the book waits on
    ((name, samples),) = both.finished()
    assert name == "now"
    assert off_by(torch.from_numpy(samples), wanted) < 1e-6
    assert set(sizes) <= {1, 2}
    assert both._lane.waiting


class Later:
    """A batch of a device that has others to do before it: done once it is waited for."""

    is_over = False

    def query(self) -> bool:
        return self.is_over

    def synchronize(self) -> None:
        self.is_over = True


def test_of_what_the_device_has_begun_only_what_is_urgent_is_waited_for(
    checkpoint, speaker, monkeypatch
):
    compute = WindowBatch.compute
    monkeypatch.setattr(
        WindowBatch, "compute", lambda *asked: replace(compute(*asked), done=Later())
    )
    vocoder = Vocoder(checkpoint.vocoder, rows=1, widths=[34])
    heard = []
    for name in ("book", "now", "later", "none"):
        if name != "none":
            utterance = Utterance(latents_of(0, 8), speaker)
            vocoder.begin(name, utterance, urgent=name == "now")
        vocoder.advance()
        heard.append([name for name, _ in vocoder.finished()])

    # A turn after it was begun, with what was begun before it, and without what comes behind it.
    assert heard == [[], [], ["book", "now"], []]
