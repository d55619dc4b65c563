"""The vocoder gives what coqui-tts gives, whatever it computes at the same time."""

from __future__ import annotations

from typing import Any

import pytest

# Where torch is missing, nothing below can be imported.
# ruff: noqa: E402
torch = pytest.importorskip("torch")

from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import interpolate

from tests.unit.worker.engine.xtts.utterances import LENGTHS, latents_of, off_by
from worker.engine.xtts.hifigan import Generator, Layout
from worker.engine.xtts.speakers import Speaker
from worker.engine.xtts.vocoder import (
    FITTING_WIDTHS,
    HOP_SAMPLES,
    ROWS,
    Utterance,
    Vocoder,
    stretched,
)
from worker.engine.xtts.windows import HALO_FRAMES

LAYOUTS: tuple[Layout, ...] = ("time", "channels_last")


def coqui_samples(coqui: Any, latents: Tensor, speaker: Speaker, speed: float = 1.0) -> Tensor:
    """What coqui-tts makes of latents, as the last lines of its `Xtts.inference` do it."""
    latents = latents[None]
    if speed != 1.0:
        latents = torch.nn.functional.interpolate(
            latents.transpose(1, 2), scale_factor=1.0 / speed, mode="linear"
        ).transpose(1, 2)
    with torch.inference_mode():
        return coqui.hifigan_decoder(latents, g=speaker.embedding[None, :, None]).flatten()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("codes", LENGTHS)
@pytest.mark.parametrize("widths", [tuple(ROWS), FITTING_WIDTHS])
def test_samples_are_those_of_coqui(checkpoint, coqui, speaker, layout, codes, widths):
    latents = latents_of(codes, codes)

    (samples,) = Vocoder(
        checkpoint.vocoder, layout=layout, widths=widths, fit=widths is FITTING_WIDTHS
    ).vocode([Utterance(latents, speaker)])

    wanted = coqui_samples(coqui, latents, speaker)
    assert wanted.std() > 0.05
    assert off_by(samples, wanted) < 1e-5


@pytest.mark.parametrize("speed", [0.5, 0.9, 1.3, 2.0])
@pytest.mark.parametrize("codes", [3, 37])
def test_tempo_is_that_of_coqui(vocoder, coqui, speaker, codes, speed):
    latents = latents_of(codes, codes)

    (samples,) = vocoder.vocode([Utterance(latents, speaker, speed)])

    assert off_by(samples, coqui_samples(coqui, latents, speaker, speed)) < 1e-5


def test_an_utterance_of_coqui_itself_becomes_the_same_sound(vocoder, coqui, checkpoint):
    for name, speaker in checkpoint.speakers.items():
        entry = coqui.speaker_manager.speakers[name]
        said = coqui.inference(
            "it took me quite a long time.", "en", *entry.values(), do_sample=False
        )

        (samples,) = vocoder.vocode([Utterance(torch.from_numpy(said["gpt_latents"][0]), speaker)])

        assert off_by(samples, torch.from_numpy(said["wav"])) < 1e-5


def test_latents_that_a_tempo_leaves_nothing_of_are_silent(vocoder, speaker):
    (samples,) = vocoder.vocode([Utterance(latents_of(0, 1), speaker, speed=2.0)])

    assert samples.shape == (0,)


def test_without_memory_for_one_more_the_others_are_made_first(checkpoint, speaker, monkeypatch):
    vocoder = Vocoder(checkpoint.vocoder)
    utterances = [Utterance(latents_of(number, 60), speaker) for number in range(8)]
    wanted = Vocoder(checkpoint.vocoder).vocode(utterances)

    def stretch_of_three(utterance: Utterance) -> Tensor:
        if vocoder._lane.waiting >= room:
            raise torch.OutOfMemoryError("no room")
        return stretch(utterance)

    stretch, room = vocoder._stretch, 3 * windows_of(vocoder, utterances[0])
    monkeypatch.setattr(vocoder, "_stretch", stretch_of_three)
    for number, utterance in enumerate(utterances):
        vocoder.begin(str(number), utterance)
    monkeypatch.undo()

    done = dict(vocoder.finished())
    assert set(done) == {"0", "1", "2", "3", "4", "5"}
    vocoder.advance(flush=True)
    while len(done) < 8:
        done |= dict(vocoder.finished(wait=True))
    for number, samples in enumerate(wanted):
        assert off_by(torch.from_numpy(done[str(number)]), samples) == 0


def windows_of(vocoder: Vocoder, utterance: Utterance) -> int:
    """How many windows an utterance is cut into."""
    return len(vocoder._lane.windows(len(vocoder._stretch(utterance))))


def test_voices_sound_different(vocoder, checkpoint):
    latents = latents_of(7, 40)

    alice, bob = vocoder.vocode([Utterance(latents, s) for s in checkpoint.speakers.values()])

    assert off_by(alice, bob) > 0.05


