"""HuBERT's features are those of transformers and of fairseq, alone and among others."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest

# Where torch is missing, nothing below can be imported.
# ruff: noqa: E402
torch = pytest.importorskip("torch")

from torch import Tensor

from tests.conftest import needed
from worker.engine.errors import CheckpointError
from worker.engine.rvc.content import Content, frames_of
from worker.engine.rvc.content_file import read_content

#: Features are of scale 4.
TOLERANCE = 1e-5

#: Samples: the least there may be, odd and even numbers of frames, and many frames.
LENGTHS = (400, 719, 720, 5000, 16001, 16320, 31999)


def wave_of(samples: int, level: float = 0.1) -> Tensor:
    """Noise, the same every time."""
    return level * torch.randn(samples, generator=torch.Generator().manual_seed(samples))


@pytest.fixture(scope="module")
def content(hubert_folder: Path) -> Content:
    """Ours."""
    return Content(read_content(hubert_folder))


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("samples", LENGTHS)
def test_features_are_those_of_transformers(content, hubert, samples, version):
    wave = wave_of(samples)

    [found] = content.features([wave], [version])

    assert found.shape == (frames_of(samples), content.width(version))
    assert torch.allclose(found, hubert.features(wave, version), rtol=0, atol=TOLERANCE)


def test_a_batch_of_mixed_lengths_and_versions_is_exact(content):
    waves = [wave_of(samples) for samples in LENGTHS] + [torch.zeros(4000), wave_of(9000, 1e-4)]
    versions = ["v1" if place % 3 else "v2" for place in range(len(waves))]

    together = content.features(waves, versions)

    for wave, version, found in zip(waves, versions, together, strict=True):
        [alone] = content.features([wave], [version])
        assert torch.allclose(found, alone, rtol=0, atol=1e-4)


def test_a_wave_without_a_frame_is_refused(content):
    with pytest.raises(ValueError, match="399 samples, and 400"):
        content.features([wave_of(720), wave_of(399)], ["v1", "v1"])


@pytest.mark.parametrize("form", ["fairseq", "old fairseq", "silent fairseq", "safetensors"])
def test_every_file_that_people_have_is_read(form, content, hubert, tmp_path):
    if form == "safetensors":
        path = hubert.write_folder(tmp_path / "folder", "model.safetensors")
    else:
        # A checkpoint that does not tell has heads of 64: then there is one.
        path = hubert.write_fairseq(
            tmp_path / "hubert_base.pt",
            heads=form != "silent fairseq",
            zipped=form != "old fairseq",
        )
    read = read_content(path)

    [found], [wanted] = (one.features([wave_of(5000)], ["v1"]) for one in (Content(read), content))

    assert read.heads == (1 if form == "silent fairseq" else 4)
    assert torch.equal(found, wanted) == (read.heads == 4)


def test_half_precision_in_a_file_is_read(hubert, tmp_path):
    read = read_content(hubert.write_fairseq(tmp_path / "hubert_base.pt", half=True))

    assert {tensor.dtype for tensor in (read.first, read.norm_weight)} == {torch.float32}


class Evil:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, ("true",)


@pytest.mark.parametrize("key", ["model", "evil"])
def test_a_file_that_wants_to_call_something_is_refused_by_name(key, tmp_path):
    file = tmp_path / "hubert_base.pt"
    torch.save({"model": {}, key: Evil()}, file, pickle_module=pickle)

    with pytest.raises(CheckpointError, match=r"wants to call (posix|nt)\.system.*not called"):
        read_content(file)


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        ({"do_stable_layer_norm": True}, "do_stable_layer_norm is True"),
        ({"feat_extract_norm": "layer"}, "feat_extract_norm is 'layer'"),
        ({"num_attention_heads": 7}, "num_attention_heads is 7"),
    ],
)
def test_another_encoder_is_refused_by_name(hubert, told, fault, tmp_path):
    folder = hubert.write_folder(tmp_path / "folder", **told)

    with pytest.raises(CheckpointError, match=fault):
        read_content(folder)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda state: state.pop("encoder.layers.3.final_layer_norm.bias"), "bias is missing"),
        (lambda state: state.update({"adapter.weight": torch.ones(1)}), "holds adapter.weight"),
        (lambda state: state["final_proj.bias"].fill_(float("nan")), "not finite"),
        (lambda state: state.pop("encoder.layers.3.layer_norm.bias"), "layer_norm.bias is missing"),
        (lambda state: state.clear(), "no HuBERT"),
    ],
)
def test_a_spoilt_file_is_refused_by_name(hubert, change, fault, tmp_path):
    folder = hubert.write_folder(tmp_path / "folder")
    state = hubert.state
    change(state)
    torch.save(state, folder / "pytorch_model.bin")

    with pytest.raises(CheckpointError, match=fault):
        read_content(folder)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"neither model.safetensors nor pytorch_model.bin"):
        read_content(tmp_path)


def test_features_are_those_of_fairseq(hubert, tmp_path):
    hubert_module = needed("fairseq.models.hubert.hubert")
    pretraining = needed("fairseq.tasks.hubert_pretraining")
    dictionary = needed("fairseq.data.dictionary").Dictionary()
    convolutions = "[(32,10,5)] + [(32,3,2)] * 4 + [(32,2,2)] * 2"
    model = hubert_module.HubertModel(
        hubert_module.HubertConfig(
            label_rate=50.0, encoder_layers=12, encoder_embed_dim=64, encoder_ffn_embed_dim=48,
            encoder_attention_heads=4, final_dim=256, conv_feature_layers=convolutions,
            conv_pos=16, conv_pos_groups=16, untie_final_proj=False,
        ),
        pretraining.HubertPretrainingConfig(data="", label_rate=50.0, sample_rate=16000),
        [dictionary],
    ).eval()  # fmt: skip
    file = hubert.write_fairseq(tmp_path / "hubert_base.pt")
    ours = Content(read_content(file))
    from worker.engine.archive import read_archive

    state = read_archive(file, ["fairseq.data.dictionary.Dictionary"])["model"]
    state["label_embs_concat"] = model.state_dict()["label_embs_concat"]
    model.load_state_dict(state)

    for samples in LENGTHS[1:]:
        wave = wave_of(samples)
        for version, layer in (("v1", 9), ("v2", 12)):
            with torch.no_grad():
                theirs = model.extract_features(source=wave[None], output_layer=layer)[0]
                theirs = model.final_proj(theirs) if version == "v1" else theirs
            [found] = ours.features([wave], [version])
            assert torch.allclose(found, theirs[0], rtol=0, atol=TOLERANCE)
