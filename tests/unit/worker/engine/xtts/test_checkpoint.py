"""A checkpoint loads in every form that people have, or one error says what is wrong with it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# Where torch is missing, nothing below can be imported.
# ruff: noqa: E402
torch = pytest.importorskip("torch")

from torch import Tensor

from worker.engine.archive import StandIn
from worker.engine.errors import CheckpointError
from worker.engine.xtts.archive import read_archive
from worker.engine.xtts.checkpoint import load, load_conditioning, revision_of
from worker.engine.xtts.vocoder import Utterance, Vocoder

State = dict[str, Tensor]

A_LAYER = "gpt.gpt.h.1.mlp.c_fc.weight"
A_CONVOLUTION = "hifigan_decoder.waveform_decoder.ups.2"


@pytest.fixture
def state(directory: Path) -> State:
    """The tensors of the checkpoint that is to be spoilt."""
    return torch.load(directory / "model.pth")["model"]


def save(directory: Path, state: State, **others: Any) -> Path:
    """Put other tensors into a checkpoint."""
    torch.save({"model": state, **others}, directory / "model.pth")
    return directory


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


# What must not be


class Trap:
    """Runs a command when it is unpickled."""

    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self.call = call
        self.arguments = arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call, self.arguments


@pytest.mark.parametrize(
    ("call", "name"), [(os.system, "posix.system"), (eval, "eval"), (shutil.copy, "shutil.copy")]
)
def test_what_a_file_wants_to_call_is_named_and_not_called(directory, state, tmp_path, call, name):
    victim = tmp_path / "victim"
    arguments = {
        os.system: (f"touch {victim}",),
        eval: (f"open({str(victim)!r}, 'w')",),
        shutil.copy: (str(directory / "vocab.json"), str(victim)),
    }[call]
    save(directory, state, config=Trap(call, *arguments))

    with pytest.raises(CheckpointError, match=rf"model\.pth: wants to call {name}, "):
        load(directory)

    assert not victim.exists()


def test_a_voice_file_cannot_call_anything_either(directory):
    torch.save({"Eve": Trap(os.system, "true")}, directory / "speakers_xtts.pth")

    with pytest.raises(CheckpointError, match=r"speakers_xtts\.pth: wants to call posix\.system"):
        load(directory)


@pytest.mark.parametrize(
    ("name", "spoilt", "fault"),
    [
        (A_LAYER, None, rf"{A_LAYER} is missing, wanted \[64, 256\]"),
        (A_LAYER, torch.ones(64, 200), rf"{A_LAYER} is \[64, 200\], wanted \[64, 256\]"),
        (A_LAYER, torch.full((64, 256), torch.nan), rf"{A_LAYER} holds numbers .* not finite"),
        ("gpt.mel_head.bias", torch.full((66,), torch.inf), "gpt.mel_head.bias holds numbers"),
        ("gpt.gpt.h.2.ln_1.weight", torch.ones(64), "gpt.gpt.h has 3 layers, wanted 2"),
        ("gpt.text_embedding.weight", torch.ones(99, 64), r"is \[99, 64\], wanted \[105, 64\]"),
        (
            f"{A_CONVOLUTION}.parametrizations.weight.original1",
            torch.ones(8, 4, 6),
            r"original1 is \[8, 4, 6\], wanted \[8, any, 4\]",
        ),
        (
            f"{A_CONVOLUTION}.parametrizations.weight.original1",
            torch.zeros(8, 4, 4),
            "ups.2 has a weight without a direction",
        ),
    ],
)
def test_a_wrong_tensor_is_named_with_its_shapes(directory, state, name, spoilt, fault):
    state.pop(name, None)
    if spoilt is not None:
        state[name] = spoilt

    with pytest.raises(CheckpointError, match=rf"model\.pth: .*{fault}"):
        load(save(directory, state))


def test_finite_numbers_too_large_to_be_added_are_fine(directory, state):
    state[A_LAYER] = torch.full((64, 256), 3e38)

    assert load(save(directory, state)).gpt.layers[1].fc_weight.max() == torch.tensor(3e38)


@pytest.mark.parametrize(
    ("file", "key", "value", "fault"),
    [
        ("config.json", "gpt_layers", 3, "model.pth: gpt.gpt.h has 2 layers, wanted 3"),
        ("config.json", "gpt_n_model_channels", 32, r"model.pth: .* wanted \[105, 32\]"),
        ("config.json", "gpt_n_heads", 5, "gpt_n_heads 5 does not divide"),
        ("config.json", "gpt_n_heads", "four", r"config.json: model_args.gpt_n_heads: "),
        ("config.json", "gpt_stop_audio_token", 66, "66 is none of 66 ids"),
        ("config.json", "gpt_use_perceiver_resampler", False, "this is XTTS v1"),
        ("vocab.json", "model", {}, "vocab.json: is no vocabulary of XTTS: no 'vocab'"),
        ("vocab.json", "added_tokens", [{"id": 500, "content": "x"}], r"wanted \[501, 64\]"),
    ],
)
def test_texts_that_do_not_fit_the_tensors_are_refused(directory, file, key, value, fault):
    fields = json.loads((directory / file).read_text())
    fields.get("model_args", fields)[key] = value
    (directory / file).write_text(json.dumps(fields))

    with pytest.raises(CheckpointError, match=fault):
        load(directory)


@pytest.mark.parametrize("file", ["config.json", "vocab.json", "model.pth"])
def test_a_missing_file_is_named(directory, file):
    (directory / file).unlink()

    with pytest.raises(CheckpointError, match=f"{file}: cannot be read: No such file"):
        load(directory)


@pytest.mark.parametrize(
    ("file", "fault"),
    [
        ("config.json", "is not JSON"),
        ("vocab.json", "is not JSON"),
        ("model.pth", "is no archive of torch.save, or only a part of one"),
        ("speakers_xtts.pth", "is no archive of torch.save, or only a part of one"),
    ],
)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.9])
def test_a_truncated_file_is_named(directory, file, fault, share):
    whole = (directory / file).read_bytes()
    (directory / file).write_bytes(whole[: int(len(whole) * share)])

    with pytest.raises(CheckpointError, match=f"{file}: {fault}"):
        load(directory)


def test_a_file_without_a_model_says_so(directory):
    torch.save([1, 2], directory / "model.pth")

    with pytest.raises(CheckpointError, match=r"model\.pth: has no entry 'model'"):
        load(directory)


def test_a_wrong_voice_is_named(directory):
    torch.save({"Eve": {"gpt_cond_latent": torch.ones(1, 32, 48)}}, directory / "speakers_xtts.pth")

    with pytest.raises(CheckpointError, match=r"Eve/gpt_cond_latent is \[1, 32, 48\], wanted"):
        load(directory)


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


def test_a_file_that_cannot_clone_says_so(directory, state):
    kept = {name: one for name, one in state.items() if "conditioning_perceiver" not in name}

    with pytest.raises(CheckpointError, match=r"gpt\.conditioning_perceiver is missing"):
        load_conditioning(save(directory, kept))
