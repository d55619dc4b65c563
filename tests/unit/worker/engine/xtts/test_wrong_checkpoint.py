"""What is wrong with a checkpoint is said in one error, before anything of it runs."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from typing import Any

import pytest

# Where torch is missing, nothing below can be imported.
# ruff: noqa: E402
torch = pytest.importorskip("torch")

from tests.unit.worker.engine.xtts.tiny_checkpoint import A_CONVOLUTION, A_LAYER, save
from worker.engine.errors import CheckpointError
from worker.engine.xtts.checkpoint import load, load_conditioning


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


def test_a_file_that_cannot_clone_says_so(directory, state):
    kept = {name: one for name, one in state.items() if "conditioning_perceiver" not in name}

    with pytest.raises(CheckpointError, match=r"gpt\.conditioning_perceiver is missing"):
        load_conditioning(save(directory, kept))
