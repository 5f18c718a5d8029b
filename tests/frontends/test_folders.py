"""Hugging Face folders: what is read of them, and how incomplete, hostile and unknown ones are refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyruntime_converter.frontends import read_model
from pyruntime_converter.lowering.lower import lower
from pyruntime_converter.passes import optimise

from pyruntime.errors import ModelError, UnsupportedError
from tests.garden.folders import Model, Weights, add_sentence, write_json, write_weights

Options = Mapping[str, Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A good folder, to be spoilt."""
    return Model().write(tmp_path / "model")


def change(path: Path, edit: Callable[[Any], object]) -> None:
    """Edit a JSON file."""
    value = json.loads(path.read_text())
    edit(value)
    path.write_text(json.dumps(value))


def test_what_is_told_of_the_source(folder: Path) -> None:
    imported = read_model(folder)
    assert (imported.format, imported.opset, imported.graph.name) == ("huggingface", 0, "model")
    assert imported.producer == "4.57.0"
    assert read_model(folder, "mine").graph.name == "mine"
    assert list(imported.assets) == ["tokenizer.json", "tokenizer_config.json"]
    assert read_model(folder).sha256 == imported.sha256
    change(folder / "config.json", lambda c: c.update(layer_norm_eps=1e-5))
    assert read_model(folder).sha256 != imported.sha256


def test_origins_are_names_of_the_model(folder: Path) -> None:
    graph = read_model(folder).graph
    origins = {(n.origin.op, n.origin.name) for n in graph.nodes}
    assert ("Linear", "encoder.layer.1.output.dense") in origins
    assert ("LayerNorm", "embeddings.LayerNorm") in origins
    assert all(op and name for op, name in origins)


# ------------------------------------------------------------------------------------------ files


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "config.json").unlink(), r"config\.json: no such file"),
        (lambda f: (f / "config.json").write_text("{"), r"config\.json: not JSON"),
        (lambda f: (f / "config.json").write_text("[" * 100_000), r"config\.json: not JSON"),
        (lambda f: (f / "config.json").write_text("[]"), r"config\.json: expected an object"),
        (lambda f: (f / "config.json").write_bytes(b"\xff\xfe{}"), r"config\.json: not JSON"),
        (
            lambda f: (f / "model.safetensors").unlink(),
            r"neither model\.safetensors nor model\.safetensors\.index",
        ),
        (lambda f: (f / "model.safetensors").write_bytes(b"\0" * 64), r"model\.safetensors: damaged"),
    ],
)
def test_files_that_are_missing_or_damaged(
    folder: Path, spoil: Callable[[Path], object], message: str
) -> None:
    spoil(folder)
    with pytest.raises(ModelError, match=message):
        read_model(folder)


def test_an_empty_folder_and_other_kinds(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config\.json: no such file"):
        read_model(tmp_path)
    (tmp_path / "model.onnx").touch()
    with pytest.raises(ModelError, match=r"it holds model\.onnx: give the file itself"):
        read_model(tmp_path)
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(UnsupportedError, match="TensorFlow SavedModel"):
        read_model(tmp_path)


def test_weights_in_another_format(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UnsupportedError, match=r"pytorch_model\.bin.*safe_serialization=True"):
        read_model(folder)


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    """A folder with three shards."""
    return Model().write(tmp_path / "model", shards=3)


WORDS = "embeddings.word_embeddings.weight"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda i: i.pop("weight_map"), "it has no weight_map"),
        (lambda i: i["weight_map"].update({WORDS: "../model.safetensors"}), "no plain file name"),
        (lambda i: i["weight_map"].update({WORDS: "/etc/passwd.safetensors"}), "no plain file name"),
        (lambda i: i["weight_map"].update({WORDS: "a\\b.safetensors"}), "no plain file name"),
        (lambda i: i["weight_map"].update({WORDS: "..safetensors"}), "no plain file name"),
        (lambda i: i["weight_map"].update({WORDS: 3}), "no plain file name"),
        (lambda i: i["weight_map"].update({WORDS: "none.safetensors"}), r"none\.safetensors: no such file"),
        (lambda i: i["weight_map"].update(other="model-00001-of-00003.safetensors"), "'other' is missing"),
        (lambda i: i["weight_map"].pop(WORDS), WORDS),
    ],
)
def test_shard_indices(sharded: Path, edit: Callable[[Any], object], message: str) -> None:
    change(sharded / "model.safetensors.index.json", edit)
    with pytest.raises(ModelError, match=message):
        read_model(sharded)


