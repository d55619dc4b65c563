"""A recording that is read, converted and written bit by bit gives what it gives as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

# Where torch is missing, nothing below can be imported.
# ruff: noqa: E402
torch = pytest.importorskip("torch")

from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.conftest import needed
from tests.unit.worker.engine.rvc.tiny_voice import write_voice
from tests.unit.worker.engine.rvc.voices_and_speech import loaded, speech
from worker.engine.progress import Stage
from worker.engine.rvc.clip import Clip, Conversion
from worker.engine.rvc.content import Content
from worker.engine.rvc.converter import Converter
from worker.engine.rvc.errors import UnfitAudio, UnfitVoice
from worker.engine.rvc.highpass import high_passed, high_passed_block
from worker.engine.rvc.long_conversion import LongClip, LongConversion
from worker.engine.rvc.loudness import LoudnessMeter, mixed
from worker.engine.rvc.pitch import Pitch
from worker.engine.rvc.resampling import finely_resampled, resampled, resampled_blocks
from worker.engine.rvc.rmvpe_file import read_rmvpe
from worker.engine.rvc.scratch import Scratch
from worker.engine.rvc.splitting import Splitting, cuts
from worker.engine.rvc.synthesizer import Synthesizer
from worker.engine.rvc.voice import Voice

#: Forces cuts into seconds.
TIGHT = Splitting(pad_s=1, query_s=1, center_s=2, longest_s=3)

#: Recordings are handed over in parts of so many samples.
PART = 7001


@dataclass(frozen=True)
class Parts:
    """A recording in memory that is read bit by bit."""

    samples: Tensor
    rate_hz: int = 16000

    @property
    def claimed_s(self) -> float:
        return len(self.samples) / max(1, self.rate_hz)

    def blocks(self) -> Iterator[Tensor]:
        return iter(self.samples.split(PART))


@pytest.fixture(scope="module")
def converter(wide_content: Content, rmvpe_file: Path) -> Converter:
    """With batches of a few stretches."""
    pitch = Pitch(read_rmvpe(rmvpe_file))
    return Converter(wide_content, pitch, Synthesizer(), splitting=TIGHT, batch_s=9)


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Voice:
    file = write_voice(tmp_path_factory.mktemp("voice") / "a.pth", "v2", 32000)
    return replace(loaded(file), median_hz=280.0)


@pytest.fixture
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that is done by the block or piece has many of them in seconds."""
    monkeypatch.setattr("worker.engine.rvc.long_conversion._BLOCK", 30_000)
    for name, frames in (("_WHOLE", 400), ("_PIECE", 320), ("_AROUND", 160)):
        monkeypatch.setattr(f"worker.engine.rvc.pitch.{name}", frames)


@pytest.fixture(scope="module")
def chapter() -> Tensor:
    """Eleven seconds, too loud in places, digitally silent in others."""
    wave = speech(11.03)
    wave[60_000:75_000] *= 9
    wave[96_000:140_000] = 0
    return wave


def converted(converter: Converter, clip: LongClip, scratch: Path) -> Tensor:
    conversion = LongConversion(converter, clip, scratch)
    told = list(conversion.steps())
    order = [(list(Stage).index(one.stage), one.share) for one in told]
    assert order == sorted(order)
    assert {one.stage for one in told} == set(Stage) - {Stage.CHECKING}
    for stage in (Stage.READING, Stage.PITCH, Stage.CONVERTING):
        assert max(one.share for one in told if one.stage is stage) == 1
    found = torch.cat(list(conversion.blocks()))
    conversion.close()
    return found


@pytest.mark.usefixtures("_small_blocks")
@pytest.mark.parametrize(
    "how",
    [
        Conversion(),
        Conversion(length="exact", rms_mix_rate=1.0),
        Conversion(length="exact", resample_hz=44100),
        Conversion(resample_hz=16000, unvoiced="interp"),
        Conversion(f0_method="pm", pitch="auto", rms_mix_rate=0.0),
    ],
)
def test_it_is_the_conversion_of_the_whole(converter, voice, chapter, tmp_path, how):
    if how.f0_method == "pm":
        needed("parselmouth")
    [whole] = converter.convert([Clip(chapter, 16000, voice, how, seed=3)])

    found = converted(converter, LongClip(Parts(chapter), voice, how, seed=3), tmp_path)

    assert isinstance(whole, Tensor)
    assert found.shape == whole.shape
    assert whole.abs().max() > 0.01
    torch.testing.assert_close(found, whole, rtol=0, atol=1e-4)
    if how.length == "exact":
        rate_hz = how.resample_hz or 32000
        assert len(found) == round(len(chapter) * rate_hz / 16000)


@pytest.mark.usefixtures("_small_blocks")
@pytest.mark.parametrize("rate_hz", [8000, 44100, 47999])
def test_rates_and_channels_change_nothing(converter, voice, tmp_path, rate_hz):
    wave = resampled(speech(5.5), 16000, rate_hz)
    stereo = torch.stack([wave, 0.3 * wave], dim=1)
    [whole] = converter.convert([Clip(stereo, rate_hz, voice)])

    found = converted(converter, LongClip(Parts(stereo, rate_hz), voice), tmp_path)

    assert found.shape == whole.shape
    # RMVPE decides between bands, so a millionth before it may become more behind it.
    torch.testing.assert_close(found, whole, rtol=0, atol=1e-3)


