"""A checkpoint loads in every form that people have, to the same tensors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

# Where torch is missing, nothing below can be imported.
# ruff: noqa: E402
torch = pytest.importorskip("torch")

from torch import Tensor

from tests.unit.worker.engine.xtts.tiny_checkpoint import A_LAYER, save
from worker.engine.archive import StandIn
from worker.engine.xtts.archive import read_archive
from worker.engine.xtts.checkpoint import load, load_conditioning, revision_of
from worker.engine.xtts.vocoder import Utterance, Vocoder

State = dict[str, Tensor]


def spoken(directory: Path) -> Tensor:
    """What the checkpoint's vocoder says of some latents."""
    checkpoint = load(directory)
    latents = torch.randn(9, checkpoint.gpt.width, generator=torch.Generator().manual_seed(1))
    return Vocoder(checkpoint.vocoder).vocode([Utterance(latents, checkpoint.speakers["Alice"])])[0]


def snapshot(directory: Path) -> dict[str, tuple[int, int]]:
    """Every file with its size and time of change."""
    stats = {path.name: path.stat() for path in (directory, *directory.iterdir())}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()}


def test_every_tensor_is_that_of_coqui(checkpoint, coqui):
    ours, theirs = checkpoint.gpt, dict(coqui.named_parameters())

    assert torch.equal(ours.text_embedding, theirs["gpt.text_embedding.weight"])
    assert torch.equal(ours.mel_positions, theirs["gpt.mel_pos_embedding.emb.weight"])
    assert torch.equal(ours.mel_head_bias, theirs["gpt.mel_head.bias"])
    for index, layer in enumerate(ours.layers):
        name = f"gpt.gpt.h.{index}"
        assert torch.equal(layer.qkv_weight, theirs[f"{name}.attn.c_attn.weight"].T)
        assert torch.equal(layer.proj_bias, theirs[f"{name}.attn.c_proj.bias"])
        assert torch.equal(layer.fc_weight, theirs[f"{name}.mlp.c_fc.weight"].T)
        assert torch.equal(layer.fc_proj_weight, theirs[f"{name}.mlp.c_proj.weight"].T)
        assert torch.equal(layer.ln2_weight, theirs[f"{name}.ln_2.weight"])


def test_weight_norm_is_folded_as_torch_does_it(checkpoint, coqui):
    theirs = coqui.hifigan_decoder.waveform_decoder

    for ours, up in zip(checkpoint.vocoder.stages, theirs.ups, strict=True):
        torch.testing.assert_close(ours.upsampling.weight, up.weight, rtol=1e-6, atol=1e-7)
    ours = checkpoint.vocoder.stages[3].blocks[2][1][0].weight
    torch.testing.assert_close(ours, theirs.resblocks[11].convs1[1].weight, rtol=1e-6, atol=1e-7)


def test_ids_and_sizes_are_those_of_the_files(checkpoint):
    gpt = checkpoint.gpt

    assert (gpt.start_text_id, gpt.stop_text_id) == (5, 0)
    assert (gpt.start_mel_id, gpt.stop_mel_id) == (64, 65)
    assert (gpt.width, gpt.heads, len(gpt.layers)) == (64, 4, 2)
    assert (gpt.max_codes, gpt.max_text_ids) == (37, 401)
    assert checkpoint.vocoder.channels == (32, 16, 8, 4, 2)
    assert checkpoint.vocoder.sample_rate_hz == 24000
    assert checkpoint.config.languages[:2] == ("en", "es")


def test_voices_are_read_by_key(directory):
    file = directory / "speakers_xtts.pth"
    voices = torch.load(file)
    wanted = {name: voice["speaker_embedding"].flatten() for name, voice in voices.items()}
    torch.save({name: dict(reversed(voice.items())) for name, voice in voices.items()}, file)

    speakers = load(directory).speakers

    assert list(speakers) == ["Alice", "Bob"]
    assert speakers["Alice"].latents.shape == (32, 64)
    assert all(torch.equal(speakers[name].embedding, wanted[name]) for name in wanted)
    assert speakers["Alice"].revision != speakers["Bob"].revision


def test_a_checkpoint_without_voices_has_none(directory):
    (directory / "speakers_xtts.pth").unlink()

    assert load(directory).speakers == {}