# ---------------------------------------------------------------------------------------- weights


@pytest.mark.parametrize("name", sorted(Model(pooler=False).weights()))
def test_every_tensor_is_needed(tmp_path: Path, name: str) -> None:
    model = Model(pooler=False)
    folder = model.write(tmp_path / "model")
    weights = model.weights()
    del weights[name]
    write_weights(folder, weights)
    with pytest.raises(ModelError, match=name.replace(".", r"\.")):
        read_model(folder)


@pytest.mark.parametrize("name", sorted(Model().weights()))
def test_every_shape_is_checked(tmp_path: Path, name: str) -> None:
    model = Model()
    folder = model.write(tmp_path / "model")
    weights = model.weights()
    weights[name] = np.concatenate([weights[name], weights[name]])
    write_weights(folder, weights)
    with pytest.raises(ModelError) as caught:
        read_model(folder)
    assert name in str(caught.value)
    assert str(weights[name].shape) in str(caught.value)


def test_more_layers_than_the_config_says(folder: Path) -> None:
    change(folder / "config.json", lambda c: c.update(num_hidden_layers=1))
    with pytest.raises(ModelError, match=r"the encoder that it describes has no tensor 'encoder\.layer\.1\."):
        read_model(folder)


def test_buffers_and_heads_may_be_there(tmp_path: Path) -> None:
    model = Model(prefix="bert.", pooler=False)
    folder = model.write(tmp_path / "model")
    more: Weights = {"bert.embeddings.position_ids": np.zeros((1, 19), np.float32), "cls.bias": np.ones(3)}
    write_weights(folder, {**model.weights(), **more})
    assert read_model(folder).graph.output_names == ["last_hidden_state"]


def test_names_of_old_checkpoints(tmp_path: Path) -> None:
    """LayerNorm had gamma and beta in TensorFlow."""
    model = Model()
    new = read_model(model.write(tmp_path / "new"))
    folder = model.write(tmp_path / "old")

    def old(name: str) -> str:
        return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")

    write_weights(folder, {old(n): w for n, w in model.weights().items()})
    assert str(read_model(folder, "new").graph).replace("gamma", "weight").replace("beta", "bias") == str(
        new.graph
    )


# ---------------------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model_type": "mamba9"}, r"mamba9.*known: .*\bbert\b"),
        ({"model_type": "../bert"}, "known: "),
        (
            {"architectures": ["BertForPreTraining"]},
            "BertForPreTraining.*known for this model_type: BertModel, ",
        ),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type.*'relative_key'.*'absolute'"),
        ({"hidden_act": "swiglu"}, "hidden_act.*'swiglu'.*'gelu'"),
        ({"is_decoder": True}, "is_decoder"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantization_config.*gptq"),
        ({"add_cross_attention": True}, "add_cross_attention"),
    ],
)
def test_unsupported_options(tmp_path: Path, options: Options, message: str) -> None:
    folder = Model(config=dict(options)).write(tmp_path / "model")
    with pytest.raises(UnsupportedError, match=message):
        read_model(folder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model_type": None}, "'model_type' is missing"),
        ({"model_type": 3}, "'model_type' must be a string"),
        ({"hidden_size": None}, "'hidden_size' is missing"),
        ({"hidden_size": "36"}, "'hidden_size' must be a size"),
        ({"hidden_size": True}, "'hidden_size' must be a size"),
        ({"hidden_size": 10**30}, "'hidden_size' must be a size"),
        ({"num_hidden_layers": -1}, "'num_hidden_layers' must be a size"),
        ({"num_attention_heads": 5}, "36 is no multiple of 5"),
        ({"layer_norm_eps": 0}, "'layer_norm_eps' must be a number above 0"),
        ({"layer_norm_eps": float("nan")}, "'layer_norm_eps' must be a number above 0"),
        ({"hidden_act": 1}, "'hidden_act' must be a string"),
        ({"architectures": "BertModel"}, "'architectures' must be a list of strings"),
        ({"vocab_size": 30}, r"word_embeddings\.weight' has shape \(25, 36\).*\(30, 36\)"),
    ],
)
def test_options_that_make_no_sense(tmp_path: Path, options: Options, message: str) -> None:
    folder = Model(config=dict(options)).write(tmp_path / "model")
    with pytest.raises(ModelError, match=message):
        read_model(folder)