@pytest.mark.parametrize("method", ["rmvpe", "pm", "harvest"])
@pytest.mark.usefixtures("_small_blocks")
def test_every_step_is_a_bounded_piece_of_work(converter, voice, chapter, tmp_path, method):
    for name, module in (("pm", "parselmouth"), ("harvest", "pyworld")):
        if name == method:
            needed(module)
    clip = LongClip(Parts(chapter), voice, Conversion(f0_method=method))
    conversion = LongConversion(converter, clip, tmp_path)

    stages = Counter(one.stage for one in conversion.steps())

    # Pieces of 3.2 s at 16 kHz; who waits for one of them waits for no more than that.
    assert stages[Stage.PITCH] >= 4
    assert stages[Stage.READING] >= 10
    conversion.close()


def test_a_voice_without_pitch_has_no_such_stage(converter, tmp_path):
    flat = loaded(write_voice(tmp_path / "flat.pth", f0=False))
    conversion = LongConversion(converter, LongClip(Parts(speech(6.0)), flat), tmp_path)

    assert Stage.PITCH not in {one.stage for one in conversion.steps()}
    conversion.close()


def test_what_cannot_be_converted_says_why_as_ever(converter, voice, tmp_path):
    nan = speech(2.0)
    nan[30_000] = float("nan")
    bad = [
        (LongClip(Parts(nan), voice), UnfitAudio, "not finite"),
        (LongClip(Parts(speech(1.0)[:18]), voice), UnfitAudio, "18 samples"),
        (LongClip(Parts(torch.zeros(0)), voice), UnfitAudio, "0 samples"),
        (LongClip(Parts(speech(1.0)[:300]), voice), UnfitAudio, "too short"),
        (LongClip(Parts(speech(1.0), 0), voice), UnfitAudio, "has 0 Hz"),
        (LongClip(Parts(speech(1.0)), voice, speaker=9), UnfitVoice, "3 speakers"),
    ]
    for clip, kind, text in bad:
        conversion = LongConversion(converter, clip, tmp_path)
        with pytest.raises(kind, match=text):
            list(conversion.steps())
        conversion.close()
        conversion.close()


def test_giving_up_leaves_no_file(converter, voice, tmp_path):
    conversion = LongConversion(converter, LongClip(Parts(speech(6.0)), voice), tmp_path)
    steps = conversion.steps()
    while next(steps).stage is not Stage.CONVERTING:
        pass

    conversion.close()

    assert list(tmp_path.iterdir()) == []


@given(st.lists(st.integers(0, 900), max_size=9), st.sampled_from([8000, 22050, 47999]))
def test_blocks_are_resampled_as_the_whole_is(sizes, rate_hz):
    wave = 0.1 * torch.randn(sum(sizes), generator=torch.Generator().manual_seed(len(sizes)))

    for fine, whole in (
        (False, resampled(wave, rate_hz, 16000)),
        (True, finely_resampled(wave, rate_hz, 16000)),
    ):
        blocks = resampled_blocks(wave.split(sizes) if sizes else [], rate_hz, 16000, fine=fine)
        found = torch.cat(list(blocks))
        assert found.shape == whole.shape
        assert torch.allclose(found, whole, rtol=0, atol=1e-6)


def test_blocks_are_filtered_as_the_whole_is():
    wave = speech(14.0).double() + 0.3
    [whole] = high_passed([wave])

    found = torch.cat([high_passed_block(wave, at, min(at + 40_000, len(wave)))
                       for at in range(0, len(wave), 40_000)])  # fmt: skip

    assert torch.allclose(found, whole, rtol=0, atol=1e-12)


@given(st.lists(st.integers(0, 30_000), min_size=1, max_size=9))
def test_loudness_does_not_depend_on_blocks(sizes):
    wave = torch.randn(sum(sizes), generator=torch.Generator().manual_seed(1))

    parts, whole = LoudnessMeter(16000, wave.device), LoudnessMeter(16000, wave.device)
    for part in wave.split(sizes):
        parts.add(part)
    whole.add(wave)

    assert torch.allclose(parts.curve(), whole.curve())


def test_silence_has_no_loudness_to_give():
    assert mixed([torch.zeros(9000)], 16000, [torch.ones(9000)], 16000, [0.0]).abs().max() == 0


def test_in_digital_silence_a_cut_comes_first():
    wave = torch.ones(64_000, dtype=torch.float64)
    # What filters leave of silence is not the same everywhere, and means nothing.
    wave[32_000:40_000] = 1e-13 * torch.arange(8000, 0, -1)

    assert next(cuts(wave, TIGHT)) == 32_000


@given(st.lists(st.integers(0, 50), max_size=6), st.data())
def test_scratch_gives_back_what_was_added(tmp_path_factory, sizes, data):
    scratch = Scratch(tmp_path_factory.getbasetemp(), torch.float64)
    whole = torch.arange(sum(sizes), dtype=torch.float64) / 3
    for part in whole.split(sizes) if sizes else []:
        scratch.append(part)
        start = data.draw(st.integers(0, len(scratch)))
        stop = data.draw(st.integers(start, len(scratch)))
        assert torch.equal(scratch[start:stop], whole[start:stop])
    assert len(scratch) == len(whole)
    with pytest.raises(ValueError, match="step of 2"):
        scratch[::2]
    scratch.close()