def test_one_halo_is_all_that_a_sample_can_see(checkpoint):
    # In double precision, so that what is left is not rounding.
    generator = Generator(checkpoint.vocoder, torch.float64, "time")
    frames = torch.randn(1, 64, 120, dtype=torch.float64)
    whole = generator(frames, generator.conditions(1))[0, 40 * HOP_SAMPLES : 60 * HOP_SAMPLES]

    def with_halo(halo: int) -> Tensor:
        samples = generator(frames[:, :, 40 - halo : 60 + halo], generator.conditions(1))
        return samples[0, halo * HOP_SAMPLES : -halo * HOP_SAMPLES]

    assert off_by(with_halo(HALO_FRAMES), whole) < 1e-14
    assert off_by(with_halo(HALO_FRAMES - 2), whole) > 1e-14


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("fit", [False, True])
def test_windows_are_as_good_as_the_whole(checkpoint, speaker, layout, fit):
    utterance = Utterance(latents_of(1, 150), speaker)
    windows = Vocoder(checkpoint.vocoder, layout=layout, widths=[40, 64], fit=fit)

    (windowed,) = windows.vocode([utterance])
    (whole,) = Vocoder(checkpoint.vocoder, layout=layout, widths=[5000]).vocode([utterance])

    assert off_by(windowed, whole) < 1e-6


@settings(max_examples=8, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    rows=st.integers(1, 4),
    layout=st.sampled_from(LAYOUTS),
    fit=st.booleans(),
)
def test_a_take_is_the_same_bit_for_bit_alone_and_among_others(
    checkpoint, lengths, rows, layout, fit
):
    vocoder = Vocoder(checkpoint.vocoder, rows=rows, layout=layout, widths=[32, 48], fit=fit)
    voices = list(checkpoint.speakers.values())
    utterances = [
        Utterance(latents_of(number, codes), voices[number % 2], 1.0 + 0.3 * (number % 3))
        for number, codes in enumerate(lengths)
    ]

    together = vocoder.vocode(utterances)

    for samples, utterance in zip(together, utterances, strict=True):
        (alone,) = vocoder.vocode([utterance])
        assert torch.equal(samples, alone)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_end_within_a_window_is_as_good_as_the_end_of_the_window(checkpoint, layout):
    generator = Generator(checkpoint.vocoder, torch.float32, layout)
    longer, shorter = generator.frames(2, 40).normal_(), generator.frames(2, 29)
    shorter.copy_(longer[..., :29])
    conditions = generator.conditions(2).normal_()

    samples = generator(longer, conditions, ends=(29, 40))

    assert off_by(samples[0, : 29 * HOP_SAMPLES], generator(shorter, conditions)[0]) < 1e-6
    assert torch.equal(samples[1], generator(longer, conditions)[1])


def test_half_precision_stays_near_full_precision(checkpoint, vocoder, speaker):
    utterance = Utterance(latents_of(3, 50), speaker)

    (full,) = vocoder.vocode([utterance])
    (half,) = Vocoder(checkpoint.vocoder, dtype=torch.bfloat16, layout="channels_last").vocode(
        [utterance]
    )

    assert half.dtype == torch.float32
    assert off_by(half, full) < 0.1 * full.std()


def test_a_voice_is_known_by_its_revision(vocoder, speaker):
    latents = latents_of(4, 20)
    (before,) = vocoder.vocode([Utterance(latents, speaker)])

    changed = Speaker.of(speaker.latents, -speaker.embedding)
    (after,) = vocoder.vocode([Utterance(latents, changed)])

    assert changed.revision != speaker.revision
    assert off_by(before, after) > 0.05


def test_windows_that_would_be_all_halo_are_refused(checkpoint):
    with pytest.raises(ValueError, match="26 frames would be all halo"):
        Vocoder(checkpoint.vocoder, widths=[26, 64])


def test_warming_up_changes_nothing(checkpoint, vocoder, speaker):
    utterance = Utterance(latents_of(5, 33), speaker)
    warm = Vocoder(checkpoint.vocoder, widths=FITTING_WIDTHS, fit=True)

    warm.warm_up()

    assert torch.equal(warm.vocode([utterance])[0], vocoder.vocode([utterance])[0])


def test_a_stretch_is_that_of_torch():
    for count, scale in (
        (1, 4.0),
        (2, 24000 / 22050),
        (602, 4.0),
        (2400, 24000 / 22050),
        (50, 20.0),
    ):
        frames = torch.randn(count, 8)
        wanted = interpolate(frames.T[None], scale_factor=scale, mode="linear")[0].T

        assert off_by(stretched(frames, scale), wanted) < 2e-6


def test_the_latents_may_be_overwritten_once_an_utterance_has_begun(checkpoint, speaker):
    latents = latents_of(3, 20)
    vocoder = Vocoder(checkpoint.vocoder)
    (wanted,) = vocoder.vocode([Utterance(latents, speaker)])

    vocoder.begin("kept", Utterance(latents, speaker))
    latents.zero_()
    vocoder.advance(flush=True)

    ((_, samples),) = vocoder.finished(wait=True)
    assert torch.equal(torch.from_numpy(samples), wanted)