def test_an_encoder_of_many_layers_is_refused_by_its_weights(tmp_path: Path) -> None:
    """Nothing is built by the config's numbers alone."""
    folder = Model(config={"num_hidden_layers": 2**30}).write(tmp_path / "model")
    with pytest.raises(ModelError, match=r"no tensor 'encoder\.layer\.2\."):
        read_model(folder)


# --------------------------------------------------------------------------- sentence-transformers


def module(kind: str, path: str = "") -> Options:
    return {"idx": 0, "name": "0", "path": path, "type": f"sentence_transformers.models.{kind}"}


def test_an_encoder_in_a_folder_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "sentence"
    Model().write(folder / "0_Transformer")
    add_sentence(folder)
    change(folder / "modules.json", lambda m: m[0].update(path="0_Transformer"))
    imported = read_model(folder)
    assert imported.graph.output_names == ["last_hidden_state", "sentence_embedding"]
    assert "tokenizer.json" in imported.assets


def test_pooling_without_modules(folder: Path) -> None:
    write_json(folder / "1_Pooling" / "config.json", {"pooling_mode_mean_tokens": True})
    assert read_model(folder).graph.output_names == ["last_hidden_state", "sentence_embedding"]


def test_a_head_is_left_off_under_pooling(tmp_path: Path) -> None:
    """As sentence-transformers does: many of its encoders were saved with their language model's name."""
    folder = Model(prefix="bert.", config={"architectures": ["BertForMaskedLM"]}).write(tmp_path / "model")
    assert "sentence_embedding" in read_model(add_sentence(folder)).graph.output_names


@pytest.mark.parametrize("mode", ["mean_tokens", "mean_sqrt_len_tokens"])
def test_the_mean_is_one_kernel_and_its_length_another(folder: Path, mode: str) -> None:
    def kernels() -> list[str]:
        graph = read_model(folder).graph
        optimise(graph)
        return [c.template for c in lower(graph).calls]

    *encoder, _ = kernels()  # but for BERT's own pooler
    add_sentence(folder, (mode,))
    assert kernels() == [*encoder, "row", "row"]


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ([], "the modules are none"),
        ([module("Transformer"), module("CNN", "1_CNN")], "Transformer, CNN; supported are"),
        (
            [module("Transformer"), module("Pooling", "1_Pooling"), module("Dense", "2_Dense")],
            "Pooling, Dense",
        ),
    ],
)
def test_unsupported_modules(folder: Path, modules: Any, message: str) -> None:
    add_sentence(folder)
    write_json(folder / "modules.json", modules)
    with pytest.raises(UnsupportedError, match=message):
        read_model(folder)


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ({}, "expected a list of modules"),
        ([3], "3 is no module"),
        ([module("Transformer"), module("Pooling", "../1_Pooling")], "no plain folder name"),
        ([module("Transformer", "/etc"), module("Pooling", "1_Pooling")], "no plain folder name"),
        ([module("Transformer"), module("Pooling", "9_Pooling")], r"9_Pooling/config\.json: no such file"),
    ],
)
def test_damaged_modules(folder: Path, modules: Any, message: str) -> None:
    add_sentence(folder)
    write_json(folder / "modules.json", modules)
    with pytest.raises(ModelError, match=message):
        read_model(folder)


@pytest.mark.parametrize("modes", [(), ("lasttoken",), ("mean_tokens", "weightedmean_tokens")])
def test_unsupported_pooling(folder: Path, modes: tuple[str, ...]) -> None:
    with pytest.raises(UnsupportedError, match="supported are pooling_mode_cls_token"):
        read_model(add_sentence(folder, modes))