def test_on_the_cpu_tensors_are_views_of_the_file(checkpoint):
    # The transpose of a mapped matrix is the same memory, read the other way.
    assert checkpoint.gpt.layers[0].fc_weight.stride() == (1, 256)


def test_linear_maps_take_the_dtype_and_the_rest_stays_exact(written_checkpoint):
    gpt = load(written_checkpoint, dtype=torch.bfloat16).gpt

    assert gpt.layers[0].qkv_weight.dtype == gpt.layers[0].qkv_bias.dtype == torch.bfloat16
    assert gpt.layers[0].qkv_weight.is_contiguous()
    assert gpt.layers[0].ln1_weight.dtype == gpt.mel_head_weight.dtype == torch.float32


# Forms of the same checkpoint


def as_trained(state: State) -> State:
    """As the trainer leaves it."""
    extra = {"dvae.codebook": torch.ones(2), "torch_mel_spectrogram_dvae.mel": torch.ones(2)}
    return {f"xtts.{name}": tensor for name, tensor in state.items()} | extra


def with_old_norm_names(state: State) -> State:
    """As torch named the tensors of weight norm before 2.1."""
    ending = ".parametrizations.weight.original"
    return {
        name.replace(f"{ending}0", ".weight_g").replace(f"{ending}1", ".weight_v"): tensor
        for name, tensor in state.items()
    }


def after_inference(state: State) -> State:
    """As it is saved after coqui-tts has prepared the model for speaking."""
    twins = {f"gpt.gpt_inference.transformer.{name}": state[name] for name in (A_LAYER,)}
    return state | twins | {"gpt.gpt.wte.weight": state["gpt.mel_embedding.weight"]}


@pytest.mark.parametrize("form", [as_trained, with_old_norm_names, after_inference])
def test_other_forms_of_a_checkpoint_say_the_same(
    written_checkpoint, directory, state, form: Callable[[State], State]
):
    save(directory, form(state))

    assert torch.equal(spoken(directory), spoken(written_checkpoint))


def test_a_file_in_half_precision_is_near(written_checkpoint, directory, state):
    halves = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
    }

    samples = spoken(save(directory, halves))

    assert load(directory).gpt.layers[0].fc_weight.dtype == torch.float32
    assert 0 < (samples - spoken(written_checkpoint)).abs().max() < 0.01


def test_a_published_file_with_pickled_configuration_loads(
    written_checkpoint, directory, state, monkeypatch
):
    from TTS.config.shared_configs import BaseDatasetConfig
    from TTS.tts.configs.xtts_config import XttsArgs, XttsAudioConfig, XttsConfig

    for kind in (XttsArgs, XttsAudioConfig):
        monkeypatch.setattr(kind, "__module__", "TTS.tts.models.xtts")
    save(directory, state, config=XttsConfig(datasets=[BaseDatasetConfig()]))
    before = (directory / "model.pth").read_bytes()

    assert type(read_archive(directory / "model.pth")["config"]) is StandIn
    assert torch.equal(spoken(directory), spoken(written_checkpoint))
    assert (directory / "model.pth").read_bytes() == before


def test_a_directory_is_never_written(directory):
    (directory / "vocab.json").chmod(0o444)
    directory.chmod(0o555)
    before = snapshot(directory)

    spoken(directory)
    load_conditioning(directory)

    assert snapshot(directory) == before
    directory.chmod(0o755)


# The revision


def test_a_revision_does_not_depend_on_where_the_files_lie(written_checkpoint, directory):
    assert revision_of(directory) == load(written_checkpoint).revision


def test_a_revision_changes_with_a_single_number(directory, state):
    before = revision_of(save(directory, state))
    state[A_LAYER][3, 5] += 1e-3

    assert revision_of(save(directory, state)) != before


def test_a_revision_changes_with_the_vocabulary_and_not_with_the_voices(directory):
    before = revision_of(directory)

    (directory / "speakers_xtts.pth").unlink()
    assert revision_of(directory) == before

    (directory / "vocab.json").write_text("{}")
    assert revision_of(directory) != before


# What cloning needs


def test_conditioning_is_read_on_demand_and_complete(written_checkpoint, coqui):
    tensors = load_conditioning(written_checkpoint)

    theirs = coqui.state_dict()
    wanted = {name for name in theirs if "conditioning" in name or "speaker_encoder" in name}
    assert set(tensors) == wanted | {"mel_stats"}
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in tensors.items())
